/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An update: one transaction over a few inodes, all of it or nothing, in the store and in memory.
 *
 * It hands out copies of the attributes of the inodes that change.  Committing stages the copies, merges the
 * transaction, and then makes the copies the inodes' attributes.
 */
#ifndef TH_FS_INODE_UPDATE_H
#define TH_FS_INODE_UPDATE_H

#include "fs/inode/inode.h"

#define TH_UPDATE_INODES 5 /* two directories, what is moved, what it replaces, and a whiteout in its place */

struct th_update {
	struct th_txn *txn;
	struct th_time now;
	struct th_update_item {
		struct th_inode *inode;
		struct th_attr attr;
	} items[TH_UPDATE_INODES];
	unsigned nitems;
};

int th_update_begin(struct th_update *update, struct th_fs *fs);
/* The copy of the inode's attributes; the same one each time.  inode->lock is held for writing until the end. */
struct th_attr *th_update_attr(struct th_update *update, struct th_inode *inode);
/* Gives the copy another primary name (copied).  name.size 0: none.  -ENOMEM. */
int th_update_name(struct th_update *update, struct th_inode *inode, uint64_t parent, struct th_slice name);
/* Commits if r is 0, else rolls back; ends the update in either case. */
int th_update_end(struct th_update *update, int r);

#endif
