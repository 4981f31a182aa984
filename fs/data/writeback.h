/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushing: what waits in memory becomes blocks, extents and inode values, in one transaction for many inodes.
 *
 * The pages of all of them, in order, fill runs of up to TH_RUN_MAX blocks, each written by one transfer; a run is then
 * cut into extents where a file's blocks stop being consecutive or another file begins.  So a thousand small files,
 * or a thousand scattered pages of a large one, cost a few large sequential writes.
 */
#ifndef TH_FS_DATA_WRITEBACK_H
#define TH_FS_DATA_WRITEBACK_H

#include "fs/data/file_pages.h"

/* Pages in one transaction. */
#define TH_WRITEBACK_PAGES_MAX 2048
#define TH_WRITEBACK_INODES_MAX 128

enum th_writeback_mode {
	TH_WRITEBACK_ANY, /* small files go inline */
	TH_WRITEBACK_RUNS, /* nothing goes or stays inline, so that extents may be added */
	TH_WRITEBACK_NOWAIT, /* as _ANY, but -EINPROGRESS, and nothing done, rather than wait for a node (th_nowait_again)
			  */
};

/* Something waits in the inode.  Lock held for reading at least. */
bool th_writeback_needed(const struct th_inode *inode);
/* Flushes one inode.  inode->lock held for writing. */
int th_writeback_inode(struct th_inode *inode, enum th_writeback_mode mode);
/* Flushes the pages of [from, to) only, and the rest of the file later. */
int th_writeback_range(struct th_inode *inode, uint64_t from, uint64_t to);
/* Takes inode->lock for writing and flushes the inode, but does not hold the lock while it waits for a node; it is held
 * on return. */
int th_writeback_lock(struct th_inode *inode);
/* Flushes several inodes in one transaction: all or none.  All locked for writing, at most TH_WRITEBACK_INODES_MAX with at
 * most TH_WRITEBACK_PAGES_MAX pages between them.  -EINPROGRESS: a node is missing for that inode. */
int th_writeback_inodes(struct th_inode *const *inodes, size_t count, struct th_inode **ret_missed);
/* Flushes an inode after clearing the blocks [from, to), in one last transaction. */
int th_writeback_cleared(struct th_inode *inode, uint64_t from, uint64_t to);

#endif
