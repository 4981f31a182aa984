/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delayed data of one regular file, as the parts of the data side share it (file.c, edge.c, flush.c, hole.c,
 * copy.c).
 *
 * A write goes to pages in memory, and each new page has a block reserved to it, so that a full disk is told to the
 * writer and not to nobody later.  A flush gives the pages blocks, one run after another, and stores extents, size and
 * attributes in one transaction.  What a file reads as is therefore: its pages, else its extents, else zeros.
 *
 *   F1  Behind the end of the file, up to the end of its last block, pages and stored blocks hold zeros: so a file
 *       grows over them without being read.
 *   F2  No page lies at or behind the end of the file.
 *   F3  What is stored is the file as it was at some moment, or between two writes of it: never blocks that belonged to
 *       something else.
 *
 * All of it is guarded by inode->lock, held for writing where not said otherwise.
 */
#ifndef TH_FS_DATA_FILE_PAGES_H
#define TH_FS_DATA_FILE_PAGES_H

#include "fs/data/extent.h"
#include "fs/data/file.h"
#include "fs/data/read_batch.h"
#include "fs/format/page_tree.h"

struct th_file {
	struct th_page_tree pages;
	uint64_t reserved; /* blocks set aside for the pages: one each, fewer after trouble */
	uint64_t fresh; /* pages over what is a hole or inline in the store */
	uint64_t stream_from, stream_to; /* bytes last written one after another */
	uint64_t hint; /* where the file's next run should go */
	uint64_t tail_block, tail_addr; /* behind what was flushed last: what goes on there joins its extent */
};

static inline uint64_t th_file_pages_blocks(uint64_t bytes)
{
	return (bytes >> TH_BLOCK_SHIFT) + (bytes % TH_BLOCK_SIZE ? 1 : 0);
}

/* Pages that wait in memory; 0 for an inode that has no th_file. */
static inline size_t th_file_pages_count(const struct th_inode *inode)
{
	return inode->file ? inode->file->pages.count : 0;
}

/* The store has no extent of this file: nothing to look for. */
static inline bool th_file_pages_bare(const struct th_inode *inode)
{
	return !inode->stored_size && !inode->stored_blocks;
}

/* The store may have the file inline. */
static inline bool th_file_pages_maybe_inline(const struct th_inode *inode)
{
	return inode->stored_size && inode->stored_size <= TH_FILE_INLINE_MAX && !inode->stored_blocks;
}

/* Makes inode->file if there is none. */
int th_file_pages_init(struct th_inode *inode);

/* Adds a page that is charged and (unless `reserved` says that the caller has done so) reserved as far as possible. The
 * page is the file's on success. */
int th_file_pages_add(struct th_inode *inode, uint64_t block, struct th_file_page *page, bool fresh, bool reserved);
/* What the store has inline becomes a page, unless there is one of that block.  *ret: there is one now. */
int th_file_pages_uninline(struct th_inode *inode, bool *ret);
/* Forgets the pages of these blocks, and their reservations. */
void th_file_pages_discard(struct th_inode *inode, uint64_t from, uint64_t to);
/* attr.blocks anew, after pages or stored blocks changed. */
void th_file_pages_count_blocks(struct th_inode *inode);
/* mtime and ctime are now, and the inode is dirty. */
void th_file_pages_modified(struct th_inode *inode);

/* A read into a block-aligned buffer of `blocks` blocks, TH_RUN_MAX at most, in two steps.  The first one, with the
 * lock held for reading, copies what is in memory and notes what is on disk; the second one, without it, reads that. In
 * between the blocks are guarded.  The second step follows if, and only if, the first did not fail.
 * -EINPROGRESS: th_nowait_again. */
struct th_file_pages_reading {
	struct th_read_batch gather;
	struct th_locker *guard; /* NULL: nothing to read, or nothing that could be given up */
};
int th_file_pages_read_begin(struct th_inode *inode, uint64_t block, uint32_t blocks, void *buffer,
			     struct th_file_pages_reading *ret);
int th_file_pages_read_end(struct th_file_pages_reading *reading);

#endif
