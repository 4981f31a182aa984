/* SPDX-License-Identifier: Apache-2.0 */
/* Detached subtrees: every node and large value is reported, leaves are read only for large values, damage loses no
 * more. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/btree/detach.h"
#include "tree/btree/insert.h"

static struct th_nodes nodes;
static struct th_tree tree;
static unsigned dead;

static int count_dead(const struct th_run *run, void *arg)
{
	(void)arg;
	ck_assert_uint_gt(run->addr, 0);
	dead++;
	return 0;
}

/* A written tree of three levels; every tenth key has a large value if `large`. */
static unsigned begin(bool large)
{
	unsigned count;
	char key[16];
	size_t bytes;

	th_nodes_init(&nodes, 4 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 5000, 100);
	for (unsigned i = 0; large && i < 5000; i += 10) {
		snprintf(key, sizeof(key), "k%06u", i);
		th_ok(th_tree_put(&tree, th_test_put_large(key, 1000 + i, 6000 + i)));
	}
	ck_assert_uint_ge(tree.root->level, 2);
	count = th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	th_nodes_freeze(&nodes, &tree);
	dead = 0;
	return count;
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static void detach_all(void)
{
	th_ok(th_root_writable(&tree));
	th_ok(th_detached_replace(&tree, tree.root, 0, tree.root->base.count, TH_SLICE_EMPTY,
				  (struct th_slice){ NULL, 0 }, 9000));
}

static void walk(struct th_drops *values)
{
	for (const struct th_detached *d = tree.detached; d; d = d->next)
		th_ok(th_detached_walk(nodes.cache, d, values, count_dead, NULL));
}

START_TEST(an_empty_subtree_takes_the_place)
{
	size_t bytes;

	begin(false);
	detach_all();
	ck_assert_uint_eq(tree.root->base.count, 1);
	ck_assert_uint_eq(tree.root->children[0]->seq, 9000);
	tree.root->seq = 9000;
	ck_assert_uint_eq(th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes), tree.root->level + 1u);
	end();
}
END_TEST

START_TEST(leaves_without_large_values_are_not_read)
{
	struct th_drops values = { 0 };
	unsigned count = begin(false);
	uint64_t before;

	detach_all();
	before = nodes.disk->reads;
	walk(&values);
	ck_assert_uint_eq(dead, count - 1); /* all but the root */
	ck_assert_uint_eq(values.count, 0);
	ck_assert_uint_lt(nodes.disk->reads - before, 20);
	end();
}
END_TEST

START_TEST(large_values_are_dropped_with_their_nodes)
{
	struct th_drops values = { 0 };
	unsigned count = begin(true);

	detach_all();
	walk(&values);
	ck_assert_uint_eq(dead, count - 1);
	ck_assert_uint_eq(values.count, 500);
	th_drops_release(&values);
	end();
}
END_TEST

START_TEST(an_unreadable_node_loses_only_what_is_below)
{
	struct th_drops values = { 0 };
	unsigned count = begin(true), children;
	struct th_node *child;
	struct th_ptr ptr;

	th_ok(th_node_child_ptr(tree.root, 0, &ptr));
	th_ok(th_cache_load(nodes.cache, &ptr, TH_SLICE_EMPTY, &child));
	children = child->base.count;
	ck_assert_uint_eq(child->level, 1);
	th_node_unref(child);
	th_cache_forget(nodes.cache, ptr.addr);
	th_nodes_damage(&nodes, ptr.addr);
	detach_all();
	walk(&values);
	ck_assert_uint_eq(nodes.reports, 1);
	ck_assert_uint_eq(dead, count - 1 - children);
	ck_assert_uint_gt(values.count, 300);
	ck_assert_uint_lt(values.count, 500);
	th_drops_release(&values);
	end();
}
END_TEST

START_TEST(nodes_that_were_never_written_are_not_reported)
{
	struct th_drops values = { 0 };

	th_nodes_init(&nodes, 4 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 1000, 100);
	dead = 0;
	detach_all();
	walk(&values);
	ck_assert_uint_eq(dead, 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { an_empty_subtree_takes_the_place, leaves_without_large_values_are_not_read,
				       large_values_are_dropped_with_their_nodes,
				       an_unreadable_node_loses_only_what_is_below,
				       nodes_that_were_never_written_are_not_reported };

	return th_tests_run("detach", tests, sizeof(tests) / sizeof(tests[0]));
}
