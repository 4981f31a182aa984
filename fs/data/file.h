/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of regular files: reading, delayed writing, truncation, holes, sharing.
 *
 * "Locks itself": takes inode->lock (L3) by itself.  "Locked": the caller holds inode->lock for writing.
 * All work on inodes of snapshots where they only read.  What would change data that the inode's flags guard
 * (immutable, append-only) is -EPERM.
 */
#ifndef TH_FS_DATA_FILE_H
#define TH_FS_DATA_FILE_H

#include <sys/types.h>

#include "fs/inode/inode.h"

struct th_partial_blocks;

/* Data that was read; buffer is freed by th_file_data_release. */
struct th_file_data {
	const void *data;
	size_t size; /* short only at the end of the file */
	void *buffer;
};

/* Locks itself.  Nothing behind the end of the file: size 0. */
int th_file_read(struct th_inode *inode, uint64_t off, size_t size, struct th_file_data *ret);
void th_file_data_release(struct th_file_data *data);

enum th_file_write_flags {
	TH_FILE_WRITE_APPEND = 1 << 0, /* at the end of the file, whatever off says */
};
/* Locks itself.  Bytes written (fewer than size only where space ended), or -errno.  Updates size, mtime, ctime. */
ssize_t th_file_write(struct th_inode *inode, const void *buf, size_t size, uint64_t off, unsigned flags);

/* Locked.  Sets the size, in transactions of its own, with mtime and ctime set to now if the size is given by
 * truncate(2) (always).  -EFBIG; -EAGAIN and -EINPROGRESS as th_partial_blocks_look. */
int th_file_truncate(struct th_inode *inode, uint64_t size, struct th_partial_blocks *edges);

/* Locks itself.  mode as fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE; else -EOPNOTSUPP. */
int th_file_fallocate(struct th_inode *inode, int mode, uint64_t off, uint64_t len);

/* Locks itself.  SEEK_DATA and SEEK_HOLE; -ENXIO. */
int th_file_seek(struct th_inode *inode, uint64_t off, int whence, uint64_t *ret);

/* Locks both itself.  Shares whole blocks, and copies the rest as one who reads and then writes.  src may be of a
 * snapshot, or be dst. */
int th_file_copy_range(struct th_inode *src, uint64_t src_off, struct th_inode *dst, uint64_t dst_off, uint64_t len,
		       uint64_t *ret_copied);

/* Locks itself.  Delayed data and dirty attributes (of any kind of inode) go to the tree. */
int th_file_writeback(struct th_inode *inode);
/* No inode lock held (L5).  th_file_writeback, and then durable (th_store_sync). */
int th_file_sync(struct th_inode *inode, bool datasync);

/* Locked.  The inode is being deleted: discards delayed data, and stages dropping its runs and deleting its extent
 * keys. 1: there is more; commit the transaction and call again with another (so that a huge file needs no huge
 * transaction).  The caller deletes the other keys with the last step. */
int th_file_drop(struct th_txn *txn, struct th_inode *inode);
/* Frees inode->file; nothing is dirty any more, or the inode is deleted.  Called when the last reference is gone. */
void th_file_release(struct th_inode *inode);

#endif
