/* SPDX-License-Identifier: Apache-2.0 */
/* The node writer: its nodes are read back, children come first, and a failed transfer makes nothing persistent. */
#include "tests/tree/nodes.h"

#include <stdio.h>

#include "tree/io/node_writer.h"
#include "tree/node/message_apply.h"
#include "tree/state/state.h"

#define GENERATION 1000u /* later than the store's */
#define RECORDS 3000u

static struct th_fixture fixture;
static struct th_tree tree;
static struct th_taken taken;

/* A tree of its own beside the live one, in blocks that are only taken. */
static void begin(void)
{
	th_fixture_init(&fixture, 64, NULL);
	th_tree_init(&tree, fixture.store->cache, GENERATION, TH_OVERLAY_BYTES);
	th_ok(th_tree_load(&tree, &(struct th_ptr){ 0 }));
	th_nodes_fill(&tree, 0, RECORDS, 100);
	ck_assert_uint_ge(tree.root->level, 1);
	taken = (struct th_taken){ 0 };
}

static void end(void)
{
	th_taken_give(&taken, fixture.store->space);
	ck_assert_uint_eq(taken.count, 0);
	th_tree_release(&tree);
	th_verify_check(fixture.store, NULL); /* no block is lost */
	th_fixture_release(&fixture);
}

static int write_tree(struct th_node *root, struct th_ptr *ret)
{
	struct th_node_writer *writer;
	int err;

	th_ok(th_node_writer_new(fixture.store, &tree, GENERATION, &taken, &writer));
	err = th_node_writer_tree(writer, root, ret);
	if (!err)
		err = th_node_writer_finish(writer);
	th_node_writer_free(writer);
	return err;
}

/* Checks that children lie before their parents, and returns the number of blocks. */
static uint64_t check_order(struct th_node *node)
{
	uint64_t blocks = (uint64_t)node->ptr.blocks * th_ptr_copies(&node->ptr);

	for (unsigned i = 0; node->level > 0 && i < node->base.count; i++) {
		struct th_node *child;
		struct th_ptr ptr;
		struct th_key fence;

		th_ok(th_node_child_ptr(node, i, &ptr));
		ck_assert_uint_eq(ptr.birth, GENERATION);
		ck_assert_uint_lt(ptr.addr, node->ptr.addr);
		th_node_key(node, th_slab_entry(&node->base, i), &fence);
		th_ok(th_cache_load(fixture.store->cache, &ptr, th_key_slice(&fence), &child));
		blocks += check_order(child);
		th_node_unref(child);
	}
	return blocks;
}

START_TEST(a_written_tree_is_persistent_and_in_the_cache)
{
	struct th_node *root;
	struct th_ptr ptr;
	uint64_t before;
	size_t bytes;

	begin();
	root = th_tree_freeze(&tree);
	th_ok(write_tree(root, &ptr));
	ck_assert(th_node_is_persistent(root)); /* the same node, which the tree still uses */
	ck_assert_uint_eq(root->ptr.addr, ptr.addr);
	ck_assert_ptr_null(root->children);
	before = fixture.disk->reads;
	th_test_check_tree(fixture.store->cache, root, 0, &bytes);
	ck_assert_uint_eq(fixture.disk->reads, before);
	th_node_unref(root);
	end();
}
END_TEST

START_TEST(a_written_tree_is_read_back)
{
	struct th_node *root, *found;
	uint64_t blocks = 0;
	struct th_ptr ptr;
	size_t bytes;

	begin();
	root = th_tree_freeze(&tree);
	th_ok(write_tree(root, &ptr));
	for (size_t i = 0; i < taken.count; i++) {
		for (uint64_t addr = taken.run[i].addr; addr < taken.run[i].addr + taken.run[i].blocks; addr++)
			th_cache_forget(fixture.store->cache, addr);
		blocks += taken.run[i].blocks;
	}
	th_ok(th_cache_load(fixture.store->cache, &ptr, TH_SLICE_EMPTY, &found));
	ck_assert_ptr_ne(found, root);
	th_test_check_tree(fixture.store->cache, found, 0, &bytes);
	ck_assert_uint_eq(check_order(found), blocks);
	th_node_unref(found);
	th_node_unref(root);
	end();
}
END_TEST

START_TEST(only_new_nodes_are_written_again)
{
	struct th_node *root;
	struct th_ptr first, second;
	uint64_t before;

	begin();
	root = th_tree_freeze(&tree);
	th_ok(write_tree(root, &first));
	th_node_unref(root);
	th_nodes_fill(&tree, RECORDS, RECORDS + 1, 100);
	before = fixture.store->node_writes;
	root = th_tree_freeze(&tree);
	th_ok(write_tree(root, &second));
	ck_assert_uint_ne(first.addr, second.addr);
	ck_assert_uint_le(fixture.store->node_writes - before, tree.root->level + 1u);
	ck_assert_uint_ge(fixture.store->node_writes - before, 1);
	th_node_unref(root);
	end();
}
END_TEST

START_TEST(a_failed_transfer_makes_nothing_above_it_persistent)
{
	struct th_node *root;
	struct th_ptr ptr;

	begin();
	root = th_tree_freeze(&tree);
	th_disk_fault_arm(fixture.disk, TH_FAULT_ERROR, 0);
	th_expect(write_tree(root, &ptr), -EIO);
	ck_assert(!th_node_is_persistent(root));
	ck_assert_ptr_nonnull(root->children);
	th_disk_fault_arm(fixture.disk, TH_FAULT_NONE, 0);
	th_node_unref(root);
	end();
}
END_TEST

/* Nodes of no tree are dropped when they are on the disk. */
START_TEST(single_nodes_are_written_and_dropped)
{
	struct th_node *leaf = th_node_new(0, TH_SLICE_EMPTY, GENERATION), *found;
	struct th_node_writer *writer;
	struct th_drops drops = { 0 };
	struct th_ptr ptr;

	begin();
	th_ok(th_message_apply(leaf, th_test_put("key", "value", 1), &drops));
	th_ok(th_node_writer_new(fixture.store, NULL, GENERATION, &taken, &writer));
	th_ok(th_node_writer_node(writer, leaf, &ptr));
	ck_assert_uint_eq(leaf->refs, 2);
	th_ok(th_node_writer_finish(writer));
	ck_assert_uint_eq(leaf->refs, 1);
	th_node_writer_free(writer);
	th_ok(th_cache_load(fixture.store->cache, &ptr, TH_SLICE_EMPTY, &found));
	th_test_expect_slab(found, &found->base, "key=value");
	th_node_unref(found);
	th_node_unref(leaf);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_written_tree_is_persistent_and_in_the_cache, a_written_tree_is_read_back,
				       only_new_nodes_are_written_again,
				       a_failed_transfer_makes_nothing_above_it_persistent,
				       single_nodes_are_written_and_dropped };

	return th_tests_run("node_writer", tests, sizeof(tests) / sizeof(tests[0]));
}
