/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollback of a mounted filesystem: what the kernel has cached of the former state.
 *
 * While requests wait at the barrier, the kernel's locks may be held, so nothing can be dropped.  It happens before and
 * after:
 *
 *   before   all pages are written back and dropped: stores by mmap(2) that were made before belong to the former state
 *   after    attributes and pages of all files, and the differing names, are dropped.  A page that the kernel writes
 *   back
 *            then has bytes of the former state: it is discarded (th_inode.has_former_pages)
 *
 * Dropping attributes does not change the size that the kernel uses for O_APPEND, so appending writes go to the end of
 * the file as the daemon knows it.
 */
#ifndef TH_FS_FUSE_ROLLBACK_H
#define TH_FS_FUSE_ROLLBACK_H

#include "fs/fuse/session.h"

struct th_inode;

/* Sets fs->front.  fuse->fs and fuse->session are set. */
void th_fuse_rollback_setup(struct th_fuse *fuse);
/* Returns the offset at which a write to the inode belongs. */
off_t th_fuse_write_offset(struct th_fuse *fuse, struct th_inode *inode, off_t off, const struct fuse_file_info *fi);

#endif
