/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage: the overlay of a transaction.
 *
 * Messages in the same format as a node's overlay; since a transaction may be large, in a row of overlays, together in
 * ascending order.  Each of them, and each half of one, can be packed as a node (N5).
 */
#ifndef TH_TREE_LAYERS_MEMTABLE_H
#define TH_TREE_LAYERS_MEMTABLE_H

#include "tree/node/overlay.h"

struct th_memtable {
	struct th_node **block;
	size_t count, capacity;
	size_t bytes; /* of memory, about */
	struct th_drops drops; /* large values written and given up within the transaction */
};

void th_memtable_release(struct th_memtable *stage);
/* The first key of a block. */
struct th_slice th_memtable_first(const struct th_memtable *stage, size_t block);
/* Adds a heap message (its reference is taken over, also on failure). */
int th_memtable_insert(struct th_memtable *stage, const struct th_entry *message);
/* The block whose messages may concern the key; NULL if the stage is empty. */
struct th_node *th_memtable_block(const struct th_memtable *stage, struct th_slice key, size_t *ret_index);
/* Calls each() for all messages in order. */
int th_memtable_each(const struct th_memtable *stage, int (*each)(const struct th_entry *message, void *arg),
		     void *arg);

#endif
