/* SPDX-License-Identifier: Apache-2.0 */
/* The node cache: one read a node, a budget that holds, eviction by use, and damage that is reported once. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#define BUDGET ((size_t)1 << 20)
#define LEAF_RECORDS 200u
#define LEAVES 400u /* several times the budget */

static struct th_nodes nodes;
static struct th_ptr leaf[LEAVES];

static void begin(size_t budget, unsigned leaves)
{
	char prefix[16];

	th_nodes_init(&nodes, budget);
	for (unsigned i = 0; i < leaves; i++) {
		snprintf(prefix, sizeof(prefix), "leaf%03u-", i);
		leaf[i] = th_nodes_leaf(&nodes, prefix, LEAF_RECORDS, 5);
	}
}

static void end(void)
{
	th_nodes_release(&nodes);
}

static struct th_slice fence(unsigned i, char *space)
{
	snprintf(space, 16, "leaf%03u-", i);
	return th_slice_of(space);
}

static void read_leaf(unsigned i)
{
	struct th_node *node;
	char space[16];

	th_ok(th_cache_load(nodes.cache, &leaf[i], fence(i, space), &node));
	ck_assert_uint_eq(node->base.count, LEAF_RECORDS);
	th_node_unref(node);
}

static bool is_cached(unsigned i)
{
	struct th_node *node = th_cache_get(nodes.cache, &leaf[i]);
	bool is = node != NULL;

	th_node_unref(node);
	return is;
}

static struct th_cache_stat stat_now(void)
{
	struct th_cache_stat stat;

	th_cache_stat(nodes.cache, &stat);
	return stat;
}

START_TEST(a_node_is_read_once)
{
	begin(BUDGET, 1);
	ck_assert(!is_cached(0));
	read_leaf(0);
	read_leaf(0);
	ck_assert(is_cached(0));
	ck_assert_uint_eq(stat_now().reads, 1);
	ck_assert_uint_eq(stat_now().hits, 2);
	end();
}
END_TEST

START_TEST(the_cache_stays_within_its_budget)
{
	begin(BUDGET, LEAVES);
	for (unsigned i = 0; i < LEAVES; i++) {
		read_leaf(i);
		ck_assert_uint_le(stat_now().used, BUDGET);
	}
	ck_assert_uint_ge(stat_now().used, BUDGET / 2);
	th_cache_reserve(nodes.cache, BUDGET / 2);
	ck_assert_uint_le(stat_now().used, BUDGET / 2);
	th_cache_reserve(nodes.cache, 2 * BUDGET); /* a part is left to the cache in any case */
	ck_assert_uint_gt(stat_now().used, 0);
	ck_assert_uint_le(stat_now().used, BUDGET / TH_CACHE_LEAST);
	th_cache_reserve(nodes.cache, 0);
	for (unsigned i = 0; i < LEAVES; i++)
		read_leaf(i);
	ck_assert_uint_ge(stat_now().used, BUDGET / 2);
	end();
}
END_TEST

START_TEST(an_evicted_node_lives_as_long_as_its_references)
{
	struct th_node *held;
	char space[16];

	begin(BUDGET, LEAVES);
	th_ok(th_cache_load(nodes.cache, &leaf[0], fence(0, space), &held));
	for (unsigned i = 1; i < LEAVES; i++)
		read_leaf(i);
	ck_assert(!is_cached(0));
	th_test_check_node(held, fence(0, space), (struct th_slice){ NULL, 0 });
	ck_assert_uint_eq(held->refs, 1);
	th_node_unref(held);
	end();
}
END_TEST

/* Leaf 0 is read again and again, the others once each. */
START_TEST(a_scan_does_not_evict_the_nodes_in_use)
{
	begin(BUDGET, LEAVES);
	read_leaf(0);
	for (unsigned i = 1; i < LEAVES; i++) {
		read_leaf(i);
		ck_assert(is_cached(0));
	}
	end();
}
END_TEST

START_TEST(a_forgotten_node_is_read_again)
{
	begin(BUDGET, 2);
	read_leaf(0);
	read_leaf(1);
	th_cache_forget(nodes.cache, leaf[0].addr);
	th_cache_forget(nodes.cache, 12345); /* nothing is there */
	ck_assert(!is_cached(0));
	ck_assert(is_cached(1));
	th_cache_forget(nodes.cache, leaf[1].addr);
	ck_assert_uint_eq(stat_now().used, 0);
	end();
}
END_TEST

/* The blocks were freed and written again. */
START_TEST(a_reused_address_is_another_node)
{
	struct th_ptr later;

	begin(BUDGET, 1);
	read_leaf(0);
	later = leaf[0];
	later.birth++;
	ck_assert_ptr_null(th_cache_get(nodes.cache, &later));
	ck_assert(!is_cached(0)); /* the old one has left */
	end();
}
END_TEST

START_TEST(a_written_node_is_found)
{
	struct th_node *node = th_node_new(0, TH_SLICE_EMPTY, 1), *found;

	begin(BUDGET, 0);
	th_nodes_write(&nodes, node, 5);
	th_cache_insert(nodes.cache, node);
	found = th_cache_get(nodes.cache, &node->ptr);
	ck_assert_ptr_eq(found, node);
	ck_assert_uint_eq(stat_now().reads, 0);
	th_node_unref(found);
	th_node_unref(node);
	end();
}
END_TEST

/* They have 1/64 of the budget: with 16 shards, less than a node each, so none stays. */
START_TEST(retired_nodes_have_a_small_part)
{
	begin(BUDGET, 16);
	for (unsigned i = 0; i < 16; i++)
		read_leaf(i);
	for (unsigned i = 0; i < 16; i++)
		th_cache_retire(nodes.cache, leaf[i].addr);
	ck_assert_uint_le(stat_now().used, BUDGET / 64);
	end();
}
END_TEST

/* One leaf in 25 is retired; then a quarter of all has to go. */
START_TEST(retired_nodes_are_evicted_first)
{
	unsigned used = 0, retired = 0;

	begin(8 * BUDGET, LEAVES);
	for (unsigned i = 0; i < LEAVES; i++)
		read_leaf(i);
	for (unsigned i = 0; i < LEAVES; i += 25)
		th_cache_retire(nodes.cache, leaf[i].addr);
	th_cache_reserve(nodes.cache, 8 * BUDGET - stat_now().used * 3 / 4);
	for (unsigned i = 0; i < LEAVES; i++)
		*(i % 25 == 0 ? &retired : &used) += is_cached(i);
	ck_assert_uint_gt(used, LEAVES / 2);
	ck_assert_uint_le(retired, 2);
	end();
}
END_TEST

START_TEST(damage_is_reported_and_not_cached)
{
	struct th_node *node;
	char space[16];

	begin(BUDGET, 2);
	th_nodes_damage(&nodes, leaf[0].addr);
	th_expect(th_cache_load_quietly(nodes.cache, &leaf[0], fence(0, space), &node), -EBADMSG);
	ck_assert_uint_eq(nodes.reports, 0);
	th_expect(th_cache_load(nodes.cache, &leaf[0], fence(0, space), &node), -EBADMSG);
	ck_assert_uint_eq(nodes.reports, 1);
	ck_assert_ptr_nonnull(strstr(nodes.report, "wrong checksum"));
	ck_assert(!is_cached(0));
	ck_assert_uint_eq(stat_now().used, 0);
	read_leaf(1);
	end();
}
END_TEST

/* The checksum is right, but the parent names another node. */
START_TEST(a_node_that_its_parent_does_not_name_is_refused)
{
	struct th_node *node;
	char space[16];

	begin(BUDGET, 1);
	leaf[0].birth++;
	th_expect(th_cache_load(nodes.cache, &leaf[0], fence(0, space), &node), -EUCLEAN);
	ck_assert_uint_eq(nodes.reports, 1);
	ck_assert_ptr_nonnull(strstr(nodes.report, "not the node its parent names"));
	th_expect(th_cache_load(nodes.cache, &leaf[0], TH_SLICE_EMPTY, &node), -EUCLEAN); /* too short a fence */
	end();
}
END_TEST

START_TEST(a_temporary_error_is_retried_once)
{
	struct th_node *node;
	char space[16];

	begin(BUDGET, 1);
	th_disk_fault_arm(nodes.disk, TH_FAULT_ERROR, 0);
	th_expect(th_cache_load_quietly(nodes.cache, &leaf[0], fence(0, space), &node), -EIO);
	th_disk_fault_arm(nodes.disk, TH_FAULT_ERROR, 0);
	th_ok(th_cache_load_retrying(nodes.cache, &leaf[0], fence(0, space), &node));
	th_node_unref(node);
	end();
}
END_TEST

struct answer {
	unsigned calls;
	int result;
	struct th_node *node;
};

static void answered(void *arg, int result, struct th_node *node)
{
	struct answer *answer = arg;

	answer->calls++;
	answer->result = result;
	answer->node = node;
}

START_TEST(an_asynchronous_load_answers_once)
{
	struct answer answer[4] = { 0 };
	char space[16];

	begin(BUDGET, 2);
	th_nodes_damage(&nodes, leaf[1].addr);
	th_cache_load_async(nodes.cache, &leaf[0], fence(0, space), answered, &answer[0]);
	th_cache_load_async(nodes.cache, &leaf[0], fence(0, space), answered, &answer[1]);
	th_cache_load_async(nodes.cache, &leaf[1], fence(1, space), answered, &answer[2]);
	th_cache_load_async(nodes.cache, &leaf[0], TH_SLICE_EMPTY, answered, &answer[3]);
	th_cache_prefetch(nodes.cache, &leaf[0], fence(0, space));
	read_leaf(0);
	th_disk_reap(nodes.disk, NULL);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(answer[i].calls, 1);
	ck_assert_int_eq(answer[0].result, 0);
	ck_assert_ptr_eq(answer[0].node, answer[1].node);
	ck_assert_int_eq(answer[2].result, -EBADMSG);
	ck_assert_ptr_null(answer[2].node);
	ck_assert_int_eq(answer[3].result, -EUCLEAN);
	ck_assert_uint_eq(nodes.reports, 0);
	ck_assert_uint_eq(stat_now().reads, 2);
	th_node_unref(answer[0].node);
	th_node_unref(answer[1].node);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_node_is_read_once,
				       the_cache_stays_within_its_budget,
				       an_evicted_node_lives_as_long_as_its_references,
				       a_scan_does_not_evict_the_nodes_in_use,
				       a_forgotten_node_is_read_again,
				       a_reused_address_is_another_node,
				       a_written_node_is_found,
				       retired_nodes_have_a_small_part,
				       retired_nodes_are_evicted_first,
				       damage_is_reported_and_not_cached,
				       a_node_that_its_parent_does_not_name_is_refused,
				       a_temporary_error_is_retried_once,
				       an_asynchronous_load_answers_once };

	return th_tests_run("cache", tests, sizeof(tests) / sizeof(tests[0]));
}
