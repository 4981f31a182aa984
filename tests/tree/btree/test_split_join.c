/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and joins: nodes keep their size, and no entry is lost or moved out of order. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/btree/split_join.h"
#include "tree/node/message_apply.h"

static const struct th_fences all = { { "", 0 }, { NULL, 0 } };
static struct th_nodes nodes;
static struct th_tree tree;

/* A root with these writable leaves, which have records of some 120 bytes. */
static void begin(const unsigned *records, unsigned leaves)
{
	unsigned number = 0;
	char key[16], value[101];

	memset(value, 'v', 100);
	value[100] = 0;
	th_nodes_init(&nodes, 1 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_node_unref(tree.root);
	tree.root = th_node_new(1, TH_SLICE_EMPTY, tree.gen);
	ck_assert_ptr_nonnull(tree.root);
	for (unsigned i = 0; i < leaves; i++) {
		struct th_node *leaf = th_node_new(0, TH_SLICE_EMPTY, tree.gen);
		struct th_key fence;

		snprintf(key, sizeof(key), "k%06u", number);
		th_key_set(&fence, i > 0 ? th_slice_of(key) : TH_SLICE_EMPTY);
		for (unsigned j = 0; j < records[i]; j++) {
			snprintf(key, sizeof(key), "k%06u", number++);
			th_ok(th_slab_insert(leaf, &leaf->base, j, th_test_put(key, value, 0)));
		}
		th_ok(th_node_insert_child(tree.root, i, th_key_slice(&fence), leaf));
		th_tree_account(&tree, leaf);
	}
	th_tree_account(&tree, tree.root);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

/* All leaves have all keys in order. */
static void check(unsigned records)
{
	unsigned number = 0;
	size_t bytes;
	char key[16];

	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	for (unsigned i = 0; i < tree.root->base.count; i++) {
		const struct th_node *leaf = tree.root->children[i];

		for (unsigned j = 0; j < leaf->base.count; j++) {
			struct th_key found;

			snprintf(key, sizeof(key), "k%06u", number++);
			th_node_key(leaf, th_slab_entry(&leaf->base, j), &found);
			ck_assert_int_eq(th_slice_compare(th_key_slice(&found), th_slice_of(key)), 0);
		}
	}
	ck_assert_uint_eq(number, records);
}

START_TEST(a_big_leaf_splits_into_even_pieces)
{
	begin((const unsigned[]){ 250 }, 1);
	ck_assert(th_node_too_big(tree.root->children[0]));
	th_ok(th_child_fix(&tree, tree.root, 0, all, false, NULL));
	ck_assert_uint_eq(tree.root->base.count, 2);
	ck_assert_uint_ge(tree.root->children[0]->base.count, 120);
	ck_assert_uint_ge(tree.root->children[1]->base.count, 120);
	check(250);
	end();
}
END_TEST

START_TEST(a_leaf_that_grew_at_its_end_leaves_a_full_piece)
{
	begin((const unsigned[]){ 170 }, 1);
	ck_assert(th_node_too_big(tree.root->children[0]));
	th_ok(th_child_fix(&tree, tree.root, 0, all, true, NULL));
	ck_assert_uint_eq(tree.root->base.count, 2);
	ck_assert_uint_gt(tree.root->children[0]->base.bytes, TH_LEAF_BYTES * 9 / 10);
	check(170);
	end();
}
END_TEST

/* The shortest separator, and the longest prefix. */
START_TEST(pieces_have_short_fences_and_long_prefixes)
{
	struct th_key fence;

	begin((const unsigned[]){ 250 }, 1);
	th_ok(th_child_split(&tree, tree.root, 0, (struct th_fences){ th_slice_of("k0000"), th_slice_of("k0003") },
			     false));
	th_node_key(tree.root, th_slab_entry(&tree.root->base, 1), &fence);
	ck_assert_uint_le(fence.size, strlen("k000125"));
	ck_assert_uint_ge(tree.root->children[0]->prefix_size, strlen("k000"));
	ck_assert_uint_ge(tree.root->children[1]->prefix_size, strlen("k000"));
	end();
}
END_TEST

/* N3: none reaches across a child boundary. */
START_TEST(a_split_cuts_range_messages_of_the_parent)
{
	struct th_drops drops = { 0 };

	begin((const unsigned[]){ 250 }, 1);
	th_ok(th_message_insert(tree.root, th_test_delete_range("k000001", "k000249", 1), &drops));
	th_tree_account(&tree, tree.root);
	th_ok(th_child_fix(&tree, tree.root, 0, all, false, NULL));
	ck_assert_uint_eq(tree.root->overlay.count, 2);
	check(250);
	end();
}
END_TEST

START_TEST(small_neighbours_are_joined)
{
	begin((const unsigned[]){ 100, 10, 20, 100 }, 4);
	th_ok(th_child_fix(&tree, tree.root, 1, all, false, NULL));
	ck_assert_uint_eq(tree.root->base.count, 3);
	ck_assert_uint_eq(tree.root->children[1]->base.count, 30);
	check(230);
	end();
}
END_TEST

START_TEST(the_last_child_is_joined_with_the_one_before)
{
	begin((const unsigned[]){ 100, 20, 10 }, 3);
	th_ok(th_child_fix(&tree, tree.root, 2, all, false, NULL));
	ck_assert_uint_eq(tree.root->base.count, 2);
	check(130);
	end();
}
END_TEST

START_TEST(neighbours_that_do_not_fit_stay)
{
	begin((const unsigned[]){ 10, 130 }, 2);
	th_ok(th_child_fix(&tree, tree.root, 0, all, false, NULL));
	ck_assert_uint_eq(tree.root->base.count, 2);
	check(140);
	end();
}
END_TEST

START_TEST(fences_of_a_child_are_its_neighbours_keys)
{
	struct th_fences at = { th_slice_of("a"), th_slice_of("z") }, child;
	struct th_key lo, hi;

	begin((const unsigned[]){ 2, 2, 2 }, 3);
	child = th_child_fences(tree.root, 0, at, &lo, &hi);
	ck_assert_int_eq(th_slice_compare(child.lo, at.lo), 0);
	ck_assert_int_eq(th_slice_compare(child.hi, th_slice_of("k000002")), 0);
	child = th_child_fences(tree.root, 2, at, &lo, &hi);
	ck_assert_int_eq(th_slice_compare(child.lo, th_slice_of("k000004")), 0);
	ck_assert_int_eq(th_slice_compare(child.hi, at.hi), 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_big_leaf_splits_into_even_pieces,
				       a_leaf_that_grew_at_its_end_leaves_a_full_piece,
				       pieces_have_short_fences_and_long_prefixes,
				       a_split_cuts_range_messages_of_the_parent,
				       small_neighbours_are_joined,
				       the_last_child_is_joined_with_the_one_before,
				       neighbours_that_do_not_fit_stay,
				       fences_of_a_child_are_its_neighbours_keys };

	return th_tests_run("split_join", tests, sizeof(tests) / sizeof(tests[0]));
}
