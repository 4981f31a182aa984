/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: all nodes from a root to one leaf. */
#ifndef TH_TREE_BTREE_PATH_H
#define TH_TREE_BTREE_PATH_H

#include "tree/btree/need.h"

/* A reference to each node is held. */
struct th_path {
	unsigned depth; /* nodes; the last is the leaf */
	struct th_node *node[TH_HEIGHT_MAX];
	unsigned child[TH_HEIGHT_MAX];
	struct th_key lo, hi; /* the leaf's fences; after an error, those of the node that could not be reached */
	bool open; /* no upper fence */
};

/* Descends to the leaf whose range has `key`.  before: to the leaf with the greatest keys less than `key` (data
 * NULL: to the last leaf).  Returns 0, -EAGAIN and *need if a node is not in memory, or -EUCLEAN; on an error
 * nothing is held, and *path has only fences. The tree's lock is held at least shared, or the root is persistent. */
int th_path_descend(struct th_cache *cache, struct th_node *root, struct th_slice key, bool before,
		    struct th_path *path, struct th_need *need);
void th_path_release(struct th_path *path);

#endif
