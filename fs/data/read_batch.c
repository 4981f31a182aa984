/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/read_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/disk/disk.h"
#include "tree/chunk.h"

static int part_compare(const void *a, const void *b)
{
	const struct th_read_batch_part *left = a, *right = b;

	return left->addr < right->addr ? -1 : left->addr > right->addr;
}

/* Returns how many of the first parts are adjacent on disk; *ret_blocks is their number of blocks. */
static unsigned parts_adjacent(const struct th_read_batch_part *parts, unsigned nparts, uint32_t *ret_blocks)
{
	unsigned count = 1;

	*ret_blocks = parts->blocks;
	while (count < nparts && parts->addr + *ret_blocks == parts[count].addr)
		*ret_blocks += parts[count++].blocks;
	return count;
}

/* Reads adjacent parts with one transfer and copies them to their buffers. */
static int parts_read(const struct th_read_batch *batch, const struct th_read_batch_part *parts, unsigned nparts,
		      uint32_t blocks)
{
	uint64_t checksums[TH_RUN_MAX];
	uint8_t *buffer = th_disk_buffer((size_t)blocks << TH_BLOCK_SHIFT);
	uint32_t at = 0;
	int err;

	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < nparts; at += parts[i++].blocks)
		memcpy(&checksums[at], &batch->checksums[parts[i].first], parts[i].blocks * sizeof(checksums[0]));
	err = th_chunk_read(batch->store, parts->addr, blocks, checksums, buffer);
	at = 0;
	for (unsigned i = 0; i < nparts && !err; at += parts[i++].blocks)
		memcpy(parts[i].to, buffer + ((size_t)at << TH_BLOCK_SHIFT), (size_t)parts[i].blocks << TH_BLOCK_SHIFT);
	free(buffer);
	return err;
}

int th_read_batch_read(struct th_read_batch *batch)
{
	uint32_t blocks;
	int err = 0;

	if (batch->nparts > 1)
		qsort(batch->parts, batch->nparts, sizeof(batch->parts[0]), part_compare);
	for (unsigned i = 0, count; i < batch->nparts && !err; i += count) {
		const struct th_read_batch_part *part = &batch->parts[i];

		count = parts_adjacent(part, batch->nparts - i, &blocks);
		if (count == 1)
			err = th_chunk_read(batch->store, part->addr, blocks, &batch->checksums[part->first], part->to);
		else
			err = parts_read(batch, part, count, blocks);
	}
	batch->nparts = batch->nblocks = 0;
	return err;
}

int th_read_batch_add(struct th_read_batch *batch, const struct th_extent *extent, void *to)
{
	if (batch->nblocks + extent->blocks > TH_RUN_MAX)
		return -E2BIG;
	batch->parts[batch->nparts++] = (struct th_read_batch_part){
		.addr = extent->run.addr,
		.blocks = extent->blocks,
		.first = batch->nblocks,
		.to = to,
	};
	th_extent_checksums(extent, 0, extent->blocks, &batch->checksums[batch->nblocks]);
	batch->nblocks += extent->blocks;
	return 0;
}
