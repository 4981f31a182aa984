/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writeback: stores the dirty pages and attributes of one or many inodes in one transaction, as blocks, extents and
 * inode values.  After it the inodes are clean; if it fails, they are as before.
 */
#ifndef TH_FS_DATA_WRITEBACK_H
#define TH_FS_DATA_WRITEBACK_H

#include "fs/data/file_pages.h"

/* Pages and inodes in one transaction. */
#define TH_WRITEBACK_PAGES_MAX 2048
#define TH_WRITEBACK_INODES_MAX 128

enum th_writeback_mode {
	TH_WRITEBACK_ANY, /* small files become inline */
	TH_WRITEBACK_RUNS, /* no file becomes or stays inline, so that extents can be added */
	TH_WRITEBACK_NOWAIT, /* as _ANY, but changes nothing and returns -EINPROGRESS if a node has to be read */
};

/* The functions return 0, -ENOSPC, -ENOMEM or an error of the store, and further errors where these are listed. */

/* Returns true if the inode is dirty.  inode->lock held for reading at least. */
bool th_writeback_needed(const struct th_inode *inode);
/* Writes back one inode.  -EINPROGRESS: only with TH_WRITEBACK_NOWAIT.  inode->lock held for writing. */
int th_writeback_inode(struct th_inode *inode, enum th_writeback_mode mode);
/* Writes back the pages of the blocks [from, to) only; the rest of the file stays dirty.  inode->lock held for
 * writing. */
int th_writeback_range(struct th_inode *inode, uint64_t from, uint64_t to);
/* Locks inode->lock for writing and writes back the inode, but usually drops the lock while a node is read.  The lock
 * is held on return, after an error too. */
int th_writeback_lock(struct th_inode *inode);
/* Writes back all of these inodes in one transaction, or none: at most TH_WRITEBACK_INODES_MAX with at most
 * TH_WRITEBACK_PAGES_MAX pages together.  -EINPROGRESS: a node has to be read for *ret_missed.  The locks of all are
 * held for writing. */
int th_writeback_inodes(struct th_inode *const *inodes, size_t count, struct th_inode **ret_missed);
/* Writes back the pages of the blocks outside [from, to), if they are more than one transaction takes.
 * inode->lock held for writing. */
int th_writeback_excess(struct th_inode *inode, uint64_t from, uint64_t to);
/* Makes the blocks [from, to) a hole, discards their pages, sets the size and writes back the inode, with the last of
 * the transactions that this takes.  unwrite: stored blocks stay allocated and read as zeros instead.  After an error
 * the pages and the size are as before.  th_writeback_excess was called first, inode->lock held for writing since. */
int th_writeback_cleared(struct th_inode *inode, uint64_t from, uint64_t to, uint64_t size, bool unwrite);

#endif
