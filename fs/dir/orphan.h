/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: inodes without a name that are still in use.  The transaction that removes the last name stores an orphan
 * key.  The inode is deleted with its last reference, or, after a crash, by the next mount.
 */
#ifndef TH_FS_DIR_ORPHAN_H
#define TH_FS_DIR_ORPHAN_H

#include "fs/inode/inode.h"

/* Stages the orphan key of an inode.  Returns as th_txn_put. */
int th_orphan_add(struct th_txn *txn, const struct th_inode *inode);
/* Stages the removal of the orphan key, as the inode gets a name.  Returns as th_txn_delete. */
int th_orphan_remove(struct th_txn *txn, const struct th_inode *inode);
/* Deletes all keys of an inode that has no name and that no other thread can find, in as many transactions as needed,
 * and marks it deleted.  Takes inode->lock.  A failure is reported; the next mount deletes the rest.  Returns true if
 * the inode was on the dirty list: then the caller owns the list's reference. */
bool th_orphan_delete(struct th_inode *inode);
/* Deletes all orphans that a crash left.  For th_fs_open.  Returns 0 or -errno. */
int th_orphan_recover(struct th_fs *fs);

#endif
