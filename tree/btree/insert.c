/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/insert.h"

#include <errno.h>

#include "tree/btree/push_down.h"
#include "tree/node/message.h"

/* Puts a new root above one that is too big, and splits that. */
static int grow_root(struct th_tree *tree)
{
	struct th_node *root = th_node_new(tree->root->level + 1u, TH_SLICE_EMPTY, tree->gen);
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err;

	if (!root)
		return -ENOMEM;
	root->seq = tree->root->seq;
	root->records = th_node_records(tree->root);
	root->chunks = tree->root->chunks;
	err = th_node_insert_child(root, 0, TH_SLICE_EMPTY, tree->root);
	if (err) {
		th_node_unref(root);
		return err;
	}
	tree->root = root;
	return th_child_split(tree, root, 0, all, false);
}

/* Replaces a root with one child and no pending messages by the child, if that is in memory. */
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
	int err;

	th_tree_account(tree, tree->root);
	while (th_node_too_big(tree->root)) {
		err = tree->root->level + 1 < TH_HEIGHT_MAX ? grow_root(tree) : -EFBIG;
		if (err)
			return err;
		th_tree_account(tree, tree->root);
	}
	err = th_node_collapse(tree, tree->root, (struct th_fences){ TH_SLICE_EMPTY, { NULL, 0 } });
	return err ? err : shrink_root(tree);
}

/* Pushes down what exceeds budgets after a message was inserted.  Also continues this after a node was loaded. */
static int spread(struct th_tree *tree, struct th_need *need)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err = 0;

	if (tree->root->level > 0)
		err = th_push_down_relieve(tree, tree->root, all, need);
	if (!err && need->push) {
		err = th_push_down_range(tree, tree->root, all, th_key_slice(&need->push_from),
					 th_key_slice(&need->push_to), need);
		need->push = err == -EAGAIN;
	}
	need->relieve = err == -EAGAIN;
	return err ? err : th_root_fix(tree);
}

int th_tree_insert(struct th_tree *tree, const struct th_entry *message, struct th_need *need)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err = th_root_writable(tree);

	if (err) {
		th_entry_unref(message);
		return err;
	}
	need->push = th_message_is_range(message);
	if (need->push) {
		th_key_set(&need->push_from, (struct th_slice){ th_entry_key(message), th_entry_key_size(message) });
		th_key_set(&need->push_to, th_entry_value(message));
	}
	err = th_push_down_sink(tree, tree->root, all, message, need);
	if (err) {
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

	if (!err && tree->root->level > 0)
		err = th_push_down_relieve_path(tree, tree->root, all, need, th_key_slice(&key));
	if (err) {
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
		if (!err)
			err = th_tree_relieve(tree, &need);
	}
	pthread_rwlock_unlock(&tree->lock);
	th_need_release(&need);
	return err;
}
