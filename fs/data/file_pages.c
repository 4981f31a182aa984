/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/file_pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/inode/dirty_list.h"
#include "fs/inode/retry.h"
#include "tree/chunk.h"

int th_file_pages_init(struct th_inode *inode)
{
	if (!inode->file)
		inode->file = calloc(1, sizeof(*inode->file));
	return inode->file ? 0 : -ENOMEM;
}

static void copy_inline(const struct th_extent *extent, void *to)
{
	if (extent->kind == TH_EXTENT_INLINE)
		memcpy(to, extent->bytes, extent->size < TH_BLOCK_SIZE ? extent->size : TH_BLOCK_SIZE);
}

int th_file_pages_reserve(struct th_inode *inode, uint32_t blocks)
{
	struct th_store *store = inode->fs->store;

	if (!th_chunk_reserve_now(store, blocks, false) || !th_chunk_reserve_now(store, blocks, true))
		return 0;
	return th_chunk_reserve(store, blocks);
}

int th_file_pages_reserve_metadata(struct th_fs *fs, uint32_t blocks)
{
	struct th_store_info info;
	uint32_t kept;
	int err = th_chunk_reserve_now(fs->store, blocks, false);

	if (!err)
		return 0;
	th_store_info(fs->store, &info);
	kept = info.blocks_emergency / 4;
	err = th_chunk_reserve_now(fs->store, blocks + kept, true);
	if (!err)
		th_chunk_unreserve(fs->store, kept);
	return err;
}

int th_file_pages_add(struct th_inode *inode, uint64_t block, struct th_file_page *page, bool fresh, bool reserved)
{
	struct th_file *file = inode->file;
	int err = reserved ? 0 : th_file_pages_reserve(inode, 1);

	if (err)
		return err;
	err = th_page_tree_add(&file->pages, block, page);
	if (err) {
		if (!reserved)
			th_chunk_unreserve(inode->fs->store, 1);
		return err;
	}
	page->fresh = fresh;
	file->fresh += fresh;
	file->reserved++;
	th_dirty_charge(inode->fs, 1);
	return 0;
}

/* Reads the inline extent of the file into a page.  Returns 0, 1 if it has none, or an error. */
static int read_inline(struct th_inode *inode, struct th_file_page *page)
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
		copy_inline(&extent, page->data);
	}
	th_extents_close(&extents);
	return err;
}

int th_file_pages_uninline(struct th_inode *inode, bool *ret)
{
	struct th_file_page *page;
	int err = th_file_pages_init(inode);

	if (err)
		return err;
	*ret = th_page_tree_get(&inode->file->pages, 0);
	if (*ret)
		return 0;
	page = th_page_tree_alloc();
	if (!page)
		return -ENOMEM;
	err = read_inline(inode, page);
	if (!err)
		err = th_file_pages_add(inode, 0, page, true, false);
	*ret = !err;
	if (err)
		th_page_tree_free(page);
	return err < 0 ? err : 0;
}

/* Releases the reservations of pages that were dropped. */
static void release_reservations(struct th_inode *inode)
{
	struct th_file *file = inode->file;

	while (file->reserved > file->pages.count) {
		uint64_t excess = file->reserved - file->pages.count;
		uint32_t step = excess < UINT32_MAX ? excess : UINT32_MAX;

		th_chunk_unreserve(inode->fs->store, step);
		file->reserved -= step;
	}
}

void th_file_pages_discard(struct th_inode *inode, uint64_t from, uint64_t to)
{
	struct th_file_page *page;
	uint64_t block;

	if (!inode->file)
		return;
	while (from < to && (page = th_page_tree_next(&inode->file->pages, from, &block)) && block < to) {
		inode->file->fresh -= page->fresh;
		th_page_tree_free(th_page_tree_take(&inode->file->pages, block));
		th_dirty_charge(inode->fs, -1);
		from = block + 1;
	}
	release_reservations(inode);
}

void th_file_pages_count_blocks(struct th_inode *inode)
{
	inode->attr.blocks = inode->stored_blocks + (inode->file ? inode->file->fresh : 0);
}

void th_file_pages_modified(struct th_inode *inode)
{
	inode->attr.mtime = inode->attr.ctime = th_time_now();
	th_inode_mark_dirty(inode);
}

/* --- reading --- */

/* Zeros the blocks from *filled up to `to`, and moves *filled there. */
static void fill_zeros(uint8_t *buffer, uint64_t first, uint64_t *filled, uint64_t to)
{
	if (to > *filled)
		memset(buffer + ((*filled - first) << TH_BLOCK_SHIFT), 0, (to - *filled) << TH_BLOCK_SHIFT);
	*filled = to;
}

/* A read while its parts are collected. */
struct read_plan {
	struct th_inode *inode;
	uint64_t block, end;
	uint8_t *buffer;
	struct th_read_batch *batch;
	uint64_t from, to; /* all blocks that are read from disk lie in this range */
};

static uint8_t *plan_place(const struct read_plan *plan, uint64_t block)
{
	return plan->buffer + ((block - plan->block) << TH_BLOCK_SHIFT);
}

/* Returns the block of the next page, or `end` if there is none before it. */
static uint64_t next_page(const struct th_inode *inode, uint64_t block, uint64_t end)
{
	uint64_t at;

	return th_file_pages_count(inode) && th_page_tree_next(&inode->file->pages, block, &at) && at < end ? at : end;
}

/* Adds a run to the batch, except for blocks that have a page. */
static int plan_run(struct read_plan *plan, const struct th_extent *extent)
{
	uint64_t end = extent->block + extent->blocks, at = extent->block;
	int err = 0;

	while (!err && at < end) {
		uint64_t page = next_page(plan->inode, at, end);
		struct th_extent part = *extent;

		if (page > at) {
			th_extent_clip(&part, at, page);
			err = th_read_batch_add(plan->batch, &part, plan_place(plan, at));
			plan->from = at < plan->from ? at : plan->from;
			plan->to = page;
		}
		at = page + 1;
	}
	if (err == -E2BIG) {
		th_fs_report(plan->inode->fs, "inode %" PRIu64 ": extents overlap", plan->inode->id);
		err = -EUCLEAN;
	}
	return err;
}

/* Adds the stored runs to the batch, copies inline data and zeros the rest. */
static int plan_stored(struct read_plan *plan)
{
	struct th_inode *inode = plan->inode;
	uint64_t filled = plan->block;
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, plan->block, plan->end, &extents);

	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &extent))) {
		fill_zeros(plan->buffer, plan->block, &filled, extent.block);
		if (extent.kind == TH_EXTENT_RUN) {
			err = plan_run(plan, &extent);
			filled += extent.blocks;
		} else {
			fill_zeros(plan->buffer, plan->block, &filled, extent.block + extent.blocks);
			copy_inline(&extent, plan_place(plan, extent.block));
		}
		if (err)
			break;
	}
	th_extents_close(&extents);
	if (err < 0)
		return err;
	fill_zeros(plan->buffer, plan->block, &filled, plan->end);
	return 0;
}

/* Counts the pages in the range, and copies them over the stored data if `copy` is set. */
static uint32_t plan_pages(const struct read_plan *plan, bool copy)
{
	uint64_t block = plan->block;
	uint32_t count = 0;

	for (; (block = next_page(plan->inode, block, plan->end)) < plan->end; block++, count++) {
		if (copy)
			memcpy(plan_place(plan, block), th_page_tree_get(&plan->inode->file->pages, block)->data,
			       TH_BLOCK_SIZE);
	}
	return count;
}

/* Guards the blocks that are read from disk.  Blocks of a snapshot need none: they are not freed while its view is
 * open. */
static int plan_guard(const struct read_plan *plan, struct th_file_pages_read *read)
{
	int err;

	if (!read->batch.nparts || plan->inode->snapshot)
		return 0;
	err = th_locker_new(plan->inode->fs->store, &read->guard);
	if (!err)
		err = th_extent_guard(read->guard, plan->inode->id, plan->from, plan->to);
	if (err)
		th_locker_free(read->guard);
	return err;
}

int th_file_pages_read_begin(struct th_inode *inode, uint64_t block, uint32_t blocks, void *buffer,
			     struct th_file_pages_read *ret)
{
	struct read_plan plan = {
		.inode = inode,
		.block = block,
		.end = block + blocks,
		.buffer = buffer,
		.batch = &ret->batch,
		.from = block + blocks,
	};
	int err = 0;

	th_read_batch_init(&ret->batch, inode->fs->store);
	ret->guard = NULL;
	if (plan_pages(&plan, false) < blocks)
		err = TH_NOWAIT(plan_stored(&plan));
	if (err)
		return err;
	plan_pages(&plan, true);
	return plan_guard(&plan, ret);
}

int th_file_pages_read_end(struct th_file_pages_read *read)
{
	int err = th_read_batch_read(&read->batch);

	th_locker_free(read->guard);
	return err;
}
