/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: what a transaction has written so far, oldest first.
 *
 *      stage                    in memory; the newest one takes what is written
 *      - - - savepoint
 *      stage
 *      spill  spill  spill      on the image
 *
 * A layer is a stage, or a spill that a stage became when the stages outgrew the memory that they may have
 * (th_store_options.txn_bytes).  A savepoint is a boundary between layers: what is above it can be dropped, and nothing
 * is composed across it.  A key is looked up in the newest layer first.  Spills between two savepoints are merged now
 * and then, so that they do not become many.
 */
#ifndef TH_TREE_LAYERS_LAYER_H
#define TH_TREE_LAYERS_LAYER_H

#include "tree/layers/memtable.h"
#include "tree/layers/spill.h"

struct th_layer {
	struct th_memtable stage;
	struct th_spill *spill; /* NULL: the stage is it */
};

struct th_layers {
	struct th_store *store;
	struct th_layer *layer; /* none of them is empty */
	size_t count, capacity;
	size_t floor; /* number of layers below the newest savepoint */
	size_t bytes; /* of memory that the stages take */
	bool emergency; /* may use it: something is deleted or dropped, or was admitted before (reserved) */
	uint64_t version; /* grows with every change */
};

void th_layers_release(struct th_layers *layers);
/* Adds a heap message (its reference is taken over, also on failure), after making room in memory if need be.  After
 * -ENOSPC, -EIO all is as before. */
int th_layers_insert(struct th_layers *layers, struct th_entry *message);
/* Drops all layers from number `count` on. */
void th_layers_cut(struct th_layers *layers, size_t count);
/* Makes one of neighbouring stages above the floor.  After -ENOMEM the layers are of no use any more. */
int th_layers_fold(struct th_layers *layers);
bool th_layers_spilled(const struct th_layers *layers);
/* The stage, if there is nothing else. */
const struct th_memtable *th_layers_memtable(const struct th_layers *layers);
/* Adds what the layers say of the key. */
int th_layers_lookup(const struct th_layers *layers, struct th_lookup *lookup, struct th_slice key);

/* --- a layer as a row of blocks --- */

size_t th_layer_blocks(const struct th_layer *layer);
struct th_slice th_layer_first(const struct th_layer *layer, size_t block);
/* The last block that begins before the key (with `before`; NULL data: than anything), or not behind it; 0 if none
 * does.
 */
size_t th_layer_find(const struct th_layer *layer, struct th_slice key, bool before);
/* Block i, with a reference. */
int th_layer_load(const struct th_layer *layer, struct th_cache *cache, size_t i, struct th_node **ret);

#endif
