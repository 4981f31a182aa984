/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subtrees that a range delete covers entirely.
 *
 * The delete detaches them at once, unread, and puts an empty leaf in their place.  Their nodes and large values are
 * freed when the next checkpoint walks them, outside every lock.  The walk reads a leaf only if one of its values is
 * large.
 */
#ifndef TH_TREE_BTREE_DETACH_H
#define TH_TREE_BTREE_DETACH_H

#include "tree/btree/tree.h"

/* A detached subtree; a member of th_tree.detached. */
struct th_detached {
	struct th_node *node; /* with a reference; NULL: only its pointer is known */
	struct th_ptr ptr;
	struct th_key fence; /* lower fence */
	struct th_detached *next;
};

/* Moves children [from, to) of a writable node to the tree's list and puts one empty subtree with the fences lo and
 * hi (data NULL: none) and sequence number seq in their place.  Returns 0, -ENOMEM, or -EUCLEAN if a pointer is
 * broken.  The tree is locked exclusively. */
int th_detached_replace(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
			struct th_slice hi, uint64_t seq);
/* Calls dead() with every persistent node of a subtree and adds its large values to `values`.  A node that cannot be
 * read is passed to dead(), too; the nodes and values below it are lost.  Returns 0, an error of dead(), -ENOMEM or
 * -EUCLEAN. No lock is held. */
int th_detached_walk(struct th_cache *cache, const struct th_detached *detached, struct th_drops *values,
		     int (*dead)(const struct th_run *run, void *arg), void *arg);
/* Frees a list and its references; the blocks are not touched. */
void th_detached_free(struct th_detached *list);

#endif
