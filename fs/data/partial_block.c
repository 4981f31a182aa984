/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/partial_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file_pages.h"
#include "fs/inode/retry.h"
#include "tree/chunk.h"

/* --- finding; inode->lock held --- */

/* Does a change of [from, to) keep bytes of the block that are before the end of the file? */
static bool keeps_bytes(const struct th_inode *inode, uint64_t block, uint64_t from, uint64_t to)
{
	uint64_t start = block << TH_BLOCK_SHIFT, end = start + TH_BLOCK_SIZE, size = inode->attr.size;

	return (from > start && size > start) || (to < end && to < size);
}

/* Makes a page of the `size` stored bytes of the block, padded with zeros. */
static int part_fill(struct th_partial_block *part, const void *data, size_t size, bool fresh)
{
	part->page = th_page_tree_alloc();
	if (!part->page)
		return -ENOMEM;
	part->page->fresh = fresh;
	memcpy(part->page->data, data, size);
	memset(part->page->data + size, 0, TH_BLOCK_SIZE - size);
	return 0;
}

static int part_fill_inline(struct th_partial_block *part, const struct th_extent *extent)
{
	return part_fill(part, extent->bytes, extent->size < TH_BLOCK_SIZE ? extent->size : TH_BLOCK_SIZE, true);
}

/* Guards the block, so that it is not freed before it has been read. */
static int part_guard(struct th_partial_blocks *partial, uint64_t block)
{
	int err = partial->guard ? 0 : th_locker_new(partial->inode->fs->store, &partial->guard);

	return err ? err : th_extent_guard(partial->guard, partial->inode->id, block, block + 1);
}

static int part_fill_run(struct th_partial_blocks *partial, struct th_partial_block *part,
			 const struct th_extent *extent)
{
	uint64_t checksum;

	th_extent_checksums(extent, 0, 1, &checksum);
	if (part->data && part->addr == extent->run.addr && part->birth == extent->run.birth &&
	    part->checksum == checksum)
		return part_fill(part, part->data, TH_BLOCK_SIZE, false);
	free(part->data);
	part->data = NULL;
	part->addr = extent->run.addr;
	part->birth = extent->run.birth;
	part->checksum = checksum;
	part->missing = true;
	return part_guard(partial, extent->block);
}

static int part_find(struct th_partial_blocks *partial, struct th_partial_block *part, uint64_t block)
{
	struct th_inode *inode = partial->inode;
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, block, block + 1, &extents);

	if (err)
		return err;
	err = th_extents_next(&extents, &extent);
	if (!err && extent.kind == TH_EXTENT_INLINE)
		err = part_fill_inline(part, &extent);
	else if (!err && extent.kind == TH_EXTENT_RUN)
		err = part_fill_run(partial, part, &extent);
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

static int part_prepare(struct th_partial_blocks *partial, struct th_partial_block *part, uint64_t block, uint64_t from,
			uint64_t to)
{
	const struct th_inode *inode = partial->inode;

	part->block = block;
	if (th_file_pages_bare(inode) || !keeps_bytes(inode, block, from, to))
		return 0;
	if (th_file_pages_count(inode) && th_page_tree_get(&inode->file->pages, block))
		return 0;
	return part_find(partial, part, block);
}

/* Forgets the result of an earlier try, except for the block that was read, which may still be valid. */
static void part_reset(struct th_partial_block *part)
{
	th_page_tree_free(part->page);
	part->page = NULL;
	part->missing = false;
}

int th_partial_blocks_find(struct th_partial_blocks *partial, struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t first = from >> TH_BLOCK_SHIFT, last = (to - 1) >> TH_BLOCK_SHIFT;
	int err;

	partial->inode = inode;
	part_reset(&partial->first);
	part_reset(&partial->last);
	err = TH_NOWAIT(part_prepare(partial, &partial->first, first, from, to));
	if (!err && last != first)
		err = TH_NOWAIT(part_prepare(partial, &partial->last, last, from, to));
	return !err && partial->guard ? -EAGAIN : err;
}

struct th_file_page *th_partial_blocks_take(struct th_partial_blocks *partial, uint64_t block)
{
	struct th_partial_block *part =
		partial->first.page && partial->first.block == block ? &partial->first : &partial->last;
	struct th_file_page *page = part->block == block ? part->page : NULL;

	if (page)
		part->page = NULL;
	return page;
}

/* --- reading; no lock held --- */

static int part_read(const struct th_partial_blocks *partial, struct th_partial_block *part)
{
	int err;

	if (!part->missing)
		return 0;
	part->missing = false;
	part->data = th_disk_buffer(TH_BLOCK_SIZE);
	if (!part->data)
		return -ENOMEM;
	err = th_chunk_read(partial->inode->fs->store, part->addr, 1, &part->checksum, part->data);
	if (err) {
		free(part->data);
		part->data = NULL;
	}
	return err;
}

bool th_partial_blocks_retry(struct th_partial_blocks *partial, int *err)
{
	bool missing = *err == -EAGAIN && partial->guard;

	if (missing) {
		*err = part_read(partial, &partial->first);
		if (!*err)
			*err = part_read(partial, &partial->last);
	}
	th_locker_free(partial->guard);
	partial->guard = NULL;
	return (missing && !*err) || th_nowait_again(*err);
}

static void part_release(struct th_partial_block *part)
{
	th_page_tree_free(part->page);
	free(part->data);
}

void th_partial_blocks_release(struct th_partial_blocks *partial)
{
	th_locker_free(partial->guard);
	part_release(&partial->first);
	part_release(&partial->last);
}
