/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memtable: messages of a transaction that are not merged yet, in memory.
 *
 * A message has the same format as in a node's overlay.  A transaction may be large, so a memtable is an array of
 * blocks, each a node with nothing but an overlay; all their messages are in ascending order.  Each block, and each
 * half of one, fits a packed node (N5).
 */
#ifndef TH_TREE_LAYERS_MEMTABLE_H
#define TH_TREE_LAYERS_MEMTABLE_H

#include "tree/node/large_value.h"
#include "tree/node/node.h"

struct th_memtable {
	struct th_node **block;
	size_t count, capacity;
	size_t bytes; /* of memory, estimated */
	struct th_drops drops; /* large values that were written and replaced within the transaction */
};

/* Frees all messages.  The memtable is empty and may be used again. */
void th_memtable_release(struct th_memtable *memtable);
/* Returns the first key of block number `block`. */
struct th_slice th_memtable_first(const struct th_memtable *memtable, size_t block);
/* Adds a heap message, composing it with those that are there.  Takes over the reference to it, also on failure.
 * Returns 0 or -ENOMEM: then the message may have been added or not. */
int th_memtable_insert(struct th_memtable *memtable, const struct th_entry *message);
/* Returns the only block that may have a message for the key, without a reference, and its number in *ret_index.  NULL:
 * the memtable is empty. */
struct th_node *th_memtable_block(const struct th_memtable *memtable, struct th_slice key, size_t *ret_index);
/* Calls each() for all messages in ascending order, until it returns other than 0.  Returns what each() returned last,
 * 0 for an empty memtable. */
int th_memtable_each(const struct th_memtable *memtable, int (*each)(const struct th_entry *message, void *arg),
		     void *arg);

#endif
