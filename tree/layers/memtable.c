/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/memtable.h"

#include <errno.h>
#include <stdlib.h>

/* A block above either is split.  One message more, which may cut a range message in two, does not take it beyond what
 * a node may be. */
#define TH_STAGE_SLOTS 240
#define TH_STAGE_BLOCK_BYTES 48000
#define TH_MESSAGE_OVERHEAD 32 /* of memory, for its slot and what malloc keeps beside it */

void th_memtable_release(struct th_memtable *stage)
{
	for (size_t i = 0; i < stage->count; i++)
		th_node_unref(stage->block[i]);
	free(stage->block);
	th_drops_release(&stage->drops);
	*stage = (struct th_memtable){ 0 };
}

static struct th_slice entry_key(const struct th_entry *e)
{
	return (struct th_slice){ th_entry_key(e), th_entry_key_size(e) };
}

static struct th_slice first_key(const struct th_node *block)
{
	return entry_key(th_slab_entry(&block->overlay, 0));
}

struct th_slice th_memtable_first(const struct th_memtable *stage, size_t block)
{
	return first_key(stage->block[block]);
}

/* Number of the last block that begins at or before the key; 0 if none does. */
static size_t block_for(const struct th_memtable *stage, struct th_slice key)
{
	size_t low = 0, high = stage->count;

	while (low + 1 < high) {
		size_t mid = (low + high) / 2;

		if (th_slice_compare(first_key(stage->block[mid]), key) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

struct th_node *th_memtable_block(const struct th_memtable *stage, struct th_slice key, size_t *ret_index)
{
	if (stage->count == 0)
		return NULL;
	*ret_index = block_for(stage, key);
	return stage->block[*ret_index];
}

static int insert_block(struct th_memtable *stage, size_t i, struct th_node *block)
{
	if (stage->count == stage->capacity) {
		size_t capacity = stage->capacity ? 2 * stage->capacity : 4;
		struct th_node **blocks = realloc(stage->block, capacity * sizeof(*blocks));

		if (!blocks)
			return -ENOMEM;
		stage->block = blocks;
		stage->capacity = capacity;
	}
	memmove(stage->block + i + 1, stage->block + i, (stage->count - i) * sizeof(*stage->block));
	stage->block[i] = block;
	stage->count++;
	return 0;
}

static void remove_block(struct th_memtable *stage, size_t i)
{
	th_node_unref(stage->block[i]);
	stage->count--;
	memmove(stage->block + i, stage->block + i + 1, (stage->count - i) * sizeof(*stage->block));
}

/* The slot that begins the second half of a block's bytes. */
static unsigned middle(const struct th_node *block)
{
	const struct th_slab *slab = &block->overlay;
	size_t bytes = 0;
	unsigned i = 0;

	while (i + 2u < slab->count && bytes < slab->bytes / 2)
		bytes += th_slab_cost(block, slab, th_slab_entry(slab, i++));
	return i > 0 ? i : 1;
}

static bool is_full(const struct th_node *block)
{
	return block->overlay.count >= TH_STAGE_SLOTS || block->overlay.bytes > TH_STAGE_BLOCK_BYTES;
}

/* Splits a full block: in half, or at its end if that is where messages come in. */
static int split_block(struct th_memtable *stage, size_t i, bool at_end)
{
	struct th_slice none = { NULL, 0 };
	struct th_node *block = stage->block[i], *left, *right;
	unsigned count = block->overlay.count, at = at_end ? count - 1 : middle(block);

	left = th_node_slice(block, 0, 0, 0, at, TH_SLICE_EMPTY, none);
	right = th_node_slice(block, 0, 0, at, count, TH_SLICE_EMPTY, none);
	if (!left || !right || insert_block(stage, i + 1, right) < 0) {
		th_node_unref(left);
		th_node_unref(right);
		return -ENOMEM;
	}
	th_node_unref(block);
	stage->block[i] = left;
	return 0;
}

static size_t block_memory(const struct th_node *block)
{
	return block->overlay.bytes + (size_t)block->overlay.count * TH_MESSAGE_OVERHEAD;
}

/* A range message wipes what later blocks hold of its range; it cuts range messages at its end. */
static int clear_later_blocks(struct th_memtable *stage, size_t i, struct th_slice to)
{
	while (i < stage->count && th_slice_compare(first_key(stage->block[i]), to) < 0) {
		struct th_node *block = stage->block[i];
		struct th_entry *wipe = th_range_message(first_key(block), to, 0);
		bool exact;
		unsigned at;
		int err;

		if (!wipe)
			return -ENOMEM;
		stage->bytes -= block_memory(block);
		err = th_overlay_insert(block, wipe, &stage->drops);
		if (err < 0)
			return err;
		/* the wipe itself is part of the message that caused it */
		at = th_slab_find(block, &block->overlay, first_key(block), &exact);
		th_slab_remove(block, &block->overlay, at, at + 1, true);
		stage->bytes += block_memory(block);
		if (block->overlay.count > 0)
			return 0;
		remove_block(stage, i);
	}
	return 0;
}

/* The block that a message with this key goes to; the stage gets its first one if it has none. */
static int find_block(struct th_memtable *stage, struct th_slice key, size_t *ret)
{
	struct th_node *block;

	if (stage->count == 0) {
		block = th_node_new(1, TH_SLICE_EMPTY, 0);
		if (!block || insert_block(stage, 0, block) < 0) {
			th_node_unref(block);
			return -ENOMEM;
		}
	}
	*ret = block_for(stage, key);
	return 0;
}

int th_memtable_insert(struct th_memtable *stage, const struct th_entry *message)
{
	const struct th_entry *held = th_entry_ref(message); /* the overlay may swallow it */
	struct th_slice key = entry_key(held);
	struct th_node *block;
	size_t i;
	int err = find_block(stage, key, &i);

	if (err < 0) {
		th_entry_unref(message);
		goto out;
	}
	block = stage->block[i];
	stage->bytes -= block_memory(block);
	err = th_overlay_insert(block, message, &stage->drops);
	stage->bytes += block_memory(block);
	if (err == 0 && (held->flags & TH_ENTRY_RANGE))
		err = clear_later_blocks(stage, i + 1, th_entry_value(held));
	if (err == 0 && is_full(block)) {
		const struct th_entry *last = th_slab_entry(&block->overlay, block->overlay.count - 1);

		err = split_block(stage, i, th_slice_compare(entry_key(last), key) <= 0);
	}
out:
	th_entry_unref(held);
	return err;
}

int th_memtable_each(const struct th_memtable *stage, int (*each)(const struct th_entry *message, void *arg), void *arg)
{
	for (size_t i = 0; i < stage->count; i++) {
		const struct th_slab *slab = &stage->block[i]->overlay;

		for (unsigned j = 0; j < slab->count; j++) {
			int err = each(th_slab_entry(slab, j), arg);

			if (err != 0)
				return err;
		}
	}
	return 0;
}
