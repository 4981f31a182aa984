/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How messages ride down and nodes keep their size: what the files of the changing tree share (tree.c, flush.c,
 * reshape.c).
 *
 * Everything here is called with the tree locked exclusively, on writable nodes.  Functions that may need a node which
 * is not in memory return -EAGAIN with *need; the tree is then as sound as before, though an overlay may be over its
 * budget until th_tree_relieve.
 */
#ifndef TH_TREE_BTREE_PUSH_DOWN_H
#define TH_TREE_BTREE_PUSH_DOWN_H

#include "tree/btree/tree.h"

/* The range of keys a node stands for; hi.data NULL: no upper bound. */
struct th_fences {
	struct th_slice lo, hi;
};

/* What writing the node will take, in whole blocks: admission (txn.c) relies on it. */
void th_tree_account(struct th_tree *tree, struct th_node *node);
void th_tree_unaccount(struct th_tree *tree, struct th_node *node);

/* --- tree.c --- */

int th_root_writable(struct th_tree *tree);
/* Brings the root, which is writable, back within its limits. */
int th_root_fix(struct th_tree *tree);

/* --- flush.c --- */

/* Puts a heap message into a node: its overlay, or its records at a leaf.  Takes the reference over. */
int th_push_down_accept(struct th_tree *tree, struct th_node *node, struct th_fences at,
			const struct th_entry *message);
/*
 * Brings a new message as far down as nodes are writable already: what is going to be written anyway takes it at no
 * cost, and it fills no overlay on the way.  It stops where an overlay has something to say of its key.  Takes the
 * reference over.  -EAGAIN: it is in, but the node where it is has to be relieved.
 *
 *      root       writable      |
 *      .  .       writable      |  passes
 *      .  .  .    writable      v  stays in the overlay
 *      .  .  .    shared           (copying it would cost a node written)
 */
int th_push_down_sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		      struct th_need *need);
/* Sends messages of the heaviest child down until the overlay is within its budget, and has the child do the same. */
int th_push_down_relieve(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need);
/* Goes on where a flush had to stop for want of a node: every writable node towards the key is relieved. */
int th_push_down_relieve_path(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need,
			      struct th_slice key);
/* Pushes both ends of a range delete down as far as it spans several children. */
int th_push_down_range(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice from,
		       struct th_slice to, struct th_need *need);

/* --- reshape.c --- */

/* The fences of child i; lo and hi lend the space. */
struct th_fences th_child_fences(const struct th_node *node, unsigned i, struct th_fences at, struct th_key *lo,
				 struct th_key *hi);
bool th_node_too_big(const struct th_node *node);
/* Replaces child i, which is too big, by pieces. */
int th_child_split(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences child_at, bool appended);
/* Brings child i back within its limits: splits it, or joins it with a neighbour that is in memory. */
int th_child_fix(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at, bool appended);

#endif
