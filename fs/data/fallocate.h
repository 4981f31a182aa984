/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the blocks that a file covers: truncating, punching holes, allocating. */
#ifndef TH_FS_DATA_FALLOCATE_H
#define TH_FS_DATA_FALLOCATE_H

#include "fs/data/partial_block.h"
#include "fs/inode/inode.h"

/* Sets the size in bytes, in transactions of its own, and mtime and ctime to now.  Blocks allocated past the end are
 * freed unless the file grows.  Returns 0, -EROFS, -EFBIG, an error of the store, or -EAGAIN and -EINPROGRESS as
 * th_partial_blocks_find, for which the caller retries.  After -ENOSPC data and attributes are as before.  inode->lock
 * held for writing. */
int th_file_truncate(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial);

/* Allocates or frees the bytes [off, off + len).  mode as fallocate(2): 0 or ZERO_RANGE, each also with KEEP_SIZE, or
 * PUNCH_HOLE | KEEP_SIZE.  Returns 0, -EOPNOTSUPP for another mode, -EINVAL if len is 0, -EFBIG, -EROFS, -EPERM if the
 * inode's flags forbid it, -ENOSPC, after which data and size are as before, or an error of the store.  Takes
 * inode->lock for writing. */
int th_file_fallocate(struct th_inode *inode, int mode, uint64_t off, uint64_t len);

#endif
