/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting and joining: keeps nodes within their size limits.
 *
 * Everything here is called with the tree locked exclusively, on writable nodes.
 */
#ifndef TH_TREE_BTREE_SPLIT_JOIN_H
#define TH_TREE_BTREE_SPLIT_JOIN_H

#include "tree/btree/tree.h"

/* The range of keys of a node; hi.data NULL: no upper bound. */
struct th_fences {
	struct th_slice lo, hi;
};

/* Returns the fences of child i of a node that has the fences `at`.  The result may point into *lo and *hi. */
struct th_fences th_child_fences(const struct th_node *node, unsigned i, struct th_fences at, struct th_key *lo,
				 struct th_key *hi);
bool th_node_too_big(const struct th_node *node);
/*
 * Replaces child i, which is too big and writable, by pieces of equal size; appended: the child is a leaf that grew at
 * its end only, so all pieces but the last are filled.  Returns 0 or -ENOMEM.
 *
 *      ... | i | ...     ->     ... | i | i' | i'' | ...
 */
int th_child_split(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences child_at, bool appended);
/* Replaces the children of a writable interior node without records, by one empty leaf and the nodes above it, if no
 * message is pending at or below the node and all interior nodes below it are in memory.  Returns 0, -ENOMEM or
 * -EUCLEAN. */
int th_node_collapse(struct th_tree *tree, struct th_node *node, struct th_fences at);
/* Brings child i, which is writable, back within its limits: splits it, or joins it with a neighbour.  `at`: the fences
 * of the node; appended: see th_child_split; need: may be NULL, then only neighbours in memory are joined.  Returns 0,
 * -ENOMEM, -EUCLEAN, or -EAGAIN and *need if a neighbour is worth being read. */
int th_child_fix(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at, bool appended,
		 struct th_need *need);

#endif
