/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/send_data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int th_send_record(struct th_send_data *data, const struct th_record *record)
{
	int err = th_record_append(data->records, record);

	if (!err)
		th_record_count(record, data->totals);
	return err;
}

/* --- the extents of one side --- */

/* Makes `now` the first extent that ends after block `at`. */
static int side_advance(struct th_send_extents *side, uint64_t at)
{
	int err = 0;

	while (side->present && side->now.block + side->now.blocks <= at) {
		err = th_extents_next(&side->extents, &side->now);
		side->present = !err;
		if (err)
			break;
	}
	return err < 0 ? err : 0;
}

static int side_open(struct th_send_data *data, struct th_send_extents *side, struct th_view *view)
{
	int err = th_extents_open(data->fs, view, data->id, data->at, data->end, &side->extents);

	if (err)
		return err;
	side->open = true;
	err = th_extents_next(&side->extents, &side->now);
	side->present = !err;
	return err < 0 ? err : 0;
}

static void side_close(struct th_send_extents *side)
{
	if (side->open)
		th_extents_close(&side->extents);
	side->open = side->present = false;
}

/* Returns the extent that has block `at`, or NULL for a hole.  Reduces *blocks to its end. */
static const struct th_extent *side_at(const struct th_send_extents *side, uint64_t at, uint64_t *blocks)
{
	bool inside = side->present && side->now.block <= at;
	uint64_t end = inside ? side->now.block + side->now.blocks : side->now.block;

	if (side->present && end - at < *blocks)
		*blocks = end - at;
	return inside ? &side->now : NULL;
}

/* Returns whether both sides have the same content there, without reading it. */
static bool same(const struct th_extent *to, const struct th_extent *from, uint64_t at)
{
	if (!to || !from)
		return to == from;
	if (to->kind != from->kind)
		return false;
	if (to->kind == TH_EXTENT_INLINE)
		return to->size == from->size && !memcmp(to->bytes, from->bytes, to->size);
	return to->run.addr + (at - to->block) == from->run.addr + (at - from->block);
}

/* --- records --- */

/* Reads the gathered blocks and appends them. */
static int batch_send(struct th_send_data *data)
{
	struct th_record record = { .kind = TH_RECORD_DATA, .inode = data->id, .block = data->batch_block };
	uint64_t offset = data->batch_block << TH_BLOCK_SHIFT;
	size_t size = (size_t)data->batch.nblocks << TH_BLOCK_SHIFT;
	int err;

	if (!size)
		return 0;
	err = th_read_batch_read(&data->batch);
	if (err)
		return err;
	if (offset < data->size && data->size - offset < size)
		size = data->size - offset; /* zeros follow */
	record.bytes = (struct th_slice){ data->buffer, size };
	return th_send_record(data, &record);
}

static int range_send(struct th_send_data *data, enum th_record_kind kind, uint64_t blocks)
{
	struct th_record record = { .kind = kind, .inode = data->id, .block = data->at, .count = blocks };
	int err = batch_send(data);

	return err ? err : th_send_record(data, &record);
}

static int inline_send(struct th_send_data *data, const struct th_extent *extent)
{
	struct th_record record = { .kind = TH_RECORD_INLINE, .inode = data->id };

	record.bytes = (struct th_slice){ extent->bytes, extent->size };
	return th_send_record(data, &record);
}

/* Gathers blocks of a run for a record.  *blocks becomes the number of those that fit. */
static int run_gather(struct th_send_data *data, const struct th_extent *extent, uint64_t *blocks)
{
	struct th_extent part = *extent;
	unsigned have = data->batch.nblocks;
	int err = 0;

	if (have && (data->batch_block + have != data->at || have == TH_RUN_MAX))
		err = batch_send(data);
	if (err)
		return err;
	have = data->batch.nblocks;
	if (!have)
		data->batch_block = data->at;
	if (*blocks > TH_RUN_MAX - have)
		*blocks = TH_RUN_MAX - have;
	th_extent_clip(&part, data->at, data->at + *blocks);
	err = th_sent_runs_add(&data->sent, part.run.addr, part.blocks, data->id, data->at);
	return err ? err : th_read_batch_add(&data->batch, &part, data->buffer + ((size_t)have << TH_BLOCK_SHIFT));
}

/* --- the search of the base --- */

/* Marks a run of the base in `sent`. */
#define OF_BASE (UINT64_C(1) << 63)
/* Keys that one step of the search visits. */
#define SEARCH_KEYS 4096

static int search_begin(struct th_send_data *data)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };

	data->search_after = UINT64_MAX;
	return th_cursor_open(data->base, &range, &data->search);
}

/* Adds the run of an extent of the base.  Those of inodes without a name do not count: the receiver has no such
 * inode. */
static int search_key(struct th_send_data *data, const struct th_cursor_entry *entry)
{
	struct th_fs_key_parts key;
	struct th_extent extent;
	const char *why;
	int err = th_fs_key_parse(entry->key, &key);

	if (err)
		return err;
	if (key.kind == TH_FS_KEY_INODE)
		data->search_id = entry->refs > 0 ? key.id : 0;
	if (key.kind != TH_FS_KEY_EXTENT || key.id != data->search_id)
		return 0;
	err = th_extent_decode(key.number, entry->value, &extent, &why);
	if (err || extent.kind != TH_EXTENT_RUN)
		return err;
	return th_sent_runs_add(&data->sent, extent.run.addr, extent.blocks, key.id | OF_BASE, extent.block);
}

static int search_step(struct th_send_data *data)
{
	struct th_cursor_entry entry;
	int err = 0;

	for (unsigned i = 0; i < SEARCH_KEYS && !err; i++) {
		err = th_cursor_next(data->search, &entry);
		if (!err)
			err = search_key(data, &entry);
	}
	if (err) {
		th_cursor_close(data->search);
		data->search = NULL;
	}
	return err < 0 ? err : 0;
}

static int clone_send(struct th_send_data *data, struct th_record *clone)
{
	int err = batch_send(data);

	if (clone->source & OF_BASE) {
		clone->kind = TH_RECORD_CLONE_BASE;
		clone->source &= ~OF_BASE;
		if (!err)
			err = data->bind(data->bind_arg, clone->source);
	}
	return err ? err : th_send_record(data, clone);
}

/* Sends blocks of a run, or where they were sent before.  *blocks becomes the number of blocks that are done. */
static int run_send(struct th_send_data *data, const struct th_extent *extent, uint64_t *blocks)
{
	struct th_record clone = { .kind = TH_RECORD_CLONE, .inode = data->id, .block = data->at };
	uint64_t addr = extent->run.addr + (data->at - extent->block);

	clone.count = th_sent_runs_find(&data->sent, addr, (uint32_t)*blocks, &clone.source, &clone.source_block);
	if (!clone.count) {
		*blocks = clone.source_block;
		data->fresh += *blocks;
		if (data->fresh < data->search_after)
			return run_gather(data, extent, blocks);
		*blocks = 0; /* once more after the search */
		return search_begin(data);
	}
	*blocks = clone.count;
	return clone_send(data, &clone);
}

/* Sends the blocks [at, at + *blocks), or the first of them. */
static int blocks_send(struct th_send_data *data, const struct th_extent *to, uint64_t *blocks)
{
	if (!to)
		return range_send(data, TH_RECORD_HOLE, *blocks);
	switch (to->kind) {
	case TH_EXTENT_INLINE:
		return inline_send(data, to);
	case TH_EXTENT_UNWRITTEN:
		return range_send(data, TH_RECORD_UNWRITTEN, *blocks);
	case TH_EXTENT_RUN:
		return run_send(data, to, blocks);
	}
	return -EUCLEAN;
}

/* --- the walk --- */

int th_send_data_begin(struct th_send_data *data, struct th_view *to, struct th_view *from, uint64_t id, uint64_t size,
		       uint64_t at, uint64_t end)
{
	int err;

	if (!data->buffer)
		data->buffer = th_disk_buffer((size_t)TH_RUN_MAX << TH_BLOCK_SHIFT);
	if (!data->buffer)
		return -ENOMEM;
	th_read_batch_init(&data->batch, data->fs->store);
	data->id = id;
	data->size = size;
	data->at = at;
	data->end = end;
	data->active = true;
	err = side_open(data, &data->to, to);
	if (!err && from)
		err = side_open(data, &data->from, from);
	return err;
}

/* Returns whether a full record of data waits to be sent. */
static bool batch_full(const struct th_send_data *data)
{
	return data->batch.nblocks == TH_RUN_MAX;
}

int th_send_data_step(struct th_send_data *data)
{
	size_t before = data->records->size;
	int err = 0;

	if (data->search)
		return search_step(data);
	while (!err && data->at < data->end && !batch_full(data) && !data->search && data->records->size == before) {
		uint64_t blocks = data->end - data->at;
		const struct th_extent *to, *from;

		err = side_advance(&data->to, data->at);
		if (!err)
			err = side_advance(&data->from, data->at);
		if (err)
			break;
		to = side_at(&data->to, data->at, &blocks);
		from = side_at(&data->from, data->at, &blocks);
		if (!same(to, from, data->at))
			err = blocks_send(data, to, &blocks);
		data->at += blocks;
	}
	if (!err && (data->at == data->end || batch_full(data)))
		err = batch_send(data);
	if (err || data->at == data->end) {
		side_close(&data->to);
		side_close(&data->from);
		data->active = false;
	}
	return err;
}

void th_send_data_release(struct th_send_data *data)
{
	side_close(&data->to);
	side_close(&data->from);
	th_cursor_close(data->search);
	th_sent_runs_release(&data->sent);
	free(data->buffer);
}
