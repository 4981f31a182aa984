/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/layers/memtable.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/node/message.h"
#include "tree/node/message_apply.h"

/* A block with more messages or bytes than these is split.  The limits leave room for one more message, which may cut a
 * range message in two, so that the block still fits a packed node (N5). */
#define TH_MEMTABLE_SLOTS 240
#define TH_MEMTABLE_BLOCK_BYTES 48000
#define TH_MESSAGE_OVERHEAD 32 /* bytes of memory, for its slot and its malloc header; an estimate */

void th_memtable_release(struct th_memtable *memtable)
{
	for (size_t i = 0; i < memtable->count; i++)
		th_node_unref(memtable->block[i]);
	free(memtable->block);
	th_drops_release(&memtable->drops);
	*memtable = (struct th_memtable){ 0 };
}

static struct th_slice entry_key(const struct th_entry *e)
{
	return (struct th_slice){ th_entry_key(e), th_entry_key_size(e) };
}

static struct th_slice first_key(const struct th_node *block)
{
	return entry_key(th_slab_entry(&block->overlay, 0));
}

struct th_slice th_memtable_first(const struct th_memtable *memtable, size_t block)
{
	return first_key(memtable->block[block]);
}

/* Returns the number of the last block that begins at or before the key; 0 if none does. */
static size_t block_for(const struct th_memtable *memtable, struct th_slice key)
{
	size_t low = 0, high = memtable->count;

	while (low + 1 < high) {
		size_t mid = (low + high) / 2;

		if (th_slice_compare(first_key(memtable->block[mid]), key) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

struct th_node *th_memtable_block(const struct th_memtable *memtable, struct th_slice key, size_t *ret_index)
{
	if (memtable->count == 0)
		return NULL;
	*ret_index = block_for(memtable, key);
	return memtable->block[*ret_index];
}

static int insert_block(struct th_memtable *memtable, size_t i, struct th_node *block)
{
	if (th_grow(memtable->block, memtable->capacity, memtable->count + 1))
		return -ENOMEM;
	memmove(memtable->block + i + 1, memtable->block + i, (memtable->count - i) * sizeof(*memtable->block));
	memtable->block[i] = block;
	memtable->count++;
	return 0;
}

static void remove_block(struct th_memtable *memtable, size_t i)
{
	th_node_unref(memtable->block[i]);
	memtable->count--;
	memmove(memtable->block + i, memtable->block + i + 1, (memtable->count - i) * sizeof(*memtable->block));
}

/* Returns the slot where the second half of a block's bytes begins. */
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
	return block->overlay.count >= TH_MEMTABLE_SLOTS || block->overlay.bytes > TH_MEMTABLE_BLOCK_BYTES;
}

/* Splits a full block in half; at its end if the newest message is there, as when keys are written in order. */
static int split_block(struct th_memtable *memtable, size_t i, bool at_end)
{
	struct th_slice none = { NULL, 0 };
	struct th_node *block = memtable->block[i], *left, *right;
	unsigned count = block->overlay.count, at = at_end ? count - 1 : middle(block);

	left = th_node_slice(block, 0, 0, 0, at, TH_SLICE_EMPTY, none);
	right = th_node_slice(block, 0, 0, at, count, TH_SLICE_EMPTY, none);
	if (!left || !right || insert_block(memtable, i + 1, right)) {
		th_node_unref(left);
		th_node_unref(right);
		return -ENOMEM;
	}
	th_node_unref(block);
	memtable->block[i] = left;
	return 0;
}

static size_t block_memory(const struct th_node *block)
{
	return block->overlay.bytes + (size_t)block->overlay.count * TH_MESSAGE_OVERHEAD;
}

/* Removes the messages of later blocks in the range of a new range message.  Cuts a range message that extends past its
 * end. */
static int clear_later_blocks(struct th_memtable *memtable, size_t i, struct th_slice to)
{
	while (i < memtable->count && th_slice_compare(first_key(memtable->block[i]), to) < 0) {
		struct th_node *block = memtable->block[i];
		struct th_entry *wipe = th_message_delete_range(first_key(block), to, 0);
		bool exact;
		unsigned at;
		int err;

		if (!wipe)
			return -ENOMEM;
		memtable->bytes -= block_memory(block);
		err = th_message_insert(block, wipe, &memtable->drops);
		if (err)
			return err;
		/* remove the wipe itself again: the new message covers it */
		at = th_slab_find(block, &block->overlay, first_key(block), &exact);
		th_slab_remove(block, &block->overlay, at, at + 1, true);
		memtable->bytes += block_memory(block);
		if (block->overlay.count > 0)
			return 0;
		remove_block(memtable, i);
	}
	return 0;
}

/* Returns in *ret the block for a message with this key.  Creates the first block of an empty memtable. */
static int find_block(struct th_memtable *memtable, struct th_slice key, size_t *ret)
{
	struct th_node *block;

	if (memtable->count == 0) {
		block = th_node_new(1, TH_SLICE_EMPTY, 0);
		if (!block || insert_block(memtable, 0, block)) {
			th_node_unref(block);
			return -ENOMEM;
		}
	}
	*ret = block_for(memtable, key);
	return 0;
}

int th_memtable_insert(struct th_memtable *memtable, const struct th_entry *message)
{
	const struct th_entry *held = th_entry_ref(message); /* the overlay may free it */
	struct th_slice key = entry_key(held);
	struct th_node *block;
	size_t i;
	int err = find_block(memtable, key, &i);

	if (err) {
		th_entry_unref(message);
		goto out;
	}
	block = memtable->block[i];
	memtable->bytes -= block_memory(block);
	err = th_message_insert(block, message, &memtable->drops);
	memtable->bytes += block_memory(block);
	if (!err && th_message_is_range(held))
		err = clear_later_blocks(memtable, i + 1, th_entry_value(held));
	if (!err && is_full(block)) {
		const struct th_entry *last = th_slab_entry(&block->overlay, block->overlay.count - 1);

		err = split_block(memtable, i, th_slice_compare(entry_key(last), key) <= 0);
	}
out:
	th_entry_unref(held);
	return err;
}

int th_memtable_each(const struct th_memtable *memtable, int (*each)(const struct th_entry *message, void *arg),
		     void *arg)
{
	for (size_t i = 0; i < memtable->count; i++) {
		const struct th_slab *slab = &memtable->block[i]->overlay;

		for (unsigned j = 0; j < slab->count; j++) {
			int err = each(th_slab_entry(slab, j), arg);

			if (err)
				return err;
		}
	}
	return 0;
}
