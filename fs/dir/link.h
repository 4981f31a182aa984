/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: the changes in an inode and in its directory when a name is created, removed or moved.
 *
 * The first name of an inode is its primary name, stored in the inode's value.  Further names have LINK keys.  When the
 * primary name is removed, another one is promoted.  All functions stage in an update.  The caller holds the locks of
 * the inodes for writing.  Those that return a result return 0, -EUCLEAN if a LINK key is malformed, -ENOMEM,
 * or a read error of the store.
 */
#ifndef TH_FS_DIR_LINK_H
#define TH_FS_DIR_LINK_H

#include "fs/inode/update.h"

/* Adds to the directory's counts of entries and of subdirectories (negative: subtracts), and updates its mtime and
 * ctime. */
void th_link_parent(struct th_update *update, struct th_inode *dir, int entries, int subdirs);
/* Adds a name to the inode, its first or another one. */
int th_link_add(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name);
/* Removes a name from the inode.  An inode without names becomes an orphan. */
int th_link_remove(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name);
/* Replaces one of the inode's names by another. */
int th_link_move(struct th_update *update, struct th_inode *inode, uint64_t from_dir, struct th_slice from,
		 uint64_t to_dir, struct th_slice to);

/* Stages the target of a symlink, 1 to TH_SYMLINK_MAX bytes.  Returns as th_txn_put. */
int th_symlink_store(struct th_txn *txn, const struct th_inode *inode, struct th_slice target);

#endif
