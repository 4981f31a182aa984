/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: what several layers together say of a stretch of keys, as one stage.
 *
 *      layer 2    |   block   | block  |   block
 *      layer 1  |     block     |      block      |
 *      layer 0     block  |   block   |   block   |
 *                 [  window  )
 *
 * A window reaches as far as one block of each layer does.  The messages of the stretch are put into an empty stage,
 * those of older layers first, and so are composed as they would have been had there been one stage from the start.
 */
#ifndef TH_TREE_LAYERS_WINDOW_H
#define TH_TREE_LAYERS_WINDOW_H

#include "tree/layers/layer.h"

/* A layer's block that was looked at last. */
struct th_window_block {
	size_t number;
	struct th_node *node; /* NULL: none yet */
};

struct th_window {
	const struct th_layers *layers;
	size_t first; /* layers from this one on */
	uint64_t version; /* of the layers when it was made */
	bool filled; /* it is one */
	bool passing; /* no block is wanted twice: the cache may forget them */
	struct th_memtable stage;
	struct th_key lo, hi;
	bool open; /* no upper bound: hi does not count */
	struct th_window_block *block; /* one for each layer */
	size_t blocks;
};

void th_window_init(struct th_window *window, const struct th_layers *layers, size_t first);
void th_window_release(struct th_window *window);
/* A window that has the key, and what is behind it. */
int th_window_forward(struct th_window *window, struct th_slice key);
/* One that has what is before the key; NULL data: before the end. */
int th_window_backward(struct th_window *window, struct th_slice key);

/* Calls each() for all messages of layers `first` and up, composed, in order.  What was composed away is added to
 * `drops`, and what the layers had there already. */
int th_window_each(const struct th_layers *layers, size_t first, int (*each)(const struct th_entry *message, void *arg),
		   void *arg, struct th_drops *drops);

#endif
