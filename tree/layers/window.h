/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Window: the messages of several layers for one range of keys, composed into one memtable.
 *
 *      layer 2    |   block   | block  |   block
 *      layer 1  |     block     |      block      |
 *      layer 0     block  |   block   |   block   |
 *                 [  window  )
 *
 * A window extends as far as one block of each layer does, so it needs one block of each in memory.  The messages of
 * the range are inserted into an empty memtable, those of older layers first.  So they are composed as if the
 * transaction had had one memtable from the beginning.
 */
#ifndef TH_TREE_LAYERS_WINDOW_H
#define TH_TREE_LAYERS_WINDOW_H

#include "tree/layers/layer.h"

/* The block of a layer that was loaded last. */
struct th_window_block {
	size_t number;
	struct th_node *node; /* NULL: none yet */
};

struct th_window {
	const struct th_layers *layers;
	size_t first; /* number of the oldest layer that is looked at */
	uint64_t version; /* of the layers when the blocks were loaded */
	bool filled; /* the memtable has all messages of the range */
	bool sequential; /* no block is needed twice: those read are dropped from the cache */
	struct th_memtable memtable;
	struct th_key lo, hi; /* the range [lo, hi) */
	bool open; /* the range has no upper bound, and hi no meaning */
	struct th_window_block *block; /* one for each layer */
	size_t blocks;
};

/* Begins with an empty window on the layers from number `first` on.  The layers must outlive it; they may change. */
void th_window_init(struct th_window *window, const struct th_layers *layers, size_t first);
void th_window_release(struct th_window *window);
/* Moves the window to a range that has the key in it, reading forward.  Keeps the window if it has the key and the
 * layers have not changed.  Returns 0, -ENOMEM or the error of reading a spill. */
int th_window_forward(struct th_window *window, struct th_slice key);
/* Moves the window to a range that ends at the key, reading backward.  A key without data is the end of all.  Returns
 * as th_window_forward(). */
int th_window_backward(struct th_window *window, struct th_slice key);

/* Calls each() for all messages of the layers from number `first` on, composed, in ascending order, until it returns
 * other than 0.  Appends to `drops` the layers' own drops, and those of values that composing replaced.  Returns 0, the
 * error, or what each() returned. */
int th_window_each(const struct th_layers *layers, size_t first, int (*each)(const struct th_entry *message, void *arg),
		   void *arg, struct th_drops *drops);

#endif
