/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spill: messages of a transaction that was larger than its memory, on the image.
 *
 * The messages are in ascending order in nodes that have only an overlay.  An index with the first key of each node is
 * in memory.  The nodes are read through the node cache.  Their blocks are in no space set, so a crash frees them (S1);
 * the end of the transaction frees them, too, whether it commits or not.
 */
#ifndef TH_TREE_LAYERS_SPILL_H
#define TH_TREE_LAYERS_SPILL_H

#include "tree/io/node_writer.h"

struct th_spill_block {
	struct th_ptr ptr;
	uint16_t key_size;
	uint8_t *key; /* of its first message */
};

struct th_spill {
	struct th_spill_block *block;
	size_t count, capacity;
	uint64_t blocks; /* of the image */
	unsigned rounds; /* how often its messages were merged with those of other spills */
	struct th_taken taken; /* the blocks of the image that it occupies */
	struct th_drops drops; /* as those of a memtable */
};

/* Frees the spill and its blocks on the image.  NULL is ignored. */
void th_spill_free(struct th_spill *spill, struct th_store *store);
/* Returns the first key of a block. */
struct th_slice th_spill_first(const struct th_spill *spill, size_t block);
/* Loads block i and returns a reference to it in *ret.  Waits for the disk even in a non-blocking read.  Returns 0, or
 * -EIO, -EBADMSG, -EUCLEAN, -ENOMEM. */
int th_spill_load(const struct th_spill *spill, struct th_cache *cache, size_t i, struct th_node **ret);

/* --- writing one --- */

struct th_spiller;

/* Begins a spill.  Returns 0 or -ENOMEM. */
int th_spiller_new(struct th_store *store, struct th_spiller **ret);
/* Adds the next message in ascending order.  It is a heap message, of which the spiller takes a reference of its own.
 * arg: the spiller; the form is that of a callback of th_memtable_each().  Returns 0, -ENOSPC, -EIO or -ENOMEM. */
int th_spiller_add(const struct th_entry *message, void *arg);
/* Writes the rest, waits for all writes and returns the spill, which is the caller's, in *ret.  Returns 0 or an error
 * as th_spiller_add().  The caller frees the spiller in any case. */
int th_spiller_finish(struct th_spiller *spiller, struct th_spill **ret);
/* Frees the spiller, and the spill if it was not finished.  NULL is ignored. */
void th_spiller_free(struct th_spiller *spiller);

#endif
