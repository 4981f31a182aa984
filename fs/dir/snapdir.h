/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .snapshots, or options.snapdir_name: a virtual directory in each directory of the live tree.  It has an entry for
 * each snapshot that contains the directory.  The inode of an entry is the directory's inode, read through the
 * snapshot's view.
 *
 * Programs that delete, copy or synchronise a tree act on all names that readdir returns.  So .snapshots is not listed
 * (TH_SNAPDIR_HIDDEN), or snapshots cannot be created, deleted and renamed in it.
 */
#ifndef TH_FS_DIR_SNAPDIR_H
#define TH_FS_DIR_SNAPDIR_H

#include "fs/dir/dir.h"
#include "fs/inode/inode.h"

/* Returns true if this name in this directory means the virtual directory, unless the directory has an entry of this
 * name: that takes its place.  Such an entry can only be created by a mount that has no virtual directory of that
 * name. */
bool th_snapdir_is_name(const struct th_inode *dir, struct th_slice name);
/* Returns true if the directory has the virtual directory.  May read the disk. */
bool th_snapdir_exists(const struct th_inode *dir);
/* Returns true if readdir of this directory lists the virtual directory.  May read the disk. */
bool th_snapdir_is_listed(const struct th_inode *dir);

/* Updates owner, times and link count, before they are shown.  Takes the locks of the root and of the virtual
 * directory, one after the other.  Returns 0 or -errno. */
int th_snapdir_refresh(struct th_inode *snapdir);

/* Finds the directory as of the snapshot `name`.  The caller puts it.  Returns 0, -ENOENT if there is no such snapshot
 * or if it does not contain the directory, -ENAMETOOLONG, -EINVAL, or an error of reading. */
int th_snapdir_lookup(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret);
/* As th_dir_walk; the id of an entry is the snapshot's.  Skips snapshots that cannot be read. */
int th_snapdir_walk(struct th_inode *snapdir, uint64_t cookie, th_dir_each *each, void *arg);

/* Finds how deep in the snapshot this directory is; 0: its root; more than TH_NODE_DEPTH_MAX: deeper than that, or in a
 * circle.  Returns 0, -ENOENT if the snapshot does not have it, or an error of reading. */
int th_snapdir_depth(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, unsigned *ret);

/* Create, delete or rename a snapshot, always of the whole filesystem.  No lock held (L5).  All are -EPERM unless the
 * mode of the mount is TH_SNAPDIR_HIDDEN.  Deleting and renaming are -ENOENT for a snapshot that the directory does not
 * show.  rename: flags are 0 or RENAME_NOREPLACE, otherwise -EINVAL; an existing name `to` is -EEXIST. */
int th_snapdir_mkdir(struct th_inode *snapdir, struct th_slice name, struct th_inode **ret);
int th_snapdir_rmdir(struct th_inode *snapdir, struct th_slice name);
int th_snapdir_rename(struct th_inode *snapdir, struct th_slice from, struct th_slice to, unsigned flags);

#endif
