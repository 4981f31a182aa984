/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/fallocate.h"

#include <errno.h>
#include <linux/falloc.h>
#include <string.h>

#include "fs/data/file_pages.h"
#include "fs/data/writeback.h"
#include "fs/data/writeback_list.h"
#include "fs/inode/dirty_list.h"
#include "tree/chunk.h"

/* Blocks allocated in one transaction: bounds its memory. */
#define ALLOCATE_MAX 4096

/* --- truncating and punching holes --- */

/* Zeros the bytes [from, to) of one block, unless it is a hole. */
static int zero_part(struct th_inode *inode, uint64_t block, unsigned from, unsigned to,
		     struct th_partial_blocks *partial)
{
	struct th_file_page *page, *taken;
	int err = th_file_pages_init(inode);

	if (err)
		return err;
	page = th_page_tree_get(&inode->file->pages, block);
	taken = page ? NULL : th_partial_blocks_take(partial, block);
	if (taken)
		err = th_file_pages_add(inode, block, taken, taken->fresh, false);
	if (err) {
		th_page_tree_free(taken);
		return err;
	}
	page = page ? page : taken;
	if (page)
		memset(page->data + from, 0, to - from);
	return 0;
}

/* Makes the blocks [from, to) a hole and writes back the inode. */
static int hole_blocks(struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t old_blocks = inode->stored_blocks;
	int err = 0;

	th_file_pages_discard(inode, from, to);
	if (from < to && !th_file_pages_bare(inode))
		err = th_writeback_cleared(inode, from, to);
	if (inode->stored_blocks < old_blocks)
		atomic_fetch_add(&inode->fs->uncounted_blocks, old_blocks - inode->stored_blocks);
	th_file_pages_count_blocks(inode);
	return err;
}

static int hole_bytes(struct th_inode *inode, uint64_t from, uint64_t to, struct th_partial_blocks *partial)
{
	uint64_t first = from >> TH_BLOCK_SHIFT, last;
	unsigned begin = from % TH_BLOCK_SIZE, end;
	int err = th_partial_blocks_find(partial, inode, from, to);

	if (err)
		return err;
	/* Past the end of the file there is nothing to keep (F1). */
	if (to >= inode->attr.size)
		to = th_file_pages_blocks(to) << TH_BLOCK_SHIFT;
	last = to >> TH_BLOCK_SHIFT;
	end = to % TH_BLOCK_SIZE;
	if (first == last)
		return zero_part(inode, first, begin, end, partial);
	if (begin)
		err = zero_part(inode, first++, begin, TH_BLOCK_SIZE, partial);
	if (!err && end)
		err = zero_part(inode, last, 0, end, partial);
	return err ? err : hole_blocks(inode, first, last);
}

static int file_shrink(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial)
{
	uint64_t first = th_file_pages_blocks(size), old_size = inode->attr.size;
	unsigned end = size % TH_BLOCK_SIZE;
	int err = end ? th_partial_blocks_find(partial, inode, size, first << TH_BLOCK_SHIFT) : 0;

	if (!err && end)
		err = zero_part(inode, first - 1, end, TH_BLOCK_SIZE, partial);
	if (err)
		return err;
	inode->attr.size = size;
	/* Without stored blocks there is nothing to free.  The next writeback stores the shorter inline data. */
	if (!inode->stored_blocks && size) {
		th_file_pages_discard(inode, first, TH_EXTENT_END);
		th_file_pages_count_blocks(inode);
		return 0;
	}
	err = hole_blocks(inode, first, TH_EXTENT_END);
	/* The new size must not be stored while there is data past it. */
	if (err)
		inode->attr.size = old_size;
	return err;
}

int th_file_truncate(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial)
{
	if (inode->snapshot)
		return -EROFS;
	if (size > INT64_MAX)
		return -EFBIG;
	th_file_pages_modified(inode);
	if (size < inode->attr.size)
		return file_shrink(inode, size, partial);
	inode->attr.size = size;
	return 0;
}

/* --- allocating --- */

/* Finds the first hole at or after *from; *ret_end is its end.  Returns 0, 1 if there is none before `to`, or an
 * error. */
static int allocate_find(struct th_inode *inode, uint64_t *from, uint64_t to, uint64_t *ret_end)
{
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, *from, to, &extents);

	if (err)
		return err;
	*ret_end = to;
	while (!(err = th_extents_next(&extents, &extent))) {
		if (extent.block > *from) {
			*ret_end = extent.block;
			break;
		}
		*from = extent.block + extent.blocks;
	}
	th_extents_close(&extents);
	if (err < 0)
		return err;
	return *from >= to;
}

/* Allocates the blocks [from, to), a hole, in a transaction. */
static int allocate_fill(struct th_inode *inode, struct th_txn *txn, uint64_t from, uint64_t to, int64_t *blocks)
{
	uint64_t hint = th_dirty_hint(inode->fs);
	int err = 0;

	while (!err && from < to) {
		struct th_extent extent = { .block = from, .kind = TH_EXTENT_UNWRITTEN };
		uint32_t want = to - from < TH_RUN_MAX ? to - from : TH_RUN_MAX;

		err = th_chunk_alloc(txn, want, false, &hint, &extent.run);
		extent.blocks = extent.run.blocks;
		if (!err)
			err = th_extent_add(txn, inode->id, &extent, blocks);
		from += extent.blocks;
	}
	return err;
}

static int allocate_step(struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t old_blocks = inode->stored_blocks;
	int64_t blocks = 0;
	struct th_txn *txn;
	int err = th_txn_begin(inode->fs->store, &txn);

	if (err)
		return err;
	err = allocate_fill(inode, txn, from, to, &blocks);
	inode->stored_blocks += blocks;
	if (!err)
		err = th_inode_store(txn, inode, &inode->attr);
	if (!err) {
		err = th_txn_commit(txn);
		txn = NULL;
	}
	th_txn_rollback(txn);
	if (err)
		inode->stored_blocks = old_blocks;
	return err;
}

/* Returns -ENOSPC if there is clearly too little space, so that such a request does not fill the disk first. */
static int allocate_room(struct th_inode *inode, uint64_t blocks)
{
	struct th_store_info info;

	if (blocks <= ALLOCATE_MAX)
		return 0;
	th_store_info(inode->fs->store, &info);
	return blocks > info.blocks_free + inode->stored_blocks ? -ENOSPC : 0;
}

static int file_allocate(struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t end;
	int err = allocate_room(inode, to - from);

	if (!err)
		err = th_writeback_inode(inode, TH_WRITEBACK_RUNS);
	while (!err && from < to) {
		err = allocate_find(inode, &from, to, &end);
		if (err)
			break;
		if (end > from + ALLOCATE_MAX)
			end = from + ALLOCATE_MAX;
		err = allocate_step(inode, from, end);
		from = end;
	}
	th_file_pages_count_blocks(inode);
	return err < 0 ? err : 0;
}

static int fallocate_locked(struct th_inode *inode, int mode, uint64_t off, uint64_t len,
			    struct th_partial_blocks *partial)
{
	const int changes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	uint64_t end = off + len;
	int err;

	if (inode->snapshot)
		return -EROFS;
	err = th_inode_check_data(inode, mode & changes ? 0 : inode->attr.size);
	if (err)
		return err;
	th_file_pages_modified(inode);
	if (mode & changes)
		err = hole_bytes(inode, off, end, partial);
	if (!err && !(mode & FALLOC_FL_PUNCH_HOLE))
		err = file_allocate(inode, off >> TH_BLOCK_SHIFT, th_file_pages_blocks(end));
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > inode->attr.size)
		inode->attr.size = end;
	return err;
}

int th_file_fallocate(struct th_inode *inode, int mode, uint64_t off, uint64_t len)
{
	struct th_partial_blocks partial = { .guard = NULL };
	unsigned tries = 0;
	int err;

	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!len)
		return -EINVAL;
	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EFBIG;
	do {
		pthread_rwlock_wrlock(&inode->lock);
		err = fallocate_locked(inode, mode, off, len, &partial);
		pthread_rwlock_unlock(&inode->lock);
	} while (th_partial_blocks_retry(&partial, &err) ||
		 (err == -ENOSPC && th_writeback_make_room(inode->fs, tries++)));
	th_partial_blocks_release(&partial);
	return err;
}
