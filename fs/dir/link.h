/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: what a name's coming or going changes in the inode it refers to, and in its directory.  The first name an
 * inode gets is its primary one, kept in its value; further ones have LINK keys.  When the primary one goes, another is
 * promoted.  All of it is staged in an update, with the inodes' locks held for writing.
 */
#ifndef TH_FS_DIR_LINK_H
#define TH_FS_DIR_LINK_H

#include "fs/inode/update.h"

/* The directory has so many more entries and subdirectories; its times are touched. */
void th_link_parent(struct th_update *update, struct th_inode *dir, int entries, int subdirs);
/* The inode gets one more name, or its first. */
int th_link_add(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name);
/* The inode loses a name.  With the last one it becomes an orphan. */
int th_link_remove(struct th_update *update, struct th_inode *inode, uint64_t dir, struct th_slice name);
/* One of the inode's names becomes another. */
int th_link_move(struct th_update *update, struct th_inode *inode, uint64_t from_dir, struct th_slice from,
		 uint64_t to_dir, struct th_slice to);

/* Stages a symlink's target. */
int th_symlink_store(struct th_txn *txn, const struct th_inode *inode, struct th_slice target);

#endif
