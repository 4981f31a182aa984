/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the nodes of a tree: each fault of a node, of its place and of its counts is reported, and names the
 * node. */
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tests/tree/check/check_lines.h"
#include "tests/tree/nodes.h"
#include "tree/check/check.h"
#include "tree/node/message_apply.h"

static struct th_check_lines lines;
static struct th_nodes nodes;
static struct th_tree tree;
static struct th_store store; /* only its disk is used */
static struct th_check check;
static struct th_check_tree live;

static void release_check(void)
{
	free(check.nodes.slot);
	free(check.values.slot);
	free(check.holes);
}

/* Begins another check of the same disk. */
static void begin_check(void)
{
	release_check();
	lines.count = 0;
	check = (struct th_check){
		.store = &store,
		.options = { .problem = th_check_lines_take, .arg = &lines },
		.super = { .blocks = nodes.disk->blocks },
	};
}

/* A root with at least four leaves, not written yet. */
static void begin(void)
{
	th_nodes_init(&nodes, 1 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
	th_nodes_fill(&tree, 0, 1000, 100);
	ck_assert_uint_eq(tree.root->level, 1);
	ck_assert_uint_ge(tree.root->base.count, 4);
	store.disk = nodes.disk;
	check = (struct th_check){ 0 };
	begin_check();
}

static void end(void)
{
	release_check();
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

/* Checks the tree below a root, as that of the current branch. */
static void walk(const struct th_ptr *root)
{
	live = (struct th_check_tree){
		.kind = TH_CHECK_LIVE,
		.name = "live tree",
		.root = *root,
		.generation = 10,
		.sequence = UINT64_MAX,
		.at = TH_SLICE_EMPTY,
	};
	th_ok(th_check_tree(&check, &live));
}

/* Writes the tree and checks it. */
static void write_and_walk(void)
{
	th_nodes_freeze(&nodes, &tree);
	walk(&tree.root->ptr);
}

static void expect_one(const char *text)
{
	ck_assert_msg(lines.count == 1, "%u problems, expected one: %s; the first: %s", lines.count, text,
		      lines.text[0]);
	th_check_lines_expect(&lines, text);
}

START_TEST(a_sound_tree_has_no_problems)
{
	unsigned count;
	size_t bytes;

	begin();
	count = th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	write_and_walk();
	ck_assert_uint_eq(lines.count, 0);
	ck_assert(!check.incomplete);
	ck_assert_uint_eq(check.result.nodes, count);
	end();
}
END_TEST

/* Lookups rely on the fences, so such a node counts as unreadable. */
START_TEST(a_key_outside_the_fences_is_reported)
{
	struct th_node *leaf;

	begin();
	leaf = tree.root->children[0];
	th_ok(th_slab_insert(leaf, &leaf->base, leaf->base.count, th_test_put("zebra", "x", 0)));
	tree.root->records++;
	write_and_walk();
	expect_one("key zebra lies outside its fences");
	ck_assert(check.incomplete);
	ck_assert_uint_eq(check.holes_count, 1);
	ck_assert_uint_eq(check.holes[0].from.size, 0);
	ck_assert(!check.holes[0].open);
	end();
}
END_TEST

START_TEST(a_message_newer_than_its_node_is_reported)
{
	struct th_drops drops = { 0 };

	begin();
	th_ok(th_message_insert(tree.root, th_test_put("k000500x", "x", 4000000), &drops));
	write_and_walk();
	expect_one("the message for key k000500x has number 4000000");
	end();
}
END_TEST

/* N3 */
START_TEST(range_messages_that_reach_too_far_are_reported)
{
	begin();
	th_ok(th_slab_insert(tree.root, &tree.root->overlay, 0, th_test_delete_range("k000001", "k000999", 1)));
	write_and_walk();
	expect_one("the range message at key k000001 reaches into the next message, child or node");
	end();
	begin();
	th_ok(th_slab_insert(tree.root, &tree.root->overlay, 0, th_test_delete_range("k000001", "k000009", 1)));
	th_ok(th_slab_insert(tree.root, &tree.root->overlay, 1, th_test_put("k000005", "x", 2)));
	write_and_walk();
	expect_one("the range message at key k000001 reaches into the next message, child or node");
	end();
	begin();
	th_ok(th_slab_insert(tree.root, &tree.root->overlay, 0, th_test_delete_range("k000009", "k000001", 1)));
	write_and_walk();
	expect_one("the range message at key k000009 ends before it begins");
	end();
}
END_TEST

START_TEST(counts_that_differ_from_the_children_are_reported)
{
	struct th_ptr root;

	begin();
	tree.root->records += 5;
	write_and_walk();
	expect_one("1005 records, expected 1000");
	begin_check();
	root = tree.root->ptr;
	root.records = 1000;
	root.deletes = 3;
	walk(&root);
	expect_one("3 pending deletes, expected 0");
	end();
}
END_TEST

START_TEST(a_node_newer_than_its_tree_is_reported)
{
	struct th_ptr root;

	begin();
	th_nodes_freeze(&nodes, &tree);
	root = tree.root->ptr;
	root.seq++;
	walk(&root);
	th_check_lines_expect(&lines, "newest message");
	ck_assert_uint_eq(lines.count, 1);
	begin_check();
	live = (struct th_check_tree){
		.kind = TH_CHECK_LIVE,
		.name = "live tree",
		.root = tree.root->ptr,
		.generation = tree.root->ptr.birth - 1,
		.sequence = tree.root->ptr.seq - 1,
	};
	th_ok(th_check_tree(&check, &live));
	ck_assert_uint_eq(lines.count, 2);
	th_check_lines_expect(&lines, "the root was born in generation");
	th_check_lines_expect(&lines, "expected at most");
	end();
}
END_TEST

START_TEST(a_pointer_out_of_the_image_or_with_too_long_a_prefix_is_reported)
{
	struct th_ptr root;

	begin();
	th_nodes_freeze(&nodes, &tree);
	root = tree.root->ptr;
	root.addr = nodes.disk->blocks;
	walk(&root);
	expect_one("blocks are not inside the image");
	ck_assert(check.incomplete);
	ck_assert(check.holes_count == 1 && check.holes[0].open);
	begin_check();
	root = tree.root->ptr;
	root.prefix_size = 1; /* the root has no upper fence */
	walk(&root);
	expect_one("prefix of 1 bytes, but its fences share 0");
	end();
}
END_TEST

/* Puts the pointer of another child into a slot of a writable root. */
static void set_pointer(struct th_node *root, unsigned slot, const struct th_ptr *ptr)
{
	const struct th_entry *e = th_slab_entry(&root->base, slot);
	struct th_ptr_disk disk;
	struct th_entry *changed;
	struct th_key key;

	th_node_key(root, e, &key);
	th_ptr_pack(ptr, &disk);
	changed = th_message_put(th_key_slice(&key), TH_SLICE_EMPTY, (struct th_slice){ &disk, sizeof(disk) });
	ck_assert_ptr_nonnull(changed);
	th_slab_replace(root, &root->base, slot, changed);
}

START_TEST(a_node_that_is_in_a_tree_twice_is_reported)
{
	struct th_ptr first;

	begin();
	th_nodes_freeze(&nodes, &tree);
	th_ok(th_root_writable(&tree));
	th_ok(th_node_child_ptr(tree.root, 0, &first));
	set_pointer(tree.root, 1, &first);
	write_and_walk();
	th_check_lines_expect(&lines, "is in this tree twice");
	end();
}
END_TEST

START_TEST(a_child_newer_than_its_parent_is_reported)
{
	struct th_ptr child;

	begin();
	th_nodes_freeze(&nodes, &tree);
	th_ok(th_root_writable(&tree));
	th_ok(th_node_child_ptr(tree.root, 1, &child));
	child.seq = tree.root->seq + 1;
	set_pointer(tree.root, 1, &child);
	write_and_walk();
	th_check_lines_expect(&lines, "but its parent has at most");
	end();
}
END_TEST

/* One damaged node of two trees, and then of the live one: it is reported where it is found, and its keys are a
 * hole. */
START_TEST(a_damaged_node_is_a_hole_in_the_live_tree)
{
	struct th_check_tree snapshot;
	struct th_ptr child;

	begin();
	th_nodes_freeze(&nodes, &tree);
	th_ok(th_node_child_ptr(tree.root, 1, &child));
	th_nodes_damage(&nodes, child.addr);
	snapshot = (struct th_check_tree){ .kind = TH_CHECK_SNAPSHOT,
					   .name = "snapshot 1",
					   .root = tree.root->ptr,
					   .generation = 10,
					   .sequence = UINT64_MAX,
					   .owned = UINT64_MAX };
	th_ok(th_check_tree(&check, &snapshot));
	expect_one("wrong checksum");
	ck_assert_uint_eq(check.holes_count, 0);
	th_ok(th_check_tree(&check, &snapshot)); /* another snapshot with the same root */
	ck_assert_uint_eq(lines.count, 1);
	walk(&tree.root->ptr);
	ck_assert_uint_eq(lines.count, 2);
	th_check_lines_expect(&lines, "the damaged node of a snapshot is here too");
	ck_assert_uint_eq(check.holes_count, 1);
	end();
}
END_TEST

START_TEST(two_heads_that_own_a_node_are_reported)
{
	begin();
	write_and_walk();
	walk(&tree.root->ptr);
	ck_assert_uint_eq(lines.count, check.result.nodes); /* each of them */
	th_check_lines_expect(&lines, "another head owns it, too");
	end();
}
END_TEST

START_TEST(bytes_after_the_entries_are_reported)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_ptr leaf;

	begin();
	leaf = th_nodes_leaf(&nodes, "", 3, 2);
	th_ok(th_disk_read(nodes.disk, leaf.addr, 1, block));
	block[TH_BLOCK_SIZE - 1] = 1;
	th_ok(th_disk_write(nodes.disk, leaf.addr, 1, block));
	leaf.checksum = th_checksum(block, TH_BLOCK_SIZE);
	walk(&leaf);
	expect_one("byte 4095 after its entries is not zero");
	free(block);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_sound_tree_has_no_problems,
				       a_key_outside_the_fences_is_reported,
				       a_message_newer_than_its_node_is_reported,
				       range_messages_that_reach_too_far_are_reported,
				       counts_that_differ_from_the_children_are_reported,
				       a_node_newer_than_its_tree_is_reported,
				       a_pointer_out_of_the_image_or_with_too_long_a_prefix_is_reported,
				       a_node_that_is_in_a_tree_twice_is_reported,
				       a_child_newer_than_its_parent_is_reported,
				       a_damaged_node_is_a_hole_in_the_live_tree,
				       two_heads_that_own_a_node_are_reported,
				       bytes_after_the_entries_are_reported };

	return th_tests_run("check_tree", tests, sizeof(tests) / sizeof(tests[0]));
}
