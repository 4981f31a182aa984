/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spill: messages of a transaction that has outgrown its memory, on the image.
 *
 * The messages lie in ascending order in nodes that have nothing but an overlay, one after the other; in memory is an
 * index with the first key of each.  They are read by way of the node cache.  Their blocks are merely taken (S1), and
 * are given back when the transaction is over, however it ends.
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
	struct th_taken taken;
	struct th_drops drops; /* as those of a stage */
};

/* NULL is fine. */
void th_spill_free(struct th_spill *spill, struct th_store *store);
struct th_slice th_spill_first(const struct th_spill *spill, size_t block);
/* Block i, with a reference. */
int th_spill_load(const struct th_spill *spill, struct th_cache *cache, size_t i, struct th_node **ret);

/* --- making one --- */

struct th_spiller;

int th_spiller_new(struct th_store *store, struct th_spiller **ret);
/* Adds a message (on the heap; it is not taken over), the next in order.  For th_memtable_each: arg is the spiller. */
int th_spiller_add(const struct th_entry *message, void *arg);
/* The spill is done, and written. */
int th_spiller_finish(struct th_spiller *spiller, struct th_spill **ret);
/* Ends the spiller; what it did not finish is given back.  NULL is fine. */
void th_spiller_free(struct th_spiller *spiller);

#endif
