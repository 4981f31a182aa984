/* SPDX-License-Identifier: Apache-2.0 */
/* Push-down: messages go as far as nodes are writable, overlays keep their budget, and wide ranges detach children. */
#include "tests/tree/nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include "tree/btree/detach.h"
#include "tree/btree/insert.h"
#include "tree/btree/push_down.h"

#define OVERLAY_BYTES 2000u

static const struct th_fences all = { { "", 0 }, { NULL, 0 } };
static struct th_nodes nodes;
static struct th_tree tree;

/* A root with leaves, each with about 160 keys. */
static void begin(void)
{
	th_nodes_init(&nodes, 1 << 20);
	th_nodes_tree(&nodes, &tree, OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 1000, 100);
	ck_assert_uint_eq(tree.root->level, 1);
	ck_assert_uint_ge(tree.root->base.count, 5);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static void sink(const struct th_entry *message)
{
	struct th_need need;

	th_need_init(&need);
	th_ok(th_root_writable(&tree));
	th_ok(th_push_down_sink(&tree, tree.root, all, message, &need));
}

/* Puts a message into the overlay of the root, where it stays. */
static void pend(const struct th_entry *message)
{
	th_ok(th_root_writable(&tree));
	th_ok(th_push_down_accept(&tree, tree.root, all, message));
	th_tree_account(&tree, tree.root);
}

static bool leaf_has(unsigned child, const char *text)
{
	const struct th_node *leaf = tree.root->children[child];

	for (unsigned i = 0; i < leaf->base.count; i++)
		if (strcmp(th_test_print(leaf, th_slab_entry(&leaf->base, i)), text) == 0)
			return true;
	return false;
}

/* The lower fence of a child, as text. */
static const char *fence(unsigned child)
{
	static char text[4][TH_KEY_MAX + 2];
	static unsigned next;
	char *to = text[next++ % 4];
	struct th_key key;

	th_node_key(tree.root, th_slab_entry(&tree.root->base, child), &key);
	snprintf(to, TH_KEY_MAX + 2, "%.*s", key.size, (const char *)key.data);
	return to;
}

START_TEST(a_message_passes_writable_nodes)
{
	begin();
	sink(th_test_put("k000000x", "new", 5000));
	ck_assert_uint_eq(tree.root->overlay.count, 0);
	ck_assert(leaf_has(0, "k000000x=new"));
	ck_assert_uint_eq(tree.root->seq, 5000);
	end();
}
END_TEST

START_TEST(a_message_stays_above_shared_nodes)
{
	begin();
	th_nodes_freeze(&nodes, &tree);
	sink(th_test_put("k000000x", "new", 5000));
	th_test_expect_slab(tree.root, &tree.root->overlay, "k000000x=new");
	end();
}
END_TEST

/* Else the newer message would be below the older one. */
START_TEST(a_message_does_not_overtake_an_older_one)
{
	struct th_need need;
	struct th_node *child;

	begin();
	th_nodes_freeze(&nodes, &tree);
	sink(th_test_put("k000000x", "old", 5000));
	pend(th_test_delete_range("k000001", "k000003", 5001));
	th_need_init(&need);
	th_expect(th_tree_child_writable(&tree, tree.root, 0, &child, &need), -EAGAIN);
	th_ok(th_need_load(&need, nodes.cache));
	th_ok(th_tree_child_writable(&tree, tree.root, 0, &child, &need));
	th_need_release(&need);
	sink(th_test_put("k000000x", "new", 5002));
	sink(th_test_put("k000002", "new", 5003)); /* covered by the range */
	sink(th_test_put("k000000y", "new", 5004));
	ck_assert(leaf_has(0, "k000000y=new"));
	ck_assert_uint_eq(tree.root->overlay.count, 4);
	ck_assert_str_eq(th_test_print(tree.root, th_slab_entry(&tree.root->overlay, 0)), "k000000x=new");
	ck_assert_str_eq(th_test_print(tree.root, th_slab_entry(&tree.root->overlay, 2)), "k000002-=new");
	end();
}
END_TEST

START_TEST(the_heaviest_child_is_relieved)
{
	struct th_need need;
	char key[32], value[101];
	int err = 0;

	begin();
	th_nodes_freeze(&nodes, &tree);
	memset(value, 'v', 100);
	value[100] = 0;
	sink(th_test_put("k000000x", "light", 5000));
	th_need_init(&need);
	for (unsigned i = 0; !err; i++) {
		snprintf(key, sizeof(key), "%sx%u", fence(2), i);
		err = th_push_down_sink(&tree, tree.root, all, th_test_put(key, value, 6000 + i), &need);
	}
	th_expect(err, -EAGAIN);
	ck_assert_str_eq(fence(2), (need.fence.data[need.fence.size] = 0, (const char *)need.fence.data));
	th_ok(th_need_load(&need, nodes.cache));
	th_ok(th_push_down_relieve_path(&tree, tree.root, all, &need, th_key_slice(&need.key)));
	th_test_expect_slab(tree.root, &tree.root->overlay, "k000000x=light");
	ck_assert_uint_gt(tree.root->children[2]->seq, 6000);
	th_need_release(&need);
	end();
}
END_TEST

static unsigned detached_count(void)
{
	unsigned count = 0;

	for (const struct th_detached *d = tree.detached; d; d = d->next)
		count++;
	return count;
}

/* From within child 0 to within child 4. */
START_TEST(a_range_delete_detaches_covered_children)
{
	char from[16], to[300], expected[700];
	unsigned count;
	size_t bytes;

	begin();
	th_nodes_freeze(&nodes, &tree);
	count = tree.root->base.count;
	sink(th_test_put("k000000x", "before", 5000));
	snprintf(to, sizeof(to), "%sx", fence(2));
	sink(th_test_put(to, "within", 5001));
	snprintf(from, sizeof(from), "k000005");
	snprintf(to, sizeof(to), "%sx", fence(4));
	snprintf(expected, sizeof(expected), "k000000x=before k000005..%s %s..%s", fence(1), fence(4), to);
	pend(th_test_delete_range(from, to, 5002));
	ck_assert_uint_eq(detached_count(), 3);
	ck_assert_uint_eq(tree.root->base.count, count - 2); /* an empty leaf in place of three children */
	ck_assert_uint_eq(tree.root->children[1]->base.count, 0);
	th_test_expect_slab(tree.root, &tree.root->overlay, expected);
	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	end();
}
END_TEST

/* Brings a message in, and loads the leaf that it has to go to. */
static void sink_to_leaf(const struct th_entry *message)
{
	struct th_need need;

	th_need_init(&need);
	th_ok(th_root_writable(&tree));
	th_expect(th_push_down_sink(&tree, tree.root, all, message, &need), -EAGAIN);
	ck_assert(need.optional);
	th_ok(th_need_load(&need, nodes.cache));
	th_ok(th_push_down_relieve_path(&tree, tree.root, all, &need, th_key_slice(&need.key)));
	th_need_release(&need);
}

START_TEST(a_range_delete_does_not_wait_above_a_leaf)
{
	uint64_t records;
	size_t bytes;

	begin();
	th_nodes_freeze(&nodes, &tree);
	records = tree.root->records;
	sink_to_leaf(th_test_delete_range("k000005", "k000007", 5000));
	ck_assert_uint_eq(detached_count(), 0);
	ck_assert_uint_eq(tree.root->overlay.count, 0);
	ck_assert_uint_eq(tree.root->records, records - 2);
	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	end();
}
END_TEST

/* N6 */
START_TEST(deletes_wait_until_they_hide_an_eighth_of_the_records)
{
	unsigned waiting, records;
	char key[16];

	begin();
	th_nodes_freeze(&nodes, &tree);
	ck_assert_uint_eq(tree.root->records, 1000);
	records = (unsigned)th_node_child_records(tree.root, 0);
	waiting = records / TH_DELETES_PART;
	for (unsigned i = 0; i < waiting; i++) {
		snprintf(key, sizeof(key), "k%06u", i);
		sink(th_test_delete(key, 5000 + i));
	}
	ck_assert_uint_eq(tree.root->overlay.count, waiting);
	ck_assert_uint_eq(tree.root->records, 1000);
	snprintf(key, sizeof(key), "k%06u", waiting);
	sink_to_leaf(th_test_delete(key, 6000));
	ck_assert_uint_eq(tree.root->overlay.count, 0);
	ck_assert_uint_eq(tree.root->records, 1000 - waiting - 1);
	ck_assert_uint_eq(th_node_child_records(tree.root, 0), records - waiting - 1);
	end();
}
END_TEST

START_TEST(an_unreadable_leaf_does_not_stop_deletes)
{
	struct th_need need;
	struct th_ptr ptr;
	uint8_t *zeros = th_disk_buffer(TH_NODE_MAX);

	ck_assert_ptr_nonnull(zeros);
	memset(zeros, 0, TH_NODE_MAX);
	begin();
	th_nodes_freeze(&nodes, &tree);
	th_ok(th_node_child_ptr(tree.root, 0, &ptr));
	th_ok(th_disk_write(nodes.disk, ptr.addr, ptr.blocks, zeros));
	th_need_init(&need);
	th_ok(th_root_writable(&tree));
	th_expect(th_push_down_sink(&tree, tree.root, all, th_test_delete_range("k000005", "k000007", 5000), &need),
		  -EAGAIN);
	th_ok(th_need_load(&need, nodes.cache)); /* quietly, as the tree might have left the node */
	th_expect(th_push_down_relieve_path(&tree, tree.root, all, &need, th_key_slice(&need.key)), -EAGAIN);
	th_ok(th_need_load(&need, nodes.cache)); /* damage is reported, and the leaf left alone */
	th_ok(th_push_down_relieve_path(&tree, tree.root, all, &need, th_key_slice(&need.key)));
	th_test_expect_slab(tree.root, &tree.root->overlay, "k000005..k000007");
	th_need_release(&need);
	end();
	free(zeros);
}
END_TEST

/* --- limits --- */

static const struct th_entry *random_message(struct th_random *random, unsigned keys, uint64_t seq)
{
	unsigned what = th_random_below(random, 100), at = th_random_below(random, keys);
	char key[16], to[16], value[2600];

	snprintf(key, sizeof(key), "k%06u", at);
	snprintf(to, sizeof(to), "k%06u", at + th_random_between(random, 1, what < 2 ? keys / 4 : 30));
	memset(value, 'w', sizeof(value));
	value[th_random_below(random, what < 20 ? sizeof(value) : 100)] = 0;
	value[sizeof(value) - 1] = 0;
	if (what < 5)
		return th_test_delete_range(key, to, seq);
	return what < 50 ? th_test_delete(key, seq) : th_test_put(key, value, seq);
}

static size_t worst_of(const struct th_entry *message)
{
	struct th_push_worst sum = {
		.bytes = th_entry_key_size(message) + th_entry_value(message).size + 64,
		.count = 1,
		.ranges = th_message_is_range(message),
	};

	th_push_down_worst(&tree, message, &sum);
	return th_push_down_worst_end(&tree, &sum);
}

/* At the limit a message makes no more dirty than its worst case says, and none waits beyond an overlay's budget. */
START_TEST(a_message_dirties_no_more_than_its_worst_case)
{
	enum { KEYS = 6000 };
	struct th_random random = { .state = th_test_seed("a_message_dirties_no_more_than_its_worst_case") };
	unsigned rounds = th_test_rounds(20000), pushes = 0;
	size_t bytes;

	th_nodes_init(&nodes, 16 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, KEYS, 1000);
	ck_assert_uint_ge(tree.root->level, 3);
	for (unsigned i = 0; i < rounds; i++) {
		const struct th_entry *message = random_message(&random, KEYS, 100000 + i);
		size_t before = tree.dirty_bytes, worst = worst_of(message);

		if (i % 2000 == 0)
			th_nodes_fill(&tree, 0, KEYS, 1000);
		if (th_random_below(&random, 500) == 0 || i % 2000 == 0) {
			th_nodes_freeze(&nodes, &tree);
			before = 0;
			worst = worst_of(message);
		}
		tree.dirty_limit = before;
		th_ok(th_tree_put(&tree, message));
		tree.dirty_limit = SIZE_MAX;
		if (tree.dirty_bytes > before + worst)
			ck_abort_msg("message %u: %zu bytes of %zu", i, tree.dirty_bytes - before, worst);
		ck_assert_uint_le(tree.root->overlay.bytes, TH_OVERLAY_BYTES);
		pushes += worst > th_tree_path_bytes(tree.root->level);
	}
	ck_assert_uint_gt(pushes, 0);
	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_message_passes_writable_nodes,
				       a_message_stays_above_shared_nodes,
				       a_message_does_not_overtake_an_older_one,
				       the_heaviest_child_is_relieved,
				       a_range_delete_detaches_covered_children,
				       a_range_delete_does_not_wait_above_a_leaf,
				       deletes_wait_until_they_hide_an_eighth_of_the_records,
				       an_unreadable_leaf_does_not_stop_deletes,
				       a_message_dirties_no_more_than_its_worst_case };

	return th_tests_run("push_down", tests, sizeof(tests) / sizeof(tests[0]));
}
