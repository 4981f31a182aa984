/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .snapshots: a virtual directory in every directory of the live tree, whose entries are that directory as of each
 * snapshot that has it.  The entry's inode is the directory's, read through the snapshot's view.
 */
#ifndef TH_FS_DIR_SNAPDIR_H
#define TH_FS_DIR_SNAPDIR_H

#include "fs/dir/dir.h"
#include "fs/inode/inode.h"

/* Does this name, in this directory, mean the virtual directory? */
bool th_snapdir_is_name(const struct th_inode *dir, struct th_slice name);
/* Is it listed there? */
bool th_snapdir_is_listed(const struct th_inode *dir);

/* Brings times and link count up to date. */
int th_snapdir_refresh(struct th_inode *snapdir);

int th_snapdir_lookup(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret);
/* Like th_dir_walk. */
int th_snapdir_walk(struct th_inode *snapdir, uint64_t cookie, th_dir_each *each, void *arg);

/* Takes, deletes, renames a snapshot (of everything, wherever the directory is).  No lock may be held (L5).
 * Deleting and renaming work on what the directory shows: -ENOENT else. */
int th_snapdir_mkdir(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret);
int th_snapdir_rmdir(struct th_inode *snapdir, struct th_slice name);
int th_snapdir_rename(struct th_inode *snapdir, struct th_slice from, struct th_slice to, unsigned flags);

#endif
