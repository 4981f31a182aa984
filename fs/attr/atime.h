/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of access.  The kernel leaves them to us, and we see only what it asks for: a read that it answers from its
 * cache touches nothing, as with NFS.  A touch changes memory, and comes to the store with the next flush.
 */
#ifndef TH_FS_ATTR_ATIME_H
#define TH_FS_ATTR_ATIME_H

#include "fs/inode/inode.h"

/* Somebody has read the inode's data, entries or target.  Takes the lock. */
void th_atime_touch(struct th_inode *inode);

#endif
