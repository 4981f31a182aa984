/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access times.  The kernel leaves them to the filesystem, which sees only the requests that the kernel's cache does
 * not answer: a cached read updates no atime, as with NFS.  An update changes memory; the next writeback stores it in a
 * record of its own (inode/atime_record.h).
 */
#ifndef TH_FS_ATTR_ATIME_H
#define TH_FS_ATTR_ATIME_H

#include "fs/inode/inode.h"

/* Updates the atime, as options.atime demands, after a read of data, entries or symlink target.  Takes inode->lock. */
void th_atime_touch(struct th_inode *inode);

#endif
