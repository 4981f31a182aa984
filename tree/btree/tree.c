/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/push_down.h"
#include "tree/chunk.h"

#include <errno.h>
#include <stdlib.h>

void th_tree_init(struct th_tree *tree, struct th_cache *cache, uint64_t gen, uint32_t overlay_bytes)
{
	pthread_rwlockattr_t attr;

	*tree = (struct th_tree){
		.cache = cache,
		.gen = gen,
		.checkpoint_gen = gen - 1,
		.overlay_bytes = overlay_bytes,
	};
	pthread_rwlockattr_init(&attr);
	/* A merge is short; it must not starve behind readers. */
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

void th_tree_release(struct th_tree *tree)
{
	th_node_unref(tree->root);
	th_dead_nodes_release(&tree->dead);
	th_detached_free(tree->doomed);
	th_drops_release(&tree->drops);
	pthread_rwlock_destroy(&tree->lock);
}

/* --- from shared to writable --- */

/* What writing the node will take, in whole blocks: admission (txn.c) relies on it. */
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

int th_dead_nodes_add(struct th_dead_nodes *list, const struct th_dead_node *dead)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 64;
		struct th_dead_node *grown = realloc(list->dead, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->dead = grown;
		list->capacity = capacity;
	}
	list->dead[list->count++] = *dead;
	return 0;
}

void th_dead_nodes_release(struct th_dead_nodes *list)
{
	for (size_t i = 0; i < list->count; i++)
		th_node_unref(list->dead[i].node);
	free(list->dead);
	*list = (struct th_dead_nodes){ 0 };
}

/* A persistent node, or one that a commit is writing, leaves the tree.  One that only a frozen view knows was never
 * written. */
static int bury(struct th_tree *tree, struct th_node *node)
{
	struct th_dead_node dead = { 0 };
	int err;

	if (node->ptr.addr)
		dead.run = (struct th_run){ node->ptr.addr, node->ptr.birth, node->ptr.blocks };
	else if (node->gen <= tree->checkpoint_gen)
		dead.node = node;
	else
		return 0;
	err = th_dead_nodes_add(&tree->dead, &dead);
	if (err == 0 && dead.node)
		th_node_ref(node);
	return err;
}

/* A writable copy of a shared node, which leaves the tree. */
static int make_writable(struct th_tree *tree, struct th_node *node, struct th_node **ret)
{
	struct th_node *copy = th_node_copy(node, tree->gen);

	if (!copy)
		return -ENOMEM;
	if (bury(tree, node) < 0) {
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
	if (err < 0)
		return err;
	err = make_writable(tree, child, &copy);
	th_node_unref(child);
	if (err < 0)
		return err;
	err = th_node_set_child(node, i, copy);
	if (err < 0)
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
	if (err < 0)
		return err;
	th_node_unref(tree->root);
	tree->root = copy;
	return 0;
}

struct th_node *th_tree_freeze(struct th_tree *tree)
{
	__atomic_store_n(&tree->gen, tree->gen + 1, __ATOMIC_RELAXED); /* th_chunk_alloc reads it without the lock */
	return th_node_ref(tree->root);
}

/* --- the root --- */

/* A root that is too big gets a new root above it, whose only child it is until it is split. */
static int grow_root(struct th_tree *tree)
{
	struct th_node *root = th_node_new(tree->root->level + 1u, TH_SLICE_EMPTY, tree->gen);
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err;

	if (!root)
		return -ENOMEM;
	root->seq = tree->root->seq;
	root->chunks = tree->root->chunks;
	err = th_node_insert_child(root, 0, TH_SLICE_EMPTY, tree->root);
	if (err < 0) {
		th_node_unref(root);
		return err;
	}
	tree->root = root;
	return th_child_split(tree, root, 0, all, false);
}

/* A root with one child and nothing pending gives way to it, if it is in memory. */
static int shrink_root(struct th_tree *tree)
{
	struct th_need unused;
	struct th_node *child;

	while (tree->root->level > 0 && tree->root->base.count == 1 && tree->root->overlay.count == 0) {
		th_need_init(&unused);
		if (th_tree_child_writable(tree, tree->root, 0, &child, &unused) < 0)
			break;
		th_tree_unaccount(tree, tree->root);
		th_node_ref(child);
		th_node_unref(tree->root);
		tree->root = child;
	}
	return 0;
}

int th_root_fix(struct th_tree *tree)
{
	th_tree_account(tree, tree->root);
	while (th_node_too_big(tree->root)) {
		int err = tree->root->level + 1 < TH_HEIGHT_MAX ? grow_root(tree) : -EFBIG;

		if (err < 0)
			return err;
		th_tree_account(tree, tree->root);
	}
	return shrink_root(tree);
}

/* What is left to do after a message went into the root, and after each load that this takes. */
static int spread(struct th_tree *tree, struct th_need *need)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err = 0;

	if (tree->root->level > 0)
		err = th_push_down_relieve(tree, tree->root, all, need);
	if (err == 0 && need->push) {
		err = th_push_down_range(tree, tree->root, all, th_key_slice(&need->push_from),
					 th_key_slice(&need->push_to), need);
		need->push = err == -EAGAIN;
	}
	need->relieve = err == -EAGAIN;
	return err < 0 ? err : th_root_fix(tree);
}

int th_tree_insert(struct th_tree *tree, const struct th_entry *message, struct th_need *need)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err = th_root_writable(tree);

	if (err < 0) {
		th_entry_unref(message);
		return err;
	}
	need->push = (message->flags & TH_ENTRY_RANGE) != 0;
	if (need->push) {
		th_key_set(&need->push_from, (struct th_slice){ th_entry_key(message), th_entry_key_size(message) });
		th_key_set(&need->push_to, th_entry_value(message));
	}
	err = th_push_down_sink(tree, tree->root, all, message, need);
	if (err < 0) {
		need->relieve = err == -EAGAIN;
		return err;
	}
	return spread(tree, need);
}

int th_tree_relieve(struct th_tree *tree, struct th_need *need)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	struct th_key key = need->key;
	int err = th_root_writable(tree);

	if (err == 0 && tree->root->level > 0)
		err = th_push_down_relieve_path(tree, tree->root, all, need, th_key_slice(&key));
	if (err < 0) {
		need->relieve = err == -EAGAIN;
		return err;
	}
	return spread(tree, need);
}

int th_tree_put(struct th_tree *tree, const struct th_entry *message)
{
	struct th_need need;
	int err;

	th_need_init(&need);
	pthread_rwlock_wrlock(&tree->lock);
	err = th_tree_insert(tree, message, &need);
	while (err == -EAGAIN) {
		pthread_rwlock_unlock(&tree->lock);
		err = th_need_load(&need, tree->cache);
		pthread_rwlock_wrlock(&tree->lock);
		if (err == 0)
			err = th_tree_relieve(tree, &need);
	}
	pthread_rwlock_unlock(&tree->lock);
	th_need_release(&need);
	return err;
}
