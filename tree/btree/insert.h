/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inserting messages into a tree, and keeping its root within its limits.
 *
 * A message may leave an overlay over its budget because a node below is not in memory.  The message is in the tree
 * then, and the caller continues as follows:
 *
 *	th_need_init(&need);
 *	lock exclusively
 *	err = th_tree_insert(tree, message, &need);
 *	while (err == -EAGAIN) {
 *		unlock
 *		err = th_need_load(&need, tree->cache);
 *		lock exclusively
 *		if (!err)
 *			err = th_tree_relieve(tree, &need);
 *	}
 *	unlock
 *	th_need_release(&need);
 */
#ifndef TH_TREE_BTREE_INSERT_H
#define TH_TREE_BTREE_INSERT_H

#include "tree/btree/tree.h"

/* Inserts a heap message, whose reference it takes over in any case.  Returns 0, -EAGAIN and *need if
 * th_tree_relieve must follow, or an error: then the tree must not be used any more.  The tree is locked
 * exclusively. */
int th_tree_insert(struct th_tree *tree, const struct th_entry *message, struct th_need *need);
/* Continues an insertion once the node in *need was loaded.  Returns as th_tree_insert. */
int th_tree_relieve(struct th_tree *tree, struct th_need *need);

/* Inserts one message and loads the nodes that this takes.  Takes over the message's reference.  Returns 0 or an error.
 * The tree's lock is not held. */
int th_tree_put(struct th_tree *tree, const struct th_entry *message);

/* Splits a root that is too big, and replaces one by its only child if no message is pending in it.  The root is
 * writable, and the tree locked exclusively.  Returns 0, -ENOMEM, or -EFBIG if the tree is as high as it may be. */
int th_root_fix(struct th_tree *tree);

#endif
