/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: inodes without a name that are still in use.  The transaction that takes the last name away notes the inode
 * under an orphan key; the last reference's end deletes it, or, after a crash, the next mount.
 */
#ifndef TH_FS_DIR_ORPHAN_H
#define TH_FS_DIR_ORPHAN_H

#include "fs/inode/inode.h"

/* Stages the note. */
int th_orphan_add(struct th_txn *txn, const struct th_inode *inode);
/* Stages taking it back: the inode has a name again. */
int th_orphan_remove(struct th_txn *txn, const struct th_inode *inode);
/* Deletes everything of an inode that has no name and which nobody else can find, in as many transactions as it takes,
 * and marks it deleted.  What fails is reported, and left to the next mount.  True: it was dirty, and the caller now
 * owns the dirty list's reference. */
bool th_orphan_delete(struct th_inode *inode);
/* Deletes every orphan that is noted. */
int th_orphan_recover(struct th_fs *fs);

#endif
