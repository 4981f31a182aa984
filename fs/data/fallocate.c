/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/fallocate.h"

#include <errno.h>
#include <linux/falloc.h>
#include <string.h>

#include "fs/data/file_pages.h"
#include "fs/data/writeback.h"
#include "fs/data/writeback_list.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "fs/inode/retry.h"
#include "tree/chunk.h"

/* Blocks allocated in one transaction: bounds its memory. */
#define ALLOCATE_MAX 4096

/* --- partially covered blocks --- */

/* The bytes of one partially covered block that become zeros, and what they were. */
struct edge {
	struct th_file_page *page; /* NULL: the block is zeros */
	unsigned from, to;
	uint8_t old[TH_BLOCK_SIZE];
};

/* The edges of a change.  They have pages, and these have blocks reserved, before anything changes. */
struct edges {
	struct edge edge[2];
	unsigned count;
};

/* Adds the bytes [from, to) of a block, and makes a page of the block unless it is zeros. */
static int edges_add(struct edges *edges, struct th_inode *inode, uint64_t block, unsigned from, unsigned to,
		     struct th_partial_blocks *partial)
{
	struct edge *edge = &edges->edge[edges->count++];
	struct th_file_page *taken;
	int err = th_file_pages_init(inode);

	edge->page = NULL;
	edge->from = from;
	edge->to = to;
	if (err)
		return err;
	edge->page = th_page_tree_get(&inode->file->pages, block);
	if (edge->page)
		return 0;
	taken = th_partial_blocks_take(partial, block);
	if (!taken)
		return 0;
	err = th_file_pages_add(inode, block, taken, taken->fresh, false);
	if (err)
		th_page_tree_free(taken);
	else
		edge->page = taken;
	return err;
}

static void edges_zero(struct edges *edges)
{
	for (struct edge *edge = edges->edge; edge < edges->edge + edges->count; edge++) {
		if (!edge->page)
			continue;
		memcpy(edge->old, edge->page->data + edge->from, edge->to - edge->from);
		memset(edge->page->data + edge->from, 0, edge->to - edge->from);
	}
}

/* Undoes edges_zero. */
static void edges_restore(struct edges *edges)
{
	for (struct edge *edge = edges->edge; edge < edges->edge + edges->count; edge++)
		if (edge->page)
			memcpy(edge->page->data + edge->from, edge->old, edge->to - edge->from);
}

/* --- truncating, punching holes, zeroing --- */

/* Makes the blocks [from, to) a hole, or unwritten, and sets the size.  After an error nothing has changed. */
static int clear_blocks(struct th_inode *inode, uint64_t from, uint64_t to, uint64_t size, bool unwrite)
{
	uint64_t old_blocks = inode->stored_blocks;
	int err = 0;

	if (from < to && !th_file_pages_bare(inode))
		err = th_writeback_cleared(inode, from, to, size, unwrite);
	if (inode->stored_blocks < old_blocks)
		atomic_fetch_add(&inode->fs->uncounted_blocks, old_blocks - inode->stored_blocks);
	if (!err) {
		inode->attr.size = size;
		th_file_pages_discard(inode, from, to);
	}
	th_file_pages_count_blocks(inode);
	return err;
}

/* Zeros the edges and clears the blocks between them, or changes nothing. */
static int clear_range(struct th_inode *inode, struct edges *edges, uint64_t from, uint64_t to, uint64_t size,
		       bool unwrite)
{
	int err;

	edges_zero(edges);
	err = clear_blocks(inode, from, to, size, unwrite);
	if (err)
		edges_restore(edges);
	return err;
}

/* Zeros the bytes [from, to).  Whole blocks become a hole, or unwritten. */
static int zero_bytes(struct th_inode *inode, uint64_t from, uint64_t to, bool unwrite,
		      struct th_partial_blocks *partial)
{
	uint64_t first = from >> TH_BLOCK_SHIFT, last;
	unsigned begin = from % TH_BLOCK_SIZE, end;
	struct edges edges = { .count = 0 };
	int err = th_writeback_excess(inode, th_file_pages_blocks(from), to >> TH_BLOCK_SHIFT);

	if (!err)
		err = th_partial_blocks_find(partial, inode, from, to);
	if (err)
		return err;
	/* Past the end of the file there is nothing to keep (F1). */
	if (to >= inode->attr.size)
		to = th_file_pages_blocks(to) << TH_BLOCK_SHIFT;
	last = to >> TH_BLOCK_SHIFT;
	end = to % TH_BLOCK_SIZE;
	if (first == last) {
		err = edges_add(&edges, inode, first, begin, end, partial);
		return err ? err : clear_range(inode, &edges, first, first, inode->attr.size, unwrite);
	}
	if (begin)
		err = edges_add(&edges, inode, first++, begin, TH_BLOCK_SIZE, partial);
	if (!err && end)
		err = edges_add(&edges, inode, last, 0, end, partial);
	return err ? err : clear_range(inode, &edges, first, last, inode->attr.size, unwrite);
}

static int file_shrink(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial)
{
	uint64_t first = th_file_pages_blocks(size);
	unsigned end = size % TH_BLOCK_SIZE;
	struct edges edges = { .count = 0 };
	int err = th_writeback_excess(inode, first, TH_EXTENT_END);

	if (!err && end)
		err = th_partial_blocks_find(partial, inode, size, first << TH_BLOCK_SHIFT);
	if (!err && end)
		err = edges_add(&edges, inode, first - 1, end, TH_BLOCK_SIZE, partial);
	if (err)
		return err;
	/* Without stored blocks there is nothing to free.  The next writeback stores the shorter inline data. */
	if (!inode->stored_blocks && size) {
		edges_zero(&edges);
		inode->attr.size = size;
		th_file_pages_discard(inode, first, TH_EXTENT_END);
		th_file_pages_count_blocks(inode);
		return 0;
	}
	return clear_range(inode, &edges, first, TH_EXTENT_END, size, false);
}

/* Returns 0 if the file has stored blocks from `first` on, 1 if it has none, or an error. */
static int find_blocks(struct th_inode *inode, uint64_t first)
{
	struct th_extents extents;
	struct th_extent extent;
	int ret = th_extents_open(inode->fs, th_inode_view(inode), inode->id, first, TH_EXTENT_END, &extents);

	if (ret)
		return ret;
	ret = th_extents_next(&extents, &extent);
	th_extents_close(&extents);
	return ret;
}

/* Frees the blocks that were allocated past the end of the file, as ext4 and xfs do for a truncate to the same size. */
static int file_trim(struct th_inode *inode)
{
	uint64_t first = th_file_pages_blocks(inode->attr.size);
	int ret = inode->stored_blocks ? TH_NOWAIT(find_blocks(inode, first)) : 1;

	if (!ret)
		ret = th_writeback_excess(inode, first, TH_EXTENT_END);
	if (!ret)
		ret = clear_blocks(inode, first, TH_EXTENT_END, inode->attr.size, false);
	return ret < 0 ? ret : 0;
}

/* Restores the times after a change that failed, which had set them before it was stored. */
static void restore_times(struct th_inode *inode, struct th_time mtime, struct th_time ctime)
{
	inode->attr.mtime = mtime;
	inode->attr.ctime = ctime;
}

int th_file_truncate(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial)
{
	struct th_time mtime = inode->attr.mtime, ctime = inode->attr.ctime;
	int err = 0;

	if (inode->snapshot)
		return -EROFS;
	if (size > INT64_MAX)
		return -EFBIG;
	th_file_pages_modified(inode);
	if (size < inode->attr.size)
		err = file_shrink(inode, size, partial);
	else if (size == inode->attr.size)
		err = file_trim(inode);
	else
		inode->attr.size = size;
	if (err)
		restore_times(inode, mtime, ctime);
	return err;
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

/* Allocates the blocks [from, to), a hole, in a transaction.  They are reserved; *reserved is what is left of that. */
static int allocate_fill(struct th_inode *inode, struct th_txn *txn, uint64_t from, uint64_t to, uint32_t *reserved,
			 int64_t *blocks)
{
	uint64_t hint = th_dirty_hint(inode->fs);
	int err = 0;

	while (!err && from < to) {
		struct th_extent extent = { .block = from, .kind = TH_EXTENT_UNWRITTEN };
		uint32_t want = to - from < TH_RUN_MAX ? to - from : TH_RUN_MAX;

		err = th_chunk_alloc(txn, want, true, &hint, &extent.run);
		if (err)
			break;
		*reserved -= extent.run.blocks;
		extent.blocks = extent.run.blocks;
		err = th_extent_add(txn, inode->id, &extent, blocks);
		from += extent.blocks;
	}
	return err;
}

static int allocate_step(struct th_inode *inode, uint64_t from, uint64_t to, uint32_t *reserved)
{
	uint64_t old_blocks = inode->stored_blocks;
	int64_t blocks = 0;
	struct th_txn *txn;
	int err = th_txn_begin(inode->fs->store, &txn);

	if (err)
		return err;
	err = allocate_fill(inode, txn, from, to, reserved, &blocks);
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

/* Counts the blocks of [from, to) that are holes in the store. */
static int allocate_count(struct th_inode *inode, uint64_t from, uint64_t to, uint64_t *ret)
{
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, from, to, &extents);

	*ret = to - from;
	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &extent)))
		*ret -= extent.blocks;
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

/* Returns -ENOSPC if there is clearly too little space, before anything is done. */
static int allocate_room(struct th_inode *inode, uint64_t blocks)
{
	struct th_store_info info;

	if (blocks <= ALLOCATE_MAX)
		return 0;
	th_store_info(inode->fs->store, &info);
	return blocks > info.blocks_free + info.blocks_waiting + inode->stored_blocks ? -ENOSPC : 0;
}

/* Reserves the blocks that are missing, so that either all of them are allocated or none. */
static int allocate_reserve(struct th_inode *inode, uint64_t from, uint64_t to, uint32_t *ret_reserved)
{
	uint64_t holes;
	int err = allocate_room(inode, to - from);

	if (!err)
		err = th_writeback_inode(inode, TH_WRITEBACK_RUNS);
	if (!err)
		err = allocate_count(inode, from, to, &holes);
	if (!err && holes > UINT32_MAX)
		err = -ENOSPC;
	if (!err && holes)
		err = th_chunk_reserve(inode->fs->store, holes);
	*ret_reserved = err ? 0 : holes;
	return err;
}

static int file_allocate(struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint32_t reserved;
	uint64_t end;
	int err = allocate_reserve(inode, from, to, &reserved);

	while (!err && from < to) {
		err = allocate_find(inode, &from, to, &end);
		if (err)
			break;
		if (end > from + ALLOCATE_MAX)
			end = from + ALLOCATE_MAX;
		err = allocate_step(inode, from, end, &reserved);
		from = end;
	}
	if (reserved)
		th_chunk_unreserve(inode->fs->store, reserved);
	th_file_pages_count_blocks(inode);
	return err < 0 ? err : 0;
}

static int fallocate_locked(struct th_inode *inode, int mode, uint64_t off, uint64_t len,
			    struct th_partial_blocks *partial)
{
	const int changes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	struct th_time mtime = inode->attr.mtime, ctime = inode->attr.ctime;
	uint64_t end = off + len;
	int err;

	if (inode->snapshot || th_fs_writable(inode->fs))
		return -EROFS;
	err = th_inode_check_data(inode, mode & changes ? 0 : inode->attr.size);
	if (err)
		return err;
	th_file_pages_modified(inode);
	/* Allocating comes first: it can fail for lack of space, and must have changed no data then. */
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		err = file_allocate(inode, off >> TH_BLOCK_SHIFT, th_file_pages_blocks(end));
	if (!err && (mode & changes))
		err = zero_bytes(inode, off, end, mode & FALLOC_FL_ZERO_RANGE, partial);
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > inode->attr.size)
		inode->attr.size = end;
	if (err)
		restore_times(inode, mtime, ctime);
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
		th_moment_enter(inode->fs);
		pthread_rwlock_wrlock(&inode->lock);
		err = fallocate_locked(inode, mode, off, len, &partial);
		pthread_rwlock_unlock(&inode->lock);
		th_moment_leave(inode->fs);
	} while (th_partial_blocks_retry(&partial, &err) ||
		 (err == -ENOSPC && th_writeback_make_room(inode->fs, tries++)));
	th_partial_blocks_release(&partial);
	return err;
}
