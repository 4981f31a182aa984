/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking reads: a section fails where it would wait, and succeeds when it is repeated. */
#include "tests/tree/nodes.h"

#include "tree/node/nowait.h"

static int load(struct th_nodes *nodes, const struct th_ptr *ptr)
{
	struct th_node *node = NULL;
	int err = th_cache_load(nodes->cache, ptr, th_slice_of("k"), &node);

	if (!err)
		th_node_unref(node);
	return err;
}

START_TEST(a_section_fails_instead_of_reading)
{
	struct th_nodes nodes;
	struct th_ptr ptr;
	uint64_t before;

	th_nodes_init(&nodes, 1 << 20);
	ptr = th_nodes_leaf(&nodes, "k", 3, 1);
	before = nodes.disk->reads;
	th_nowait_begin();
	th_expect(load(&nodes, &ptr), -EINPROGRESS);
	th_nowait_end();
	ck_assert_uint_eq(nodes.disk->reads, before);
	ck_assert(th_nowait_again(-EINPROGRESS)); /* reads the node */
	ck_assert_uint_eq(nodes.disk->reads, before + 1);
	th_nowait_begin();
	th_ok(load(&nodes, &ptr));
	th_nowait_end();
	ck_assert(!th_nowait_again(0));
	ck_assert_uint_eq(nodes.disk->reads, before + 1);
	th_nodes_release(&nodes);
}
END_TEST

START_TEST(a_suspended_section_reads)
{
	struct th_nodes nodes;
	struct th_ptr ptr;
	bool was;

	th_nodes_init(&nodes, 1 << 20);
	ptr = th_nodes_leaf(&nodes, "k", 3, 1);
	th_nowait_begin();
	was = th_nowait_suspend();
	th_ok(load(&nodes, &ptr));
	th_nowait_resume(was);
	th_cache_forget(nodes.cache, ptr.addr);
	th_expect(load(&nodes, &ptr), -EINPROGRESS);
	th_nowait_end();
	was = th_nowait_suspend(); /* outside of a section it changes nothing */
	th_nowait_resume(was);
	th_ok(load(&nodes, &ptr));
	th_nowait_again(0);
	th_nodes_release(&nodes);
}
END_TEST

/* A node that cannot be read: the next attempt waits, and finds and reports the damage. */
START_TEST(damage_ends_the_repetitions)
{
	struct th_nodes nodes;
	struct th_ptr ptr;
	unsigned attempts = 0;
	int err;

	th_nodes_init(&nodes, 1 << 20);
	ptr = th_nodes_leaf(&nodes, "k", 3, 1);
	th_nodes_damage(&nodes, ptr.addr);
	do {
		ck_assert_uint_lt(attempts++, 3);
		th_nowait_begin();
		err = load(&nodes, &ptr);
		th_nowait_end();
	} while (th_nowait_again(err));
	ck_assert_int_eq(err, -EBADMSG);
	ck_assert_uint_eq(nodes.reports, 1);
	th_nodes_release(&nodes);
}
END_TEST

/* Each time the node is evicted before it is used. */
START_TEST(after_many_attempts_a_section_waits)
{
	struct th_nodes nodes;
	struct th_ptr ptr;
	unsigned attempts = 0;
	int err;

	th_nodes_init(&nodes, 1 << 20);
	ptr = th_nodes_leaf(&nodes, "k", 3, 1);
	do {
		ck_assert_uint_lt(attempts++, 100);
		th_cache_forget(nodes.cache, ptr.addr);
		th_nowait_begin();
		err = load(&nodes, &ptr);
		th_nowait_end();
	} while (th_nowait_again(err));
	th_ok(err);
	ck_assert_uint_gt(attempts, 2);
	th_nodes_release(&nodes);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_section_fails_instead_of_reading, a_suspended_section_reads,
				       damage_ends_the_repetitions, after_many_attempts_a_section_waits };

	return th_tests_run("nowait", tests, sizeof(tests) / sizeof(tests[0]));
}
