/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the transient nodes below a frozen root: children before parents, into blocks that follow one another where
 * space allows, in large transfers of which several are under way.
 *
 * A commit's writer notes what it allocates in the commit set.  Other nodes (of a large transaction: spill.c, graft.c)
 * go to blocks that are merely taken, so that a crash leaves nothing of them (S1).
 *
 * A node whose blocks are on the disk settles at once: it lets go of what is on the heap and enters the cache, so that
 * a commit needs little memory besides what it writes.  That is before the superblock names it; but nothing else can be
 * written to its blocks meanwhile, nor ever if the commit fails.
 */
#ifndef TH_TREE_IO_NODE_WRITER_H
#define TH_TREE_IO_NODE_WRITER_H

#include "tree/state/state.h"

struct th_node_writer;

/* Blocks that are in no space set. */
struct th_taken {
	struct th_taken_run {
		uint64_t addr;
		uint32_t blocks;
	} * run;
	size_t count, capacity;
};

/* They are part of the tree now: the next commit's. */
void th_taken_note(struct th_taken *taken, struct th_space *space);
/* Nobody wants them any more. */
void th_taken_give(struct th_taken *taken, struct th_space *space);

/* Nodes of `tree`, which settle; NULL: nobody wants them, once they are on the disk.  taken: where blocks are kept
 * instead of being noted in the commit set, or NULL. */
int th_node_writer_new(struct th_store *store, struct th_tree *tree, uint64_t generation, struct th_taken *taken,
		       struct th_node_writer **ret);
/* Writes one node without children in memory. */
int th_node_writer_node(struct th_node_writer *writer, struct th_node *node, struct th_ptr *ret);
/* Writes what below root has no address yet; *ret is the root's pointer.  The transfers are under way. */
int th_node_writer_tree(struct th_node_writer *writer, struct th_node *root, struct th_ptr *ret);
/* Waits for all transfers. */
int th_node_writer_finish(struct th_node_writer *writer);
void th_node_writer_free(struct th_node_writer *writer);

#endif
