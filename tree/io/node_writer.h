/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node writer: writes the transient nodes below a frozen root, children before parents, into adjacent blocks where
 * free space allows it, in large transfers of which several are under way.
 *
 * The writer of a checkpoint records its allocations in the space set of the checkpoint.  Other nodes (of a large
 * transaction: spill.c, bulk_commit.c) go to blocks that are only taken, so that a crash leaves no trace of them (S1).
 *
 * A node becomes persistent as soon as its blocks are on the disk: it frees its heap entries and enters the cache, so
 * that a checkpoint needs little memory besides the nodes it writes.  That is before the superblock names the node; but
 * until then nothing else can be written to its blocks, and if the checkpoint fails, nothing ever is.
 *
 * A writer is used by one thread.
 */
#ifndef TH_TREE_IO_NODE_WRITER_H
#define TH_TREE_IO_NODE_WRITER_H

#include "tree/state/state.h"

struct th_node_writer;

/* A list of blocks that are taken, but in no space set. */
struct th_taken {
	struct th_taken_run {
		uint64_t addr;
		uint32_t blocks;
	} * run;
	size_t count, capacity;
};

/* Records the blocks as allocated in the live set, once their nodes are part of the tree, and frees the list.  Requires
 * checkpoint_lock. */
void th_taken_note(struct th_taken *taken, struct th_store *store);
/* Frees the blocks and the list. */
void th_taken_give(struct th_taken *taken, struct th_space *space);

/* Makes a writer for a generation's nodes.  tree: the nodes' tree, where they become persistent; NULL: the nodes are
 * dropped when they are on the disk.  taken: list for the blocks instead of the checkpoint's set, or NULL; both are
 * borrowed. Returns 0 or -ENOMEM. */
int th_node_writer_new(struct th_store *store, struct th_tree *tree, uint64_t generation, struct th_taken *taken,
		       struct th_node_writer **ret);
/* Queues one node without children in memory; *ret is its pointer.  The next three functions return 0, -ENOMEM,
 * -ENOSPC, or the first error of a transfer. */
int th_node_writer_node(struct th_node_writer *writer, struct th_node *node, struct th_ptr *ret);
/* Queues all nodes from a root down that have no address yet; *ret is the root's pointer.  Transfers may still be under
 * way when it returns. */
int th_node_writer_tree(struct th_node_writer *writer, struct th_node *root, struct th_ptr *ret);
/* Waits for all transfers. */
int th_node_writer_finish(struct th_node_writer *writer);
/* Waits for all transfers and frees the writer.  NULL is allowed. */
void th_node_writer_free(struct th_node_writer *writer);

#endif
