/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: the leaf of a key, or the one before it, with its fences. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/btree/path.h"

static struct th_nodes nodes;
static struct th_tree tree;

static void begin(void)
{
	th_nodes_init(&nodes, 4 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 5000, 100);
	ck_assert_uint_ge(tree.root->level, 2);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static void descend(struct th_slice key, bool before, struct th_path *path)
{
	struct th_need need;

	th_need_init(&need);
	th_ok(th_path_descend(nodes.cache, tree.root, key, before, path, &need));
	ck_assert_uint_eq(path->depth, tree.root->level + 1u);
	th_test_check_node(path->node[path->depth - 1], th_key_slice(&path->lo),
			   path->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&path->hi));
}

START_TEST(a_path_ends_at_the_leaf_of_its_key)
{
	struct th_path path;
	char key[16];

	begin();
	for (unsigned i = 0; i < 5000; i += 37) {
		struct th_node *leaf;
		bool exact;

		snprintf(key, sizeof(key), "k%06u", i);
		descend(th_slice_of(key), false, &path);
		leaf = path.node[path.depth - 1];
		th_slab_find(leaf, &leaf->base, th_slice_of(key), &exact);
		ck_assert(exact);
		ck_assert(th_slice_compare(th_key_slice(&path.lo), th_slice_of(key)) <= 0);
		ck_assert(path.open || th_slice_compare(th_slice_of(key), th_key_slice(&path.hi)) < 0);
		th_path_release(&path);
	}
	descend(th_slice_of("a"), false, &path);
	ck_assert_uint_eq(path.lo.size, 0);
	ck_assert(!path.open);
	th_path_release(&path);
	descend(th_slice_of("z"), false, &path);
	ck_assert(path.open);
	th_path_release(&path);
	end();
}
END_TEST

/* At a fence, the leaf before is another one than the leaf of the key. */
START_TEST(a_path_before_a_fence_ends_at_the_leaf_on_its_left)
{
	struct th_path path, before;
	struct th_key fence;

	begin();
	descend(th_slice_of("k002500"), false, &path);
	fence = path.lo;
	descend(th_key_slice(&fence), true, &before);
	ck_assert_ptr_ne(before.node[before.depth - 1], path.node[path.depth - 1]);
	ck_assert(!before.open);
	ck_assert_int_eq(th_slice_compare(th_key_slice(&before.hi), th_key_slice(&fence)), 0);
	th_path_release(&before);
	th_path_release(&path);
	descend((struct th_slice){ NULL, 0 }, true, &path); /* the last leaf */
	ck_assert(path.open);
	th_path_release(&path);
	end();
}
END_TEST

START_TEST(a_path_needs_each_node_that_is_not_in_memory)
{
	struct th_path path;
	struct th_need need;
	unsigned loads = 0;
	int err;

	begin();
	th_nodes_freeze(&nodes, &tree);
	th_need_init(&need);
	do {
		err = th_path_descend(nodes.cache, tree.root, th_slice_of("k002500"), false, &path, &need);
		if (err == -EAGAIN) {
			loads++;
			ck_assert_uint_eq(path.depth, 0);
			th_ok(th_need_load(&need, nodes.cache));
			th_cache_forget(nodes.cache, need.ptr.addr); /* the need holds it all the same */
		}
	} while (err == -EAGAIN);
	th_ok(err);
	ck_assert_uint_eq(loads, tree.root->level);
	th_path_release(&path);
	th_need_release(&need);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_path_ends_at_the_leaf_of_its_key,
				       a_path_before_a_fence_ends_at_the_leaf_on_its_left,
				       a_path_needs_each_node_that_is_not_in_memory };

	return th_tests_run("path", tests, sizeof(tests) / sizeof(tests[0]));
}
