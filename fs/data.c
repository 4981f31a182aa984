/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dirty.h"

int th_data_init(struct th_inode *inode)
{
	if (!inode->file)
		inode->file = calloc(1, sizeof(*inode->file));
	return inode->file ? 0 : -ENOMEM;
}

static void data_copy_inline(const struct th_extent *extent, void *to)
{
	if (extent->kind == TH_EXTENT_INLINE)
		memcpy(to, extent->bytes, extent->size < TH_BLOCK_SIZE ? extent->size : TH_BLOCK_SIZE);
}

int th_data_add(struct th_inode *inode, uint64_t block, struct th_file_page *page, bool fresh, bool promised)
{
	struct th_file *file = inode->file;
	int err = th_pages_add(&file->pages, block, page);

	if (err)
		return err;
	page->fresh = fresh;
	file->fresh += fresh;
	file->promised += promised || !th_chunk_promise(inode->fs->store, 1);
	th_dirty_charge(inode->fs, 1);
	return 0;
}

/* The data of an inline extent at block 0, if that is what the store has. */
static int data_read_inline(struct th_inode *inode, struct th_file_page *page)
{
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, 0, 1, &extents);

	if (err)
		return err;
	err = th_extents_next(&extents, &extent);
	if (!err && extent.kind != TH_EXTENT_INLINE)
		err = 1;
	if (!err) {
		memset(page->data, 0, TH_BLOCK_SIZE);
		data_copy_inline(&extent, page->data);
	}
	th_extents_close(&extents);
	return err;
}

int th_data_uninline(struct th_inode *inode, bool *ret)
{
	struct th_file_page *page;
	int err = th_data_init(inode);

	if (err)
		return err;
	*ret = th_pages_get(&inode->file->pages, 0);
	if (*ret)
		return 0;
	page = th_pages_alloc();
	if (!page)
		return -ENOMEM;
	err = data_read_inline(inode, page);
	if (!err)
		err = th_data_add(inode, 0, page, true, false);
	*ret = !err;
	if (err)
		th_pages_free(page);
	return err < 0 ? err : 0;
}

/* Gives back the promises of pages that are gone. */
static void data_unpromise(struct th_inode *inode)
{
	struct th_file *file = inode->file;

	while (file->promised > file->pages.count) {
		uint64_t excess = file->promised - file->pages.count;
		uint32_t step = excess < UINT32_MAX ? excess : UINT32_MAX;

		th_chunk_unpromise(inode->fs->store, step);
		file->promised -= step;
	}
}

void th_data_discard(struct th_inode *inode, uint64_t from, uint64_t to)
{
	struct th_file_page *page;
	uint64_t block;

	if (!inode->file)
		return;
	while (from < to && (page = th_pages_next(&inode->file->pages, from, &block)) && block < to) {
		inode->file->fresh -= page->fresh;
		th_pages_free(th_pages_take(&inode->file->pages, block));
		th_dirty_charge(inode->fs, -1);
		from = block + 1;
	}
	data_unpromise(inode);
}

void th_data_count_blocks(struct th_inode *inode)
{
	inode->attr.blocks = inode->stored_blocks + (inode->file ? inode->file->fresh : 0);
}

void th_data_modified(struct th_inode *inode)
{
	inode->attr.mtime = inode->attr.ctime = th_time_now();
	th_inode_mark_dirty(inode);
}

/* Zeros from *filled on up to a block. */
static void data_fill(uint8_t *buffer, uint64_t first, uint64_t *filled, uint64_t to)
{
	if (to > *filled)
		memset(buffer + ((*filled - first) << TH_BLOCK_SHIFT), 0, (to - *filled) << TH_BLOCK_SHIFT);
	*filled = to;
}

/* Notes what the disk has of the blocks, and copies or clears the rest. */
static int data_note_stored(struct th_inode *inode, uint64_t block, uint64_t end, uint8_t *buffer,
			    struct th_gather *gather)
{
	struct th_extents extents;
	struct th_extent extent;
	uint64_t filled = block;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, block, end, &extents);

	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &extent))) {
		uint8_t *to = buffer + ((extent.block - block) << TH_BLOCK_SHIFT);

		data_fill(buffer, block, &filled, extent.block);
		if (extent.kind == TH_EXTENT_RUN) {
			err = th_gather_add(gather, &extent, to);
			filled += extent.blocks;
		} else {
			data_fill(buffer, block, &filled, extent.block + extent.blocks);
			data_copy_inline(&extent, to);
		}
		if (err)
			break;
	}
	th_extents_close(&extents);
	if (err < 0)
		return err;
	data_fill(buffer, block, &filled, end);
	return 0;
}

static uint32_t data_pages_in(const struct th_inode *inode, uint64_t block, uint64_t end)
{
	uint32_t count = 0;

	if (!th_data_pages(inode))
		return 0;
	while (block < end && th_pages_next(&inode->file->pages, block, &block) && block < end) {
		count++;
		block++;
	}
	return count;
}

static void data_copy_pages(const struct th_inode *inode, uint64_t block, uint32_t count, uint8_t *buffer)
{
	for (uint64_t at = block; count; count--, at++) {
		const struct th_file_page *page = th_pages_next(&inode->file->pages, at, &at);

		memcpy(buffer + ((at - block) << TH_BLOCK_SHIFT), page->data, TH_BLOCK_SIZE);
	}
}

/* What a snapshot has is given up by nobody while that is looked at. */
static int data_guard(struct th_inode *inode, uint64_t block, uint64_t end, struct th_data_reading *reading)
{
	int err;

	if (!reading->gather.nparts || inode->snapshot)
		return 0;
	err = th_locker_new(inode->fs->store, &reading->guard);
	if (!err)
		err = th_extent_guard(reading->guard, inode->id, block, end);
	if (err)
		th_locker_free(reading->guard);
	return err;
}

int th_data_read_begin(struct th_inode *inode, uint64_t block, uint32_t blocks, void *buffer,
		       struct th_data_reading *ret)
{
	uint64_t end = block + blocks;
	uint32_t waiting = data_pages_in(inode, block, end);
	int err = 0;

	th_gather_init(&ret->gather, inode->fs->store);
	ret->guard = NULL;
	if (waiting < blocks)
		err = data_note_stored(inode, block, end, buffer, &ret->gather);
	/* Pages lie over what is stored, and so must come last. */
	if (!err && waiting)
		err = th_gather_read(&ret->gather);
	if (err)
		return err;
	data_copy_pages(inode, block, waiting, buffer);
	return data_guard(inode, block, end, ret);
}

int th_data_read_end(struct th_data_reading *reading)
{
	int err = th_gather_read(&reading->gather);

	th_locker_free(reading->guard);
	return err;
}
