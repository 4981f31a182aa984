/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of access that were set by reads.  They have records of their own, together at the beginning of the tree, and
 * not in the inodes: so a program that reads every file changes one small part of the tree.  Snapshots share the rest,
 * and a diff, which skips that part, does not visit it.
 *
 * An inode value has the time of access that the inode had when the value was stored.  The record counts if it is not
 * older than the inode's time of change: each later change has stored the inode, with its time of access.  A record
 * that does not count stays until the next read or the end of the inode.
 *
 * The records of neighbouring inodes are read together and cached, as stat(2) of a directory needs them all.
 */
#ifndef TH_FS_INODE_ATIME_RECORD_H
#define TH_FS_INODE_ATIME_RECORD_H

#include "fs/inode/inode.h"

/* Makes fs->atimes.  Returns 0 or -ENOMEM. */
int th_atime_records_init(struct th_fs *fs);
/* Frees fs->atimes; NULL is fine. */
void th_atime_records_release(struct th_fs *fs);
/* Forgets the records in memory, because the tree was replaced. */
void th_atime_records_forget(struct th_fs *fs);

/* Sets attr->atime of an inode that is being loaded from its record, if it has one that counts, and
 * inode->atime_recorded.  A record that cannot be read counts as none.  Returns 0, or -EINPROGRESS
 * (th_nowait_begin). */
int th_atime_record_load(struct th_inode *inode, struct th_attr *attr);
/* Stores the times of access of those that have a new one, unless the inode itself is to be stored with it.  A time of
 * access may be lost, as on a full disk: that is no error.  All locks held for writing. */
void th_atime_records_write(struct th_inode *const *inodes, size_t count);
/* Stages the deletion of the inode's record.  inode->lock held.  Returns as th_txn_delete. */
int th_atime_record_delete(struct th_txn *txn, const struct th_inode *inode);

#endif
