/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: all that a transaction has written and not merged yet, oldest first.
 *
 *      memtable                 the newest one receives new messages
 *      - - - savepoint
 *      memtable
 *      spill  spill  spill      on the image
 *
 * A layer is a memtable or a spill.  When the memtables use more memory than th_store_options.txn_bytes, each of them
 * is written to the image and becomes a spill.  A savepoint is a boundary between layers: the layers above it can be
 * dropped, and messages are never composed across it.  A lookup searches the newest layer first.  Spills between two
 * savepoints are merged from time to time, which bounds their number.
 */
#ifndef TH_TREE_LAYERS_LAYER_H
#define TH_TREE_LAYERS_LAYER_H

#include "tree/btree/lookup.h"
#include "tree/layers/memtable.h"
#include "tree/layers/spill.h"

struct th_layer {
	struct th_memtable memtable; /* empty if there is a spill */
	struct th_spill *spill; /* NULL: the layer is in memory */
};

struct th_layers {
	struct th_store *store;
	struct th_layer *layer; /* none is empty, except after a failed insertion */
	size_t count, capacity;
	size_t floor; /* number of layers below the newest savepoint */
	size_t bytes; /* of memory that the memtables use */
	bool emergency; /* spilling may use the emergency reserve: the transaction frees space, or had it reserved */
	uint64_t version; /* grows with every change */
};

void th_layers_release(struct th_layers *layers);
/* Adds a heap message to the newest memtable.  Spills all memtables first if they are larger than txn_bytes.  Takes
 * over the reference to the message, also on failure.  Returns 0, -ENOMEM, or the error of a spill: -ENOSPC, -EIO,
 * -EROFS, and those of reading other spills.  After an error other than -ENOMEM the message was not added. */
int th_layers_insert(struct th_layers *layers, struct th_entry *message);
/* Drops all layers from number `count` on. */
void th_layers_cut(struct th_layers *layers, size_t count);
/* Composes neighbouring memtables above the floor into one.  Returns 0 or -ENOMEM: then the layers are inconsistent and
 * may only be released. */
int th_layers_fold(struct th_layers *layers);
/* Is any layer a spill? */
bool th_layers_spilled(const struct th_layers *layers);
/* Returns the memtable if it is the only layer, else NULL.  It is valid until the layers change. */
const struct th_memtable *th_layers_memtable(const struct th_layers *layers);
/* Applies the layers' messages for the key to the lookup, newest first, until it is done.  Returns 0 or the error of
 * reading a spill; spills are read with waiting even in a non-blocking read. */
int th_layers_lookup(const struct th_layers *layers, struct th_lookup *lookup, struct th_slice key);

/* --- a layer as an array of blocks --- */

size_t th_layer_blocks(const struct th_layer *layer);
/* Returns the first key of a block. */
struct th_slice th_layer_first(const struct th_layer *layer, size_t block);
/* Returns the number of the last block that begins at or before the key; with `before`, that begins before the key (key
 * without data: the last block of all).  0 if there is no such block. */
size_t th_layer_find(const struct th_layer *layer, struct th_slice key, bool before);
/* Loads block i and returns a reference to it in *ret.  Returns 0 or the error of reading a spill. */
int th_layer_load(const struct th_layer *layer, struct th_cache *cache, size_t i, struct th_node **ret);

#endif
