/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding inodes by node id alone, without a name: an NFS server, or open_by_handle_at(2), has a file handle of an
 * inode that the kernel has forgotten.  Node ids follow from the snapshot and the inode's id (inode_number.h), so this
 * works after a new mount, too.
 */
#ifndef TH_FS_DIR_HANDLE_H
#define TH_FS_DIR_HANDLE_H

#include "fs/inode/inode.h"

/* Finds the inode with this node id, in memory or in the store.  The caller puts it.  Returns 0; -ESTALE if there is
 * none, because it never was or was deleted, its snapshot was deleted, or the mount does not show it; -ENOMEM; or an
 * error of reading. */
int th_handle_find(struct th_fs *fs, uint64_t node, struct th_inode **ret);

#endif
