/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/layer.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/layers/window.h"
#include "tree/state/state.h"

#define TH_LAYERS_FAN 16 /* spills that are merged into one */

/* --- a layer as an array of blocks --- */

size_t th_layer_blocks(const struct th_layer *layer)
{
	return layer->spill ? layer->spill->count : layer->memtable.count;
}

struct th_slice th_layer_first(const struct th_layer *layer, size_t block)
{
	return layer->spill ? th_spill_first(layer->spill, block) : th_memtable_first(&layer->memtable, block);
}

size_t th_layer_find(const struct th_layer *layer, struct th_slice key, bool before)
{
	size_t low = 0, high = th_layer_blocks(layer);

	if (!key.data)
		return high > 0 ? high - 1 : 0;
	while (low + 1 < high) {
		size_t mid = (low + high) / 2;
		int c = th_slice_compare(th_layer_first(layer, mid), key);

		if (before ? c < 0 : c <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

int th_layer_load(const struct th_layer *layer, struct th_cache *cache, size_t i, struct th_node **ret)
{
	if (layer->spill)
		return th_spill_load(layer->spill, cache, i, ret);
	*ret = th_node_ref(layer->memtable.block[i]);
	return 0;
}

static void layer_release(struct th_layers *layers, struct th_layer *layer)
{
	layers->bytes -= layer->memtable.bytes;
	th_memtable_release(&layer->memtable);
	th_spill_free(layer->spill, layers->store);
}

/* --- layers --- */

void th_layers_release(struct th_layers *layers)
{
	th_layers_cut(layers, 0);
	free(layers->layer);
}

void th_layers_cut(struct th_layers *layers, size_t count)
{
	layers->version++;
	while (layers->count > count)
		layer_release(layers, &layers->layer[--layers->count]);
}

bool th_layers_spilled(const struct th_layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		if (layers->layer[i].spill)
			return true;
	return false;
}

const struct th_memtable *th_layers_memtable(const struct th_layers *layers)
{
	return layers->count == 1 && !layers->layer[0].spill ? &layers->layer[0].memtable : NULL;
}

static int add_layer(struct th_layers *layers)
{
	if (th_grow(layers->layer, layers->capacity, layers->count + 1))
		return -ENOMEM;
	layers->layer[layers->count++] = (struct th_layer){ 0 };
	return 0;
}

/* --- from memory to the image --- */

/* Checks that `bytes` can be written at once.  Makes room if there is none.  Returns 0 or -ENOSPC. */
static int check_room(struct th_layers *layers, uint64_t bytes)
{
	enum th_room room = layers->emergency ? TH_ROOM_FREEING : TH_ROOM_NORMAL;
	int err = th_store_room_now(layers->store, bytes, room);

	if (err == -ENOSPC && layers->store->make_room(layers->store, UINT64_MAX) == 0)
		err = th_store_room_now(layers->store, bytes, room);
	return err;
}

/* Writes a memtable to the image. */
static int spill_layer(struct th_layers *layers, struct th_layer *layer)
{
	struct th_spiller *spiller;
	int err = check_room(layers, layer->memtable.bytes);

	if (!err)
		err = th_spiller_new(layers->store, &spiller);
	if (err)
		return err;
	err = th_memtable_each(&layer->memtable, th_spiller_add, spiller);
	if (!err)
		err = th_spiller_finish(spiller, &layer->spill);
	th_spiller_free(spiller);
	if (err)
		return err;
	layer->spill->drops = layer->memtable.drops;
	layer->memtable.drops = (struct th_drops){ 0 };
	layers->bytes -= layer->memtable.bytes;
	th_memtable_release(&layer->memtable);
	atomic_fetch_add(&layers->store->spills, 1);
	return 0;
}

/* Returns the number of the first of the newest spills that were merged equally often; count if there is none. */
static size_t first_equal(const struct th_layers *layers)
{
	size_t i = layers->count;

	while (i > layers->floor && layers->layer[i - 1].spill &&
	       layers->layer[i - 1].spill->rounds == layers->layer[layers->count - 1].spill->rounds)
		i--;
	return i;
}

/* Merges the layers from number `first` on, which are all spills, into one. */
static int merge_spills(struct th_layers *layers, size_t first)
{
	unsigned rounds = layers->layer[first].spill->rounds + 1;
	struct th_spiller *spiller;
	struct th_spill *spill = NULL;
	struct th_drops drops = { 0 };
	int err = th_spiller_new(layers->store, &spiller);

	if (err)
		return err;
	err = th_window_each(layers, first, th_spiller_add, spiller, &drops);
	if (!err)
		err = th_spiller_finish(spiller, &spill);
	th_spiller_free(spiller);
	if (err) {
		th_drops_release(&drops);
		return err;
	}
	spill->drops = drops;
	spill->rounds = rounds;
	th_layers_cut(layers, first + 1);
	th_spill_free(layers->layer[first].spill, layers->store);
	layers->layer[first].spill = spill;
	return 0;
}

/* Returns 1 if there is nothing to merge, or no room to. */
static int merge_some(struct th_layers *layers)
{
	size_t first = first_equal(layers);
	uint64_t blocks = 0;

	if (layers->count - first < TH_LAYERS_FAN)
		return 1;
	for (size_t i = first; i < layers->count; i++)
		blocks += layers->layer[i].spill->blocks;
	if (check_room(layers, blocks * TH_BLOCK_SIZE) < 0)
		return 1; /* more spills cost only speed */
	return merge_spills(layers, first);
}

/* Writes all memtables to the image, and merges spills if there are many. */
static int spill(struct th_layers *layers)
{
	int end = 0, err = th_store_writable(layers->store);

	layers->version++;
	for (size_t i = 0; i < layers->count && !err; i++)
		if (!layers->layer[i].spill)
			err = spill_layer(layers, &layers->layer[i]);
	if (err)
		return err;
	while (!end)
		end = merge_some(layers);
	return end < 0 ? end : 0;
}

/* --- writing and reading --- */

int th_layers_insert(struct th_layers *layers, struct th_entry *message)
{
	struct th_memtable *memtable;
	int err = 0;

	if (layers->bytes > layers->store->options.txn_bytes)
		err = spill(layers);
	if (!err && (layers->count == layers->floor || layers->layer[layers->count - 1].spill))
		err = add_layer(layers);
	if (err) {
		th_entry_unref(message);
		return err;
	}
	memtable = &layers->layer[layers->count - 1].memtable;
	layers->version++;
	layers->bytes -= memtable->bytes;
	err = th_memtable_insert(memtable, message);
	layers->bytes += memtable->bytes;
	return err;
}

static int insert_again(const struct th_entry *message, void *arg)
{
	return th_memtable_insert(arg, th_entry_ref(message));
}

/* Composes layer i with the one below it. */
static int fold(struct th_layers *layers, size_t i)
{
	struct th_memtable *below = &layers->layer[i - 1].memtable, *memtable = &layers->layer[i].memtable;
	int err;

	layers->bytes -= below->bytes;
	err = th_memtable_each(memtable, insert_again, below);
	layers->bytes += below->bytes;
	if (!err)
		err = th_drops_append(&below->drops, &memtable->drops);
	if (err)
		return err;
	layer_release(layers, &layers->layer[i]);
	layers->count--;
	memmove(&layers->layer[i], &layers->layer[i + 1], (layers->count - i) * sizeof(*layers->layer));
	return 0;
}

int th_layers_fold(struct th_layers *layers)
{
	int err = 0;

	layers->version++;
	for (size_t i = layers->floor + 1; i < layers->count && !err;) {
		if (layers->layer[i - 1].spill || layers->layer[i].spill)
			i++;
		else
			err = fold(layers, i);
	}
	return err;
}

int th_layers_lookup(const struct th_layers *layers, struct th_lookup *lookup, struct th_slice key)
{
	for (size_t i = layers->count; i-- > 0 && !lookup->done;) {
		const struct th_layer *layer = &layers->layer[i];
		struct th_node *block;
		int err;

		if (th_layer_blocks(layer) == 0)
			continue;
		err = th_layer_load(layer, layers->store->cache, th_layer_find(layer, key, false), &block);
		if (err)
			return err;
		th_lookup_node(lookup, block, key);
		th_node_unref(block);
	}
	return 0;
}
