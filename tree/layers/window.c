/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/window.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/node/message.h"

void th_window_init(struct th_window *w, const struct th_layers *layers, size_t first)
{
	*w = (struct th_window){ .layers = layers, .first = first };
}

static void drop_blocks(struct th_window *w)
{
	for (size_t i = 0; i < w->blocks; i++)
		th_node_unref(w->block[i].node);
	free(w->block);
	w->block = NULL;
	w->blocks = 0;
}

void th_window_release(struct th_window *w)
{
	th_memtable_release(&w->memtable);
	drop_blocks(w);
}

static const struct th_layer *layer_of(const struct th_window *w, size_t i)
{
	return &w->layers->layer[w->first + i];
}

/* Empties the window, and drops its blocks if the layers have changed. */
static int begin(struct th_window *w)
{
	size_t blocks = w->layers->count - w->first;

	th_memtable_release(&w->memtable);
	if (!w->block || w->version != w->layers->version) {
		drop_blocks(w);
		w->block = calloc(blocks + 1, sizeof(*w->block));
		if (!w->block)
			return -ENOMEM;
		w->blocks = blocks;
		w->version = w->layers->version;
	}
	w->filled = false;
	return 0;
}

/* Loads block number `number` of layer i, and prefetches the next one. */
static int load(struct th_window *w, size_t i, size_t number)
{
	struct th_cache *cache = w->layers->store->cache;
	const struct th_layer *layer = layer_of(w, i);
	struct th_window_block *block = &w->block[i];
	struct th_node *node;
	int err;

	if (block->node && block->number == number)
		return 0;
	err = th_layer_load(layer, cache, number, &node);
	if (err)
		return err;
	if (layer->spill && number + 1 < layer->spill->count)
		th_cache_prefetch(cache, &layer->spill->block[number + 1].ptr, TH_SLICE_EMPTY);
	if (w->sequential && layer->spill && block->node)
		th_cache_forget(cache, block->node->ptr.addr);
	th_node_unref(block->node);
	*block = (struct th_window_block){ number, node };
	return 0;
}

/* --- its messages --- */

static struct th_slice window_end(const struct th_window *w)
{
	return w->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&w->hi);
}

/* Adds the part of a range message that is in the window. */
static int add_range(struct th_window *w, struct th_slice from, struct th_slice to)
{
	struct th_slice lo = th_key_slice(&w->lo), hi = window_end(w);
	struct th_entry *message;

	if (th_slice_compare(from, lo) < 0)
		from = lo;
	if (hi.data && th_slice_compare(to, hi) > 0)
		to = hi;
	message = th_message_delete_range(from, to, 0);
	return message ? th_memtable_insert(&w->memtable, message) : -ENOMEM;
}

static int add_message(struct th_window *w, const struct th_node *block, const struct th_entry *e)
{
	struct th_key key;

	if (th_message_is_range(e)) {
		th_node_key(block, e, &key);
		return add_range(w, th_key_slice(&key), th_entry_value(e));
	}
	e = th_node_entry_heap(block, e);
	return e ? th_memtable_insert(&w->memtable, e) : -ENOMEM;
}

/* Adds the messages of a block that are in the window. */
static int add_block(struct th_window *w, const struct th_node *block)
{
	const struct th_slab *slab = &block->overlay;
	struct th_slice lo = th_key_slice(&w->lo), hi = window_end(w);
	unsigned i = th_slab_lower(block, slab, lo), end = hi.data ? th_slab_lower(block, slab, hi) : slab->count;
	const struct th_entry *before = i > 0 ? th_slab_entry(slab, i - 1) : NULL;
	int err = 0;

	if (before && th_message_covers(before, lo))
		err = add_message(w, block, before);
	for (; i < end && !err; i++)
		err = add_message(w, block, th_slab_entry(slab, i));
	return err;
}

static int fill(struct th_window *w)
{
	int err = 0;

	for (size_t i = 0; i < w->blocks && !err; i++)
		if (th_layer_blocks(layer_of(w, i)) > 0)
			err = add_block(w, w->block[i].node);
	w->filled = !err;
	return err;
}

/* --- its range --- */

static bool is_current(const struct th_window *w)
{
	return w->filled && w->version == w->layers->version;
}

static bool holds(const struct th_window *w, struct th_slice key)
{
	return is_current(w) && th_slice_compare(th_key_slice(&w->lo), key) <= 0 &&
	       (w->open || th_slice_compare(key, th_key_slice(&w->hi)) < 0);
}

int th_window_forward(struct th_window *w, struct th_slice key)
{
	int err = 0;

	if (holds(w, key))
		return 0;
	err = begin(w);
	th_key_set(&w->lo, key);
	w->open = true;
	for (size_t i = 0; i < w->blocks && !err; i++) {
		const struct th_layer *layer = layer_of(w, i);
		size_t block = th_layer_find(layer, key, false);

		if (th_layer_blocks(layer) == 0)
			continue;
		err = load(w, i, block);
		if (block + 1 >= th_layer_blocks(layer))
			continue;
		if (w->open || th_slice_compare(th_layer_first(layer, block + 1), th_key_slice(&w->hi)) < 0)
			th_key_set(&w->hi, th_layer_first(layer, block + 1));
		w->open = false;
	}
	return err ? err : fill(w);
}

static bool ends_at(const struct th_window *w, struct th_slice key)
{
	if (!is_current(w))
		return false;
	if (!key.data)
		return w->open;
	return th_slice_compare(th_key_slice(&w->lo), key) < 0 &&
	       (w->open || th_slice_compare(key, th_key_slice(&w->hi)) <= 0);
}

int th_window_backward(struct th_window *w, struct th_slice key)
{
	int err;

	if (ends_at(w, key))
		return 0;
	err = begin(w);
	w->lo.size = 0;
	w->open = !key.data;
	if (!w->open)
		th_key_set(&w->hi, key);
	for (size_t i = 0; i < w->blocks && !err; i++) {
		const struct th_layer *layer = layer_of(w, i);
		size_t block = th_layer_find(layer, key, true);

		if (th_layer_blocks(layer) == 0)
			continue;
		err = load(w, i, block);
		if (block > 0 && th_slice_compare(th_layer_first(layer, block), th_key_slice(&w->lo)) > 0)
			th_key_set(&w->lo, th_layer_first(layer, block));
	}
	return err ? err : fill(w);
}

/* --- all windows in order --- */

int th_window_each(const struct th_layers *layers, size_t first, int (*each)(const struct th_entry *message, void *arg),
		   void *arg, struct th_drops *drops)
{
	struct th_window w;
	struct th_key at = { 0 };
	int err = 0;

	th_window_init(&w, layers, first);
	w.sequential = true;
	for (size_t i = first; i < layers->count && !err; i++) {
		const struct th_layer *layer = &layers->layer[i];

		err = th_drops_append(drops, layer->spill ? &layer->spill->drops : &layer->memtable.drops);
	}
	while (!err) {
		err = th_window_forward(&w, th_key_slice(&at));
		if (!err)
			err = th_memtable_each(&w.memtable, each, arg);
		if (!err)
			err = th_drops_append(drops, &w.memtable.drops);
		if (w.open)
			break;
		at = w.hi;
	}
	th_window_release(&w);
	return err;
}
