/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that a walk needs from the disk.
 *
 * A tree's lock is never held while the disk is read.  A walk that needs a node which is not in memory returns -EAGAIN
 * and names the node in a th_need.  Its caller drops the lock, loads the node with th_need_load and retries the walk.
 */
#ifndef TH_TREE_BTREE_NEED_H
#define TH_TREE_BTREE_NEED_H

#include "tree/node/cache.h"

#define TH_NEED_HELD (2 * TH_HEIGHT_MAX)

/* The node to be loaded, and the nodes loaded so far: they are held so that the walk makes progress however small the
 * cache is. */
struct th_need {
	struct th_ptr ptr;
	struct th_key fence; /* the node's lower fence */
	bool relieve; /* an overlay on the way to `key` was left over its budget */
	struct th_key key;
	bool push; /* a wide range message [push_from, push_to) is on its way down */
	struct th_key push_from, push_to;
	struct th_node *held[TH_NEED_HELD];
	unsigned loads;
	bool optional; /* the change works without the node: it would push deletes down or join small nodes */
	bool skip_optional; /* an optional node could not be read: the rest of the change does without such nodes */
	struct th_ptr doubted; /* a node that could not be loaded; the tree may have left it since */
};

void th_need_init(struct th_need *need);
/* Loads the node that is needed and keeps a reference to it.  Call without the tree's lock, then retry the walk.
 * Returns 0 or a read's error.  A damaged node is reported, and an error, only when it is needed a second time: the
 * tree changes while the lock is dropped, so the node's blocks may have been freed and reused.  An optional node that
 * cannot be read is no error: the retry does without. */
int th_need_load(struct th_need *need, struct th_cache *cache);
/* Drops the references to loaded nodes. */
void th_need_release(struct th_need *need);

/* Returns child i of a node in *ret, with a reference for the caller.  If it is not in memory: -EAGAIN and *need.
 * -EUCLEAN if its pointer is broken.  The tree's lock is held at least shared, or the node is persistent. */
int th_tree_child(struct th_cache *cache, struct th_node *node, unsigned i, struct th_node **ret, struct th_need *need);

#endif
