/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: lookup, create, link, unlink, rmdir and rename.  Each change is one transaction.  The functions take the locks
 * that they need (L1 to L3).  The caller has references to the inodes that it passes.
 *
 * Names in snapshots and in .snapshots cannot be changed here: -EROFS (snapdir.h changes .snapshots).  The name
 * .snapshots itself, if it means the virtual directory, cannot be created (-EEXIST), removed, moved or replaced
 * (-EPERM).
 */
#ifndef TH_FS_DIR_NAMEI_H
#define TH_FS_DIR_NAMEI_H

#include "fs/inode/inode.h"

/* Finds the inode of a name, also .snapshots and its entries, but not "." and "..".  The caller puts it.  Returns 0,
 * -ENOENT, -ENOTDIR, -ENAMETOOLONG, or an error of reading. */
int th_namei_lookup(struct th_inode *dir, struct th_slice name, struct th_inode **ret);
/* Finds the directory's parent.  The parent of the mount's root is that root; the parent of the directory that a
 * snapshot was entered through is .snapshots.  The caller puts it.  Returns 0, -ENOENT if the directory was removed, or
 * as th_inode_get. */
int th_namei_parent(struct th_inode *dir, struct th_inode **ret);

/* Walks a path from the root of the filesystem (not of the mount), in the live tree (snapshot NULL) or in a snapshot.
 * Skips empty parts and ".".  Does not follow symlinks.  The caller puts the inode.  Returns 0, -ENOENT, -ENOTDIR,
 * -EINVAL for "..", -ENAMETOOLONG, or an error of reading. */
int th_path_lookup(struct th_fs *fs, struct th_entered_snapshot *snapshot, const char *path, struct th_inode **ret);

/* A new inode. */
struct th_namei_new {
	uint32_t mode; /* with the type */
	uint32_t umask; /* bits removed from mode, unless the directory has a default access control list */
	uint32_t uid, gid; /* of the creating process; a set-group-id directory passes on its own group */
	uint64_t rdev;
	struct th_slice target; /* of a symlink */
};
/* Creates an inode and its name.  The caller puts it.  Returns 0, -EEXIST, -ENOENT if dir was removed, -ENOTDIR, -EPERM
 * if dir is immutable, -EINVAL or -ENAMETOOLONG for the name, -ENAMETOOLONG for a symlink's target, -EROFS, -ENOSPC. */
int th_namei_create(struct th_inode *dir, struct th_slice name, const struct th_namei_new *new, struct th_inode **ret);
/* Creates an inode without a name, to which th_namei_link may give one.  It inherits from dir.  The caller puts it. */
int th_namei_create_unnamed(struct th_inode *dir, const struct th_namei_new *new, struct th_inode **ret);
/* Adds a name.  Returns as th_namei_create, and -EXDEV for an inode of a snapshot, -EPERM for a directory or an
 * immutable or append-only inode, -ENOENT for an inode that lost its last name, -EMLINK at TH_LINK_MAX names. */
int th_namei_link(struct th_inode *inode, struct th_inode *dir, struct th_slice name);
/* Removes the name of an inode that is no directory, or of an empty directory.  Returns 0, -ENOENT, -EISDIR (unlink),
 * -ENOTDIR and -ENOTEMPTY (rmdir), -EPERM if dir or the inode is immutable or append-only, -EROFS. */
int th_namei_unlink(struct th_inode *dir, struct th_slice name);
int th_namei_rmdir(struct th_inode *dir, struct th_slice name);
/* Renames as renameat2(2) with its flags, including RENAME_EXCHANGE and RENAME_WHITEOUT.  A whiteout has the owner of
 * its directory.  Returns 0, -EINVAL for an invalid combination of flags or for a directory moved into itself, or as
 * rename(2) and the functions above.  A failure leaves both names as they were. */
int th_namei_rename(struct th_inode *from_dir, struct th_slice from, struct th_inode *to_dir, struct th_slice to,
		    unsigned flags);

/* Reads the target of a symlink into a buffer of TH_SYMLINK_MAX + 1 bytes and appends a NUL.  Needs no lock.  Returns
 * 0, -EINVAL if it is no symlink, -EUCLEAN, or an error of reading. */
int th_symlink_read(struct th_inode *inode, char *target);

#endif
