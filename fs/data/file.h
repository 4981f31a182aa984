/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files: reading, writing, writeback and deletion.  copy.h, seek.h and fallocate.h have the other operations on
 * file data.
 *
 * Writes are delayed: they go to pages in memory (file_pages.h), and writeback stores them later.  Inodes of snapshots
 * can only be read.  Returns -EPERM where the inode's flags (immutable, append-only) forbid a change of data.
 */
#ifndef TH_FS_DATA_FILE_H
#define TH_FS_DATA_FILE_H

#include <sys/types.h>

#include "fs/inode/inode.h"

/* Data that was read; th_file_data_release frees the buffer. */
struct th_file_data {
	const void *data;
	size_t size; /* less than requested only at the end of the file */
	void *buffer;
};

/* Reads up to `size` bytes from off on.  ret->size is 0 at or beyond the end of the file.  Returns 0, -ENOMEM, -EUCLEAN
 * or an error of the store.  Takes inode->lock for reading, and drops it while the disk is read. */
int th_file_read(struct th_inode *inode, uint64_t off, size_t size, struct th_file_data *ret);
void th_file_data_release(struct th_file_data *data);

enum th_file_write_flags {
	TH_FILE_WRITE_APPEND = 1 << 0, /* write at the end of the file and ignore off */
};
/* Writes to pages in memory, and updates size, mtime and ctime.  Returns the bytes written, fewer than size only if
 * space ran out; -ENOSPC if there was none; -EROFS; -EPERM; -EFBIG; -ENOENT if the inode is deleted; or an error of the
 * store.  Takes inode->lock for writing, and drops it while the disk is read. */
ssize_t th_file_write(struct th_inode *inode, const void *buf, size_t size, uint64_t off, unsigned flags);

/* Stores the dirty pages and attributes of one inode of any type in the store, not yet durably.  Returns 0 or an error
 * of the store.  Takes inode->lock for writing. */
int th_file_writeback(struct th_inode *inode);
/* Makes all changes of the inode durable: th_file_writeback and th_store_sync.  No inode lock held (L5). */
int th_file_sync(struct th_inode *inode);

/* Part of deleting an inode: discards its pages, and stages freeing its runs and deleting its extent keys.  A large
 * file takes several transactions.  Returns 0 at the last step, with which the caller deletes the other keys; 1 if
 * there is more: the caller commits and calls again with a new transaction; or an error.  inode->lock held for
 * writing. */
int th_file_drop(struct th_txn *txn, struct th_inode *inode);
/* Frees inode->file.  No page is dirty, or the inode is deleted.  Called with the last reference. */
void th_file_release(struct th_inode *inode);

#endif
