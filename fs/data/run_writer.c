/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/run_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int run_begin(struct th_run_writer *writer)
{
	uint32_t want = writer->left < TH_RUN_MAX ? writer->left : TH_RUN_MAX;
	int err = th_chunk_alloc(writer->txn, want, true, &writer->hint, &writer->run);

	if (err)
		return err;
	writer->used += writer->run.blocks;
	writer->filled = 0;
	writer->buffer = th_chunk_buffer(writer->fs->store, writer->run.blocks);
	return writer->buffer ? 0 : -ENOMEM;
}

int th_run_writer_finish(struct th_run_writer *writer)
{
	int err;

	if (!writer->buffer)
		return 0;
	err = th_chunk_write(writer->txn, &writer->run, writer->buffer, writer->checksums);
	if (err)
		free(writer->buffer);
	writer->buffer = NULL;
	return err;
}

void th_run_writer_release(struct th_run_writer *writer)
{
	free(writer->buffer);
	writer->buffer = NULL;
}

/* Makes a run with room for at least one block. */
static int run_ready(struct th_run_writer *writer)
{
	int err;

	if (writer->buffer && writer->filled < writer->run.blocks)
		return 0;
	err = th_run_writer_finish(writer);
	return err ? err : run_begin(writer);
}

static void run_fill(struct th_run_writer *writer, const struct th_file_page *page)
{
	uint8_t *to = writer->buffer + ((size_t)writer->filled << TH_BLOCK_SHIFT);

	memcpy(to, page->data, TH_BLOCK_SIZE);
	writer->checksums[writer->filled] = th_chunk_checksum(to);
	writer->packed[writer->filled] = th_le64(writer->checksums[writer->filled]);
	writer->filled++;
	writer->left--;
}

/* Stores the last `count` blocks of the run as the blocks of the file from `block` on. */
static int store_extent(struct th_run_writer *writer, struct th_inode *inode, uint64_t block, uint32_t count,
			int64_t *blocks)
{
	uint32_t first = writer->filled - count;
	struct th_extent extent = {
		.block = block,
		.blocks = count,
		.kind = TH_EXTENT_RUN,
		.run = { .addr = writer->run.addr + first, .birth = writer->run.birth, .blocks = count },
		.bytes = (const uint8_t *)&writer->packed[first],
		.size = count * sizeof(struct th_le64),
	};
	struct th_file *file = inode->file;
	bool appends = block == file->tail_block && extent.run.addr == file->tail_addr;

	file->tail_block = block + count;
	file->tail_addr = extent.run.addr + count;
	return appends ? th_extent_put(writer->fs, writer->txn, inode->id, &extent, blocks)
		       : th_extent_add(writer->txn, inode->id, &extent, blocks);
}

int th_run_writer_add(struct th_run_writer *writer, struct th_inode *inode, uint64_t *block, uint64_t to,
		      int64_t *blocks)
{
	const struct th_page_tree *pages = &inode->file->pages;
	const struct th_file_page *page;
	uint64_t first = *block;
	int err = run_ready(writer);

	if (err)
		return err;
	while (writer->filled < writer->run.blocks && *block < to && (page = th_page_tree_get(pages, *block))) {
		run_fill(writer, page);
		(*block)++;
	}
	return store_extent(writer, inode, first, *block - first, blocks);
}
