/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/spill.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/node/nowait.h"
#include "tree/state/state.h"

struct th_spiller {
	struct th_store *store;
	struct th_spill *spill;
	struct th_node_writer *writer; /* NULL: no block was written yet */
	struct th_node *node; /* that is being filled, and is in the index already; NULL: none */
};

/* --- spills --- */

void th_spill_free(struct th_spill *spill, struct th_store *store)
{
	if (!spill)
		return;
	for (size_t i = 0; i < spill->count; i++) {
		th_cache_forget(store->cache, spill->block[i].ptr.addr);
		free(spill->block[i].key);
	}
	free(spill->block);
	th_taken_give(&spill->taken, store->space);
	th_drops_release(&spill->drops);
	free(spill);
}

struct th_slice th_spill_first(const struct th_spill *spill, size_t block)
{
	return (struct th_slice){ spill->block[block].key, spill->block[block].key_size };
}

int th_spill_load(const struct th_spill *spill, struct th_cache *cache, size_t i, struct th_node **ret)
{
	bool nowait = th_nowait_suspend(); /* a retry would spill to other blocks: loading this one would not help it */
	int err = th_cache_load(cache, &spill->block[i].ptr, TH_SLICE_EMPTY, ret);

	th_nowait_resume(nowait);
	return err;
}

/* --- writing one --- */

int th_spiller_new(struct th_store *store, struct th_spiller **ret)
{
	struct th_spiller *spiller = calloc(1, sizeof(*spiller));

	if (!spiller)
		return -ENOMEM;
	spiller->store = store;
	spiller->spill = calloc(1, sizeof(*spiller->spill));
	if (!spiller->spill) {
		free(spiller);
		return -ENOMEM;
	}
	*ret = spiller;
	return 0;
}

static int write_block(struct th_spiller *spiller)
{
	struct th_store *store = spiller->store;
	struct th_spill *spill = spiller->spill;
	struct th_ptr *ptr = &spill->block[spill->count - 1].ptr;
	uint64_t generation = __atomic_load_n(&store->live.gen, __ATOMIC_RELAXED);
	int err = 0;

	if (!spiller->writer)
		err = th_node_writer_new(store, NULL, generation, &spill->taken, &spiller->writer);
	if (!err)
		err = th_node_writer_node(spiller->writer, spiller->node, ptr);
	th_node_unref(spiller->node);
	spiller->node = NULL;
	if (err)
		return err;
	spill->blocks += ptr->blocks;
	return 0;
}

static int index_block(struct th_spill *spill, struct th_slice key)
{
	struct th_spill_block *block;

	if (th_grow(spill->block, spill->capacity, spill->count + 1))
		return -ENOMEM;
	block = &spill->block[spill->count];
	*block = (struct th_spill_block){ .key_size = (uint16_t)key.size, .key = malloc(key.size + 1) };
	if (!block->key)
		return -ENOMEM;
	memcpy(block->key, key.data, key.size);
	spill->count++;
	return 0;
}

/* Begins a node for messages.  Only interior nodes have an overlay, and they must have a child: it is never read. */
static int begin_block(struct th_spiller *spiller, struct th_slice key)
{
	int err;

	spiller->node = th_node_new(1, TH_SLICE_EMPTY, 0);
	if (!spiller->node)
		return -ENOMEM;
	err = th_node_insert_child(spiller->node, 0, TH_SLICE_EMPTY, NULL);
	if (!err)
		err = index_block(spiller->spill, key);
	if (err) {
		th_node_unref(spiller->node);
		spiller->node = NULL;
	}
	return err;
}

static bool has_room(const struct th_node *node, const struct th_entry *message)
{
	return node->overlay.count < TH_SLOTS_MAX &&
	       th_node_packed_size(node) + th_slab_cost(node, &node->overlay, message) <= TH_NODE_MAX;
}

int th_spiller_add(const struct th_entry *message, void *arg)
{
	struct th_spiller *spiller = arg;
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_node *node;
	int err = 0;

	if (spiller->node && !has_room(spiller->node, message))
		err = write_block(spiller);
	if (!err && !spiller->node)
		err = begin_block(spiller, key);
	if (err)
		return err;
	node = spiller->node;
	err = th_slab_reserve(node, &node->overlay, node->overlay.count + 1u);
	if (!err)
		th_slab_append(node, &node->overlay, th_entry_ref(message));
	return err;
}

int th_spiller_finish(struct th_spiller *spiller, struct th_spill **ret)
{
	int err = spiller->node ? write_block(spiller) : 0;

	if (!err && spiller->writer)
		err = th_node_writer_finish(spiller->writer);
	if (err)
		return err;
	*ret = spiller->spill;
	spiller->spill = NULL;
	return 0;
}

void th_spiller_free(struct th_spiller *spiller)
{
	if (!spiller)
		return;
	th_node_writer_free(spiller->writer); /* waits: a late write must not reach blocks that were allocated again */
	th_node_unref(spiller->node);
	th_spill_free(spiller->spill, spiller->store);
	free(spiller);
}
