/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SEEK_DATA and SEEK_HOLE of lseek(2), exact to the block: pages and stored runs are data.  Unwritten extents and
 * uncovered blocks read as zeros and are holes.
 */
#ifndef TH_FS_DATA_SEEK_H
#define TH_FS_DATA_SEEK_H

#include "fs/inode/inode.h"

/* Finds the first offset at or after off (bytes) that is data or a hole; the end of the file is a hole.  Returns 0,
 * -ENXIO if off is not before the end of the file or no data follows it, -EINVAL for another whence, or an error of
 * the store.  Takes inode->lock for reading. */
int th_file_seek(struct th_inode *inode, uint64_t off, int whence, uint64_t *ret);

#endif
