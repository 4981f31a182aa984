/* SPDX-License-Identifier: Apache-2.0 */
/* The gate from shared to writable: frozen nodes stay unchanged, and nodes that leave the tree are on the list of dead
 * nodes. */
#include "tests/tree/nodes.h"

#include "tree/btree/detach.h"

static struct th_nodes nodes;
static struct th_tree tree;

static void begin(void)
{
	th_nodes_init(&nodes, 1 << 20);
	th_nodes_tree(&nodes, &tree, TH_OVERLAY_BYTES);
}

static void end(void)
{
	th_tree_release(&tree);
	th_nodes_release(&nodes);
}

static struct th_node *writable(struct th_node *node, unsigned i)
{
	struct th_need need;
	struct th_node *child;
	int err;

	th_need_init(&need);
	err = th_tree_child_writable(&tree, node, i, &child, &need);
	if (err == -EAGAIN) {
		th_ok(th_need_load(&need, tree.cache));
		err = th_tree_child_writable(&tree, node, i, &child, &need);
	}
	th_need_release(&need);
	th_ok(err);
	return child;
}

START_TEST(a_tree_without_pointer_is_an_empty_leaf)
{
	begin();
	ck_assert_uint_eq(tree.root->level, 0);
	ck_assert_uint_eq(tree.root->base.count, 0);
	ck_assert_uint_eq(tree.root->gen, 2);
	end();
}
END_TEST

START_TEST(a_tree_loads_the_root_it_is_given)
{
	struct th_tree other;
	struct th_ptr ptr;

	begin();
	ptr = th_nodes_leaf(&nodes, "", 3, 1);
	th_tree_init(&other, nodes.cache, 7, TH_OVERLAY_BYTES);
	th_ok(th_tree_load(&other, &ptr));
	ck_assert_uint_eq(other.root->base.count, 3);
	th_tree_release(&other);
	th_cache_forget(nodes.cache, ptr.addr);
	th_nodes_damage(&nodes, ptr.addr);
	th_tree_init(&other, nodes.cache, 7, TH_OVERLAY_BYTES);
	th_expect(th_tree_load(&other, &ptr), -EBADMSG);
	th_tree_release(&other);
	end();
}
END_TEST

START_TEST(a_shared_child_is_copied_once)
{
	struct th_node *frozen, *child, *old;
	struct th_ptr ptr;

	begin();
	th_nodes_fill(&tree, 0, 1000, 100);
	ck_assert_uint_eq(tree.root->level, 1);
	th_nodes_freeze(&nodes, &tree);
	frozen = th_node_ref(tree.root);
	th_ok(th_node_child_ptr(frozen, 1, &ptr));
	th_ok(th_root_writable(&tree));
	ck_assert_ptr_ne(tree.root, frozen);
	child = writable(tree.root, 1);
	ck_assert_uint_eq(child->gen, tree.gen); /* N1 */
	ck_assert_uint_eq(tree.dead.count, 2); /* root and child */
	ck_assert_uint_eq(tree.dead.dead[0].ptr.addr, frozen->ptr.addr);
	ck_assert_uint_eq(tree.dead.dead[1].ptr.addr, ptr.addr);
	ck_assert_uint_eq(tree.dead.dead[1].ptr.blocks, ptr.blocks);
	ck_assert_ptr_eq(writable(tree.root, 1), child);
	ck_assert_uint_eq(tree.dead.count, 2);
	th_slab_remove(child, &child->base, 0, child->base.count, true);
	old = th_cache_get(nodes.cache, &ptr);
	ck_assert_uint_gt(old->base.count, 0); /* not the copy */
	th_node_unref(old);
	th_node_unref(frozen);
	end();
}
END_TEST

START_TEST(dirty_bytes_are_those_of_transient_nodes)
{
	size_t bytes;

	begin();
	th_nodes_fill(&tree, 0, 1000, 100);
	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	th_nodes_freeze(&nodes, &tree);
	ck_assert_uint_eq(tree.dirty_bytes, 0);
	th_ok(th_root_writable(&tree));
	writable(tree.root, 0);
	th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	th_tree_unaccount(&tree, tree.root->children[0]);
	th_tree_unaccount(&tree, tree.root);
	ck_assert_uint_eq(tree.dirty_bytes, 0);
	end();
}
END_TEST

/* All levels are transient: detaching must subtract the leaves too, and add every node of the empty subtree. */
START_TEST(dirty_bytes_are_those_of_the_tree_after_a_subtree_is_detached)
{
	size_t bytes;

	begin();
	th_nodes_fill(&tree, 0, 8000, 100);
	ck_assert_uint_ge(tree.root->level, 2);
	th_ok(th_tree_detach(&tree, tree.root, 0, tree.root->base.count, TH_SLICE_EMPTY, (struct th_slice){ NULL, 0 },
			     9000));
	tree.root->seq = 9000;
	th_tree_account(&tree, tree.root);
	ck_assert_uint_eq(th_test_check_tree(nodes.cache, tree.root, tree.gen, &bytes), tree.root->level + 1u);
	ck_assert_uint_eq(bytes, (tree.root->level + 1u) * TH_BLOCK_SIZE);
	ck_assert_uint_eq(tree.dirty_bytes, bytes);
	end();
}
END_TEST

/* A node that a checkpoint is writing has no address yet: it is kept by a reference.  One that no checkpoint writes
 * is not on the list. */
START_TEST(nodes_without_address_are_dead_if_they_are_being_written)
{
	struct th_node *frozen;

	begin();
	frozen = th_tree_freeze(&tree);
	th_ok(th_root_writable(&tree));
	ck_assert_uint_eq(tree.dead.count, 0);
	th_node_unref(frozen);
	frozen = th_tree_freeze(&tree);
	tree.checkpoint_gen = tree.gen - 1;
	th_ok(th_root_writable(&tree));
	ck_assert_uint_eq(tree.dead.count, 1);
	ck_assert_ptr_eq(tree.dead.dead[0].node, frozen);
	th_node_unref(frozen);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_tree_without_pointer_is_an_empty_leaf,
				       a_tree_loads_the_root_it_is_given,
				       a_shared_child_is_copied_once,
				       dirty_bytes_are_those_of_transient_nodes,
				       dirty_bytes_are_those_of_the_tree_after_a_subtree_is_detached,
				       nodes_without_address_are_dead_if_they_are_being_written };

	return th_tests_run("tree", tests, sizeof(tests) / sizeof(tests[0]));
}
