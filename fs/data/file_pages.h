/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty pages of one regular file, which the files of fs/data share.
 *
 * A write goes to pages in memory.  Each new page has a block reserved, so that ENOSPC is reported to the writer and
 * not lost in writeback.  Writeback gives the pages blocks, run after run, and stores extents, size and attributes in
 * one transaction.  So the content of a file is: its pages, else its extents, else zeros.
 *
 *   F1  Past the end of the file, up to the end of its last block, pages and stored blocks hold zeros.  So a file grows
 *       over them without a read.
 *   F2  No page lies at or past the end of the file.
 *   F3  The store holds the file as it was at some moment, or between two writes of it, and never blocks that belonged
 *       to something else.
 *   F4  Each page has a block reserved, except after a failed writeback.  A page that is needed to free blocks, and one
 *       whose block in the store will be freed, may have it from the emergency reserve.  So a file can be truncated,
 *       punched and overwritten on a full disk.
 *
 * inode->lock guards all of it, held for writing unless stated otherwise.
 */
#ifndef TH_FS_DATA_FILE_PAGES_H
#define TH_FS_DATA_FILE_PAGES_H

#include "fs/data/extent.h"
#include "fs/data/page_tree.h"
#include "fs/data/read_batch.h"
#include "fs/inode/inode.h"

struct th_file {
	struct th_page_tree pages;
	uint64_t reserved; /* blocks reserved for the pages: one each, fewer after a failed writeback */
	uint64_t fresh; /* pages whose block is a hole or inline in the store */
	uint64_t stream_from, stream_to; /* the bytes that were written sequentially last */
	uint64_t hint; /* disk address where the file's next run should begin */
	uint64_t tail_block, tail_addr; /* just past the last extent written: an append there joins that extent */
};

/* Returns the number of blocks that `bytes` bytes take. */
static inline uint64_t th_file_pages_blocks(uint64_t bytes)
{
	return (bytes >> TH_BLOCK_SHIFT) + (bytes % TH_BLOCK_SIZE ? 1 : 0);
}

/* Returns the number of dirty pages; 0 for an inode without th_file. */
static inline size_t th_file_pages_count(const struct th_inode *inode)
{
	return inode->file ? inode->file->pages.count : 0;
}

/* Returns true if the store has no extent of this file, so that none needs to be looked up. */
static inline bool th_file_pages_bare(const struct th_inode *inode)
{
	return !inode->stored_size && !inode->stored_blocks;
}

/* Returns true if the store may have the file inline. */
static inline bool th_file_pages_maybe_inline(const struct th_inode *inode)
{
	return inode->stored_size && inode->stored_size <= TH_FILE_INLINE_MAX && !inode->stored_blocks;
}

/* Makes inode->file unless it exists.  Returns 0 or -ENOMEM. */
int th_file_pages_init(struct th_inode *inode);

/* Reserves blocks for data that the caller cannot refuse, or that is needed to free blocks: from the emergency reserve
 * if there are no others (F4).  Returns 0 or -ENOSPC. */
int th_file_pages_reserve(struct th_inode *inode, uint32_t blocks);
/* Reserves blocks for metadata that stays, as of small files and of copies that share blocks.  Uses only the upper
 * quarter of the emergency reserve: these blocks do not come back, and overwriting and truncating need theirs.  Returns
 * 0 or -ENOSPC. */
int th_file_pages_reserve_metadata(struct th_fs *fs, uint32_t blocks);
/* Adds a dirty page, which the file owns on success.  fresh: as struct th_file.  reserved: the caller has reserved a
 * block for it; else th_file_pages_reserve() is called.  Returns 0, -ENOMEM or -ENOSPC. */
int th_file_pages_add(struct th_inode *inode, uint64_t block, struct th_file_page *page, bool fresh, bool reserved);
/* Makes stored inline data a page, unless block 0 has one.  *ret: block 0 has a page now.  Returns 0 or an error. */
int th_file_pages_uninline(struct th_inode *inode, bool *ret);
/* Drops the pages of the blocks [from, to) and their reservations. */
void th_file_pages_discard(struct th_inode *inode, uint64_t from, uint64_t to);
/* Updates attr.blocks after a change of pages or stored blocks. */
void th_file_pages_count_blocks(struct th_inode *inode);
/* Sets mtime and ctime to now and marks the inode dirty. */
void th_file_pages_modified(struct th_inode *inode);

/* A read in two steps, into a block-aligned buffer.  The first step copies from memory and notes the blocks that are on
 * disk; the second one reads these without the lock.  In between the blocks are guarded (th_extent_guard). */
struct th_file_pages_read {
	struct th_read_batch batch;
	struct th_locker *guard; /* NULL: nothing to read, or nothing that could be freed */
};
/* Begins a read of `blocks` blocks, at most TH_RUN_MAX.  Returns 0: th_file_pages_read_end has to follow; or an error:
 * it must not.  -EINPROGRESS: a node has to be read first (TH_RETRY).  inode->lock held for reading. */
int th_file_pages_read_begin(struct th_inode *inode, uint64_t block, uint32_t blocks, void *buffer,
			     struct th_file_pages_read *ret);
/* Reads the blocks from disk and ends the guard.  No lock held. */
int th_file_pages_read_end(struct th_file_pages_read *read);

#endif
