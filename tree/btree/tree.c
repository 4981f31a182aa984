/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/btree/detach.h"

void th_tree_init(struct th_tree *tree, struct th_cache *cache, uint64_t gen, uint32_t overlay_bytes)
{
	pthread_rwlockattr_t attr;

	*tree = (struct th_tree){
		.cache = cache,
		.gen = gen,
		.checkpoint_gen = gen - 1,
		.overlay_bytes = overlay_bytes,
		.dirty_limit = SIZE_MAX,
	};
	pthread_rwlockattr_init(&attr);
	/* Writers hold the lock briefly, and must not starve because readers follow one another. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&tree->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int th_tree_load(struct th_tree *tree, const struct th_ptr *ptr)
{
	if (ptr->addr)
		return th_cache_load(tree->cache, ptr, TH_SLICE_EMPTY, &tree->root);
	tree->root = th_node_new(0, TH_SLICE_EMPTY, tree->gen);
	return tree->root ? 0 : -ENOMEM;
}

int th_tree_load_above(struct th_tree *tree, const struct th_ptr *ptr)
{
	struct th_node *root =
		ptr->level + 1 < TH_HEIGHT_MAX ? th_node_new(ptr->level + 1u, TH_SLICE_EMPTY, tree->gen) : NULL;
	struct th_ptr_disk disk;
	struct th_entry *e;

	if (!root)
		return ptr->level + 1 < TH_HEIGHT_MAX ? -ENOMEM : -EUCLEAN;
	th_ptr_pack(ptr, &disk);
	e = th_entry_new(TH_ENTRY_VALUE, TH_SLICE_EMPTY, TH_SLICE_EMPTY, (struct th_slice){ &disk, sizeof(disk) });
	if (!e || th_slab_insert(root, &root->base, 0, e)) {
		if (e)
			th_entry_unref(e);
		th_node_unref(root);
		return -ENOMEM;
	}
	root->seq = ptr->seq;
	root->chunks = ptr->chunks;
	root->records = ptr->records;
	tree->root = root;
	return 0;
}

void th_tree_release(struct th_tree *tree)
{
	th_node_unref(tree->root);
	th_dead_nodes_release(&tree->dead);
	th_detached_free(tree->detached);
	th_drops_release(&tree->drops);
	pthread_rwlock_destroy(&tree->lock);
}

/* --- from shared to writable --- */

void th_tree_account(struct th_tree *tree, struct th_node *node)
{
	uint32_t size = (uint32_t)(th_node_packed_size(node) + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE * TH_BLOCK_SIZE;

	tree->dirty_bytes += size;
	tree->dirty_bytes -= node->accounted;
	node->accounted = size;
}

void th_tree_unaccount(struct th_tree *tree, struct th_node *node)
{
	tree->dirty_bytes -= node->accounted;
	node->accounted = 0;
}

/* The transient nodes of a subtree lie above all others: none is below a node of an earlier generation (N1). */
static void unaccount_subtree(struct th_tree *tree, struct th_node *node)
{
	if (node->gen != tree->gen)
		return;
	for (unsigned i = 0; node->children && i < node->base.count; i++)
		if (node->children[i])
			unaccount_subtree(tree, node->children[i]);
	th_tree_unaccount(tree, node);
}

int th_tree_detach(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
		   struct th_slice hi, uint64_t seq)
{
	int err;

	for (unsigned i = from; node->children && i < to; i++)
		if (node->children[i])
			unaccount_subtree(tree, node->children[i]);
	err = th_detached_replace(tree, node, from, to, lo, hi, seq);
	if (err)
		return err;
	for (struct th_node *empty = node->children[from]; empty; empty = empty->level > 0 ? empty->children[0] : NULL)
		th_tree_account(tree, empty);
	return 0;
}

int th_dead_nodes_add(struct th_dead_nodes *list, const struct th_dead_node *dead)
{
	return th_append(list->dead, list->capacity, list->count, *dead);
}

int th_dead_nodes_add_run(struct th_dead_nodes *list, const struct th_run *run)
{
	struct th_ptr ptr = { .addr = run->addr, .birth = run->birth, .blocks = (uint16_t)run->blocks };

	return th_dead_nodes_add(list, &(struct th_dead_node){ .ptr = ptr });
}

void th_dead_nodes_release(struct th_dead_nodes *list)
{
	for (size_t i = 0; i < list->count; i++)
		th_node_unref(list->dead[i].node);
	free(list->dead);
	*list = (struct th_dead_nodes){ 0 };
}

/* Adds a node that leaves the tree to the dead nodes, if it is persistent or a checkpoint is writing it.  Others were
 * never written; only a frozen view may still use them. */
static int add_dead(struct th_tree *tree, struct th_node *node)
{
	struct th_dead_node dead = { 0 };
	int err;

	if (node->ptr.addr)
		dead.ptr = node->ptr;
	else if (node->gen <= tree->checkpoint_gen)
		dead.node = node;
	else
		return 0;
	err = th_dead_nodes_add(&tree->dead, &dead);
	if (!err && dead.node)
		th_node_ref(node);
	return err;
}

/* Makes a writable copy of a shared node, which leaves the tree. */
static int make_writable(struct th_tree *tree, struct th_node *node, struct th_node **ret)
{
	struct th_node *copy = th_node_copy(node, tree->gen);

	if (!copy)
		return -ENOMEM;
	if (add_dead(tree, node) < 0) {
		th_node_unref(copy);
		return -ENOMEM;
	}
	th_tree_account(tree, copy);
	*ret = copy;
	return 0;
}

int th_tree_child_writable(struct th_tree *tree, struct th_node *node, unsigned i, struct th_node **ret,
			   struct th_need *need)
{
	struct th_node *child, *copy;
	int err;

	if (node->children && node->children[i] && node->children[i]->gen == tree->gen) {
		*ret = node->children[i];
		return 0;
	}
	err = th_tree_child(tree->cache, node, i, &child, need);
	if (err)
		return err;
	err = make_writable(tree, child, &copy);
	th_node_unref(child);
	if (err)
		return err;
	err = th_node_set_child(node, i, copy);
	if (err)
		th_node_unref(copy);
	else
		*ret = copy;
	return err;
}

int th_root_writable(struct th_tree *tree)
{
	struct th_node *copy;
	int err;

	if (tree->root->gen == tree->gen)
		return 0;
	err = make_writable(tree, tree->root, &copy);
	if (err)
		return err;
	th_node_unref(tree->root);
	tree->root = copy;
	return 0;
}

struct th_node *th_tree_freeze(struct th_tree *tree)
{
	__atomic_store_n(&tree->gen, tree->gen + 1, __ATOMIC_RELAXED); /* see th_tree_generation() */
	return th_node_ref(tree->root);
}
