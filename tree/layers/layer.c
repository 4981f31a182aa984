/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/layer.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/layers/window.h"
#include "tree/state/state.h"

#define TH_LAYERS_FAN 16 /* spills that are merged into one */

/* --- a layer as a row of blocks --- */

size_t th_layer_blocks(const struct th_layer *layer)
{
	return layer->spill ? layer->spill->count : layer->stage.count;
}

struct th_slice th_layer_first(const struct th_layer *layer, size_t block)
{
	return layer->spill ? th_spill_first(layer->spill, block) : th_memtable_first(&layer->stage, block);
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
	*ret = th_node_ref(layer->stage.block[i]);
	return 0;
}

static void layer_release(struct th_layers *layers, struct th_layer *layer)
{
	layers->bytes -= layer->stage.bytes;
	th_memtable_release(&layer->stage);
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
	return layers->count == 1 && !layers->layer[0].spill ? &layers->layer[0].stage : NULL;
}

static int add_layer(struct th_layers *layers)
{
	if (layers->count == layers->capacity) {
		size_t capacity = layers->capacity ? 2 * layers->capacity : 1;
		struct th_layer *layer = realloc(layers->layer, capacity * sizeof(*layer));

		if (!layer)
			return -ENOMEM;
		layers->layer = layer;
		layers->capacity = capacity;
	}
	layers->layer[layers->count++] = (struct th_layer){ 0 };
	return 0;
}

/* --- from memory to the image --- */

static int check_room(struct th_layers *layers, uint64_t bytes)
{
	int err = th_store_room_now(layers->store, bytes, layers->emergency);

	if (err == -ENOSPC && layers->store->make_room(layers->store) == 0)
		err = th_store_room_now(layers->store, bytes, layers->emergency);
	return err;
}

static int spill_layer(struct th_layers *layers, struct th_layer *layer)
{
	struct th_spiller *spiller;
	int err = check_room(layers, layer->stage.bytes);

	if (err == 0)
		err = th_spiller_new(layers->store, &spiller);
	if (err < 0)
		return err;
	err = th_memtable_each(&layer->stage, th_spiller_add, spiller);
	if (err == 0)
		err = th_spiller_finish(spiller, &layer->spill);
	th_spiller_free(spiller);
	if (err < 0)
		return err;
	layer->spill->drops = layer->stage.drops;
	layer->stage.drops = (struct th_drops){ 0 };
	layers->bytes -= layer->stage.bytes;
	th_memtable_release(&layer->stage);
	atomic_fetch_add(&layers->store->spills, 1);
	return 0;
}

/* The first of the newest spills that have been merged equally often; count if there is none. */
static size_t first_equal(const struct th_layers *layers)
{
	size_t i = layers->count;

	while (i > layers->floor && layers->layer[i - 1].spill &&
	       layers->layer[i - 1].spill->rounds == layers->layer[layers->count - 1].spill->rounds)
		i--;
	return i;
}

/* Makes one spill of the layers, all spills, from number `first` on. */
static int merge_spills(struct th_layers *layers, size_t first)
{
	unsigned rounds = layers->layer[first].spill->rounds + 1;
	struct th_spiller *spiller;
	struct th_spill *spill = NULL;
	struct th_drops drops = { 0 };
	int err = th_spiller_new(layers->store, &spiller);

	if (err < 0)
		return err;
	err = th_window_each(layers, first, th_spiller_add, spiller, &drops);
	if (err == 0)
		err = th_spiller_finish(spiller, &spill);
	th_spiller_free(spiller);
	if (err < 0) {
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

static int merge_some(struct th_layers *layers)
{
	size_t first = first_equal(layers);
	uint64_t blocks = 0;

	if (layers->count - first < TH_LAYERS_FAN)
		return 1;
	for (size_t i = first; i < layers->count; i++)
		blocks += layers->layer[i].spill->blocks;
	if (check_room(layers, blocks * TH_BLOCK_SIZE) < 0)
		return 1; /* many spills are slower, nothing worse */
	return merge_spills(layers, first);
}

/* All stages become spills; spills that are many become fewer. */
static int spill(struct th_layers *layers)
{
	int err = th_store_writable(layers->store);

	layers->version++;
	for (size_t i = 0; i < layers->count && err == 0; i++)
		if (!layers->layer[i].spill)
			err = spill_layer(layers, &layers->layer[i]);
	while (err == 0)
		err = merge_some(layers);
	return err < 0 ? err : 0;
}

/* --- writing and reading --- */

int th_layers_insert(struct th_layers *layers, struct th_entry *message)
{
	struct th_memtable *stage;
	int err = 0;

	if (layers->bytes > layers->store->options.txn_bytes)
		err = spill(layers);
	if (err == 0 && (layers->count == layers->floor || layers->layer[layers->count - 1].spill))
		err = add_layer(layers);
	if (err < 0) {
		th_entry_unref(message);
		return err;
	}
	stage = &layers->layer[layers->count - 1].stage;
	layers->version++;
	layers->bytes -= stage->bytes;
	err = th_memtable_insert(stage, message);
	layers->bytes += stage->bytes;
	return err;
}

static int insert_again(const struct th_entry *message, void *arg)
{
	return th_memtable_insert(arg, th_entry_ref(message));
}

/* Layer i goes into the one below it. */
static int fold(struct th_layers *layers, size_t i)
{
	struct th_memtable *below = &layers->layer[i - 1].stage, *stage = &layers->layer[i].stage;
	int err;

	layers->bytes -= below->bytes;
	err = th_memtable_each(stage, insert_again, below);
	layers->bytes += below->bytes;
	if (err == 0)
		err = th_drops_append(&below->drops, &stage->drops);
	if (err < 0)
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
	for (size_t i = layers->floor + 1; i < layers->count && err == 0;) {
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
		if (err < 0)
			return err;
		th_lookup_node(lookup, block, key);
		th_node_unref(block);
	}
	return 0;
}
