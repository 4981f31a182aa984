/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/apply_data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/data/extent.h"
#include "journal/base/array.h"

/* Extents that one transaction frees or makes at most: bounds its memory. */
#define EXTENTS_MAX 1024

/* --- data that waits --- */

/* Stages extents over the blocks of a run that was filled, from part *part, block *done of it, on. */
static int stage_parts(struct th_apply *apply, const struct th_run *run, const uint64_t *checksums, size_t *part,
		       uint32_t *done)
{
	struct th_le64 packed[TH_RUN_MAX];
	uint32_t at = 0;
	int err = 0;

	for (uint32_t i = 0; i < run->blocks; i++)
		packed[i] = th_le64(checksums[i]);
	while (at < run->blocks && !err) {
		const struct th_apply_part *from = &apply->data.parts[*part];
		uint32_t count = from->count - *done < run->blocks - at ? from->count - *done : run->blocks - at;
		struct th_extent extent = {
			.block = from->block + *done,
			.blocks = count,
			.kind = TH_EXTENT_RUN,
			.run = { .addr = run->addr + at, .birth = run->birth, .blocks = count },
			.bytes = (const uint8_t *)&packed[at],
			.size = count * sizeof(packed[0]),
		};
		int64_t unused = 0; /* they were counted when the data came */

		err = th_extent_add(apply->txn, from->id, &extent, &unused);
		at += count;
		*done += count;
		if (*done == from->count) {
			(*part)++;
			*done = 0;
		}
	}
	return err;
}

/* Allocates and writes one run for the waiting data from block `first` on. */
static int write_run(struct th_apply *apply, uint32_t first, struct th_run *run, uint64_t *checksums)
{
	uint32_t want = apply->data.blocks - first;
	uint8_t *buffer;
	int err = th_chunk_alloc(apply->txn, want < TH_RUN_MAX ? want : TH_RUN_MAX, false, &apply->data.hint, run);

	if (err)
		return err;
	buffer = th_chunk_buffer(apply->fs->store, run->blocks);
	if (!buffer)
		return -ENOMEM;
	memcpy(buffer, apply->data.bytes + ((size_t)first << TH_BLOCK_SHIFT), (size_t)run->blocks << TH_BLOCK_SHIFT);
	for (uint32_t i = 0; i < run->blocks; i++)
		checksums[i] = th_chunk_checksum(buffer + ((size_t)i << TH_BLOCK_SHIFT));
	err = th_chunk_write(apply->txn, run, buffer, checksums);
	if (err)
		free(buffer);
	return err;
}

int th_apply_data_flush(struct th_apply *apply)
{
	struct th_apply_data *data = &apply->data;
	uint64_t checksums[TH_RUN_MAX];
	uint32_t written = 0, done = 0;
	size_t part = 0;
	int err = 0;

	while (written < data->blocks && !err) {
		struct th_run run;

		err = write_run(apply, written, &run, checksums);
		if (!err)
			err = stage_parts(apply, &run, checksums, &part, &done);
		if (!err)
			written += run.blocks;
	}
	apply->allocated |= written > 0;
	data->blocks = 0;
	data->nparts = 0;
	return err;
}

void th_apply_data_release(struct th_apply_data *data)
{
	free(data->bytes);
	free(data->parts);
}

static int queue(struct th_apply *apply, const struct th_record *record)
{
	struct th_apply_data *data = &apply->data;
	uint64_t offset = record->block << TH_BLOCK_SHIFT;
	size_t room = (size_t)record->count << TH_BLOCK_SHIFT, size = record->bytes.size;
	uint8_t *to;
	int err = 0;

	if (data->blocks + record->count > TH_APPLY_DATA_BLOCKS)
		err = th_apply_commit(apply);
	if (!err && !data->bytes)
		data->bytes = malloc((size_t)TH_APPLY_DATA_BLOCKS << TH_BLOCK_SHIFT);
	if (!err && !data->bytes)
		err = -ENOMEM;
	if (!err)
		err = th_append(data->parts, data->capacity, data->nparts,
				(struct th_apply_part){ apply->id, record->block, (uint32_t)record->count });
	if (err)
		return err;
	/* Past the end of the file blocks hold zeros (F1). */
	if (offset >= apply->attr.size)
		size = 0;
	else if (apply->attr.size - offset < size)
		size = (size_t)(apply->attr.size - offset);
	to = data->bytes + ((size_t)data->blocks << TH_BLOCK_SHIFT);
	memcpy(to, record->bytes.data, size);
	memset(to + size, 0, room - size);
	data->blocks += (uint32_t)record->count;
	return 0;
}

/* --- the other kinds --- */

int th_apply_data_clear(struct th_apply *apply, uint64_t id, uint64_t from, uint64_t to, uint64_t *blocks)
{
	int err = 0;

	while (from < to && !err) {
		int64_t freed = 0;

		err = th_extent_clear(apply->fs, apply->txn, id, from, to, EXTENTS_MAX, &from, &freed);
		*blocks -= (uint64_t)-freed < *blocks ? (uint64_t)-freed : *blocks;
		if (!err && from < to)
			err = th_apply_commit(apply);
	}
	return err;
}

static int clear(struct th_apply *apply, uint64_t from, uint64_t count)
{
	return th_apply_data_clear(apply, apply->id, from, from + count, &apply->attr.blocks);
}

static int put_inline(struct th_apply *apply, const struct th_record *record)
{
	struct th_extent extent = { .kind = TH_EXTENT_INLINE,
				    .bytes = record->bytes.data,
				    .size = (uint32_t)record->bytes.size };
	int64_t unused = 0;
	int err;

	if (record->bytes.size != apply->attr.size ||
	    (S_ISREG(apply->attr.mode) && record->bytes.size > TH_FILE_INLINE_MAX))
		return th_apply_refuse(apply, "the data of a small file does not have its size");
	err = clear(apply, 0, TH_EXTENT_END);
	return err ? err : th_extent_add(apply->txn, apply->id, &extent, &unused);
}

static int put_unwritten(struct th_apply *apply, const struct th_record *record)
{
	uint64_t at = record->block, end = at + record->count;
	unsigned extents = 0;
	int err = clear(apply, at, record->count);

	while (at < end && !err) {
		struct th_extent extent = { .block = at, .kind = TH_EXTENT_UNWRITTEN };
		int64_t blocks = 0;

		if (extents++ == EXTENTS_MAX) {
			apply->next_block = at;
			err = th_apply_commit(apply);
			extents = 0;
		}
		if (!err)
			err = th_chunk_alloc(apply->txn, end - at < TH_RUN_MAX ? (uint32_t)(end - at) : TH_RUN_MAX,
					     false, &apply->data.hint, &extent.run);
		if (err)
			break;
		apply->allocated = true;
		extent.blocks = extent.run.blocks;
		err = th_extent_add(apply->txn, apply->id, &extent, &blocks);
		apply->attr.blocks += (uint64_t)blocks;
		at += extent.blocks;
	}
	return err;
}

/* Reads the first extent of an inode that touches [from, to), in the base or as it is now.  The caller frees
 * ret->bytes.  Returns 0, 1 if there is none, or an error. */
static int first_extent(struct th_apply *apply, bool of_base, uint64_t id, uint64_t from, uint64_t to,
			struct th_extent *ret)
{
	struct th_extents extents;
	uint8_t *copy;
	int err = of_base ? th_extents_open(apply->fs, apply->base, id, from, to, &extents)
			  : th_extents_open_txn(apply->fs, apply->txn, id, from, to, &extents);

	if (err)
		return err;
	err = th_extents_next(&extents, ret);
	if (!err) {
		copy = malloc(ret->size + 1);
		if (copy)
			memcpy(copy, ret->bytes, ret->size);
		ret->bytes = copy;
		err = copy ? 0 : -ENOMEM;
	}
	th_extents_close(&extents);
	return err;
}

/* Shares one extent of the source as the same blocks of the current inode. */
static int share(struct th_apply *apply, const struct th_extent *source, uint64_t block)
{
	struct th_extent extent = *source;
	int64_t blocks = 0;
	int err;

	if (extent.kind == TH_EXTENT_INLINE)
		return th_apply_refuse(apply, "data to be shared is the data of a small file");
	extent.block = block;
	err = th_chunk_share(apply->txn, &source->run, &extent.run);
	if (!err)
		err = th_extent_add(apply->txn, apply->id, &extent, &blocks);
	apply->attr.blocks += (uint64_t)blocks;
	return err;
}

static int clone_blocks(struct th_apply *apply, const struct th_record *record)
{
	uint64_t at = record->source_block, end = at + record->count, id;
	bool of_base = record->kind == TH_RECORD_CLONE_BASE;
	int err = th_apply_find_id(apply, record->source, &id);

	if (err == -ENOENT)
		return th_apply_refuse(apply, "data to be shared is of an unknown file");
	if (of_base && !apply->base)
		return th_apply_refuse(apply, "data to be shared is of a base, but there is none");
	if (!err && !of_base && id == apply->id && at < record->block + record->count && record->block < end)
		return th_apply_refuse(apply, "data is to be shared with itself");
	if (!err && !of_base && (apply->allocated || apply->data.blocks))
		err = th_apply_commit(apply); /* the store shares blocks of committed transactions only */
	if (!err)
		err = clear(apply, record->block, record->count);
	for (unsigned extents = 0; at < end && !err; extents++) {
		struct th_extent extent;

		if (extents && extents % EXTENTS_MAX == 0)
			err = th_apply_commit(apply);
		if (!err)
			err = first_extent(apply, of_base, id, at, end, &extent);
		if (err)
			break;
		err = share(apply, &extent, record->block + (extent.block - record->source_block));
		at = extent.block + extent.blocks;
		free((void *)extent.bytes);
	}
	return err < 0 ? err : 0;
}

/* --- dispatch --- */

static int check_range(struct th_apply *apply, const struct th_record *record)
{
	bool regular = S_ISREG(apply->attr.mode);

	if (!regular && !(S_ISLNK(apply->attr.mode) && record->kind == TH_RECORD_INLINE))
		return th_apply_refuse(apply, "data of an inode that is no file");
	if (record->block < apply->next_block)
		return th_apply_refuse(apply, "the blocks of a file are not in order");
	return 0;
}

int th_apply_data_record(struct th_apply *apply, const struct th_record *record)
{
	uint64_t end = record->block + record->count;
	int err;

	if (apply->number == apply->start.inode && end <= apply->start.block)
		return 0; /* was applied before */
	err = check_range(apply, record);
	if (err)
		return err;
	switch (record->kind) {
	case TH_RECORD_INLINE:
		err = put_inline(apply, record);
		break;
	case TH_RECORD_DATA:
		err = clear(apply, record->block, record->count);
		if (!err)
			err = queue(apply, record);
		if (!err)
			apply->attr.blocks += record->count;
		break;
	case TH_RECORD_HOLE:
		err = clear(apply, record->block, record->count);
		break;
	case TH_RECORD_UNWRITTEN:
		err = put_unwritten(apply, record);
		break;
	default:
		err = clone_blocks(apply, record);
		break;
	}
	apply->next_block = end;
	return err;
}
