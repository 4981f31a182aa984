/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An update: one transaction that changes a few inodes, atomically in the store and in memory.
 *
 * The caller changes copies of the attributes.  th_update_end stages the copies, commits the transaction, and only then
 * makes the copies the inodes' attributes.
 */
#ifndef TH_FS_INODE_UPDATE_H
#define TH_FS_INODE_UPDATE_H

#include "fs/inode/inode.h"

#define TH_UPDATE_INODES 5 /* rename: two directories, the moved and the replaced inode, a whiteout */

struct th_update {
	struct th_txn *txn;
	struct th_time now;
	struct th_update_item {
		struct th_inode *inode;
		struct th_attr attr;
	} items[TH_UPDATE_INODES];
	unsigned nitems;
};

/* Begins a transaction.  Returns 0, -EROFS, or as th_txn_begin; after 0 the caller calls th_update_end. */
int th_update_begin(struct th_update *update, struct th_fs *fs);
/* Returns the copy of the inode's attributes, the same one each time.  inode->lock is held for writing until
 * th_update_end. */
struct th_attr *th_update_attr(struct th_update *update, struct th_inode *inode);
/* Sets the copy's primary name to a copy of `name`; name.size 0: no name.  Returns 0 or -ENOMEM. */
int th_update_name(struct th_update *update, struct th_inode *inode, uint64_t parent, struct th_slice name);
/* Commits if err is 0, otherwise rolls back; ends the update in either case.  Returns 0, err, or the error of staging
 * or of th_txn_commit. */
int th_update_end(struct th_update *update, int err);

#endif
