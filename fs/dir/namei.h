/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: finding, making, linking, removing and moving them.  Each function is one transaction and takes the locks it
 * needs (L1 to L3); directories given are held by the caller.
 *
 * Names in snapshots and in .snapshots never change here: -EROFS (snapdir.h has what changes in .snapshots). The name
 * .snapshots itself, where it means the virtual directory, can be neither made (-EEXIST) nor touched (-EPERM).
 */
#ifndef TH_FS_DIR_NAMEI_H
#define TH_FS_DIR_NAMEI_H

#include "fs/inode/inode.h"

/* The inode a name refers to; the caller puts it.  Finds .snapshots, and what is in it, too; not "." and "..".
 * -ENOENT, -ENAMETOOLONG. */
int th_namei_lookup(struct th_inode *dir, struct th_slice name, struct th_inode **ret);
/* The directory's parent; of the root of the mount, or of an entrance, what is above it.  The caller puts it. */
int th_namei_parent(struct th_inode *dir, struct th_inode **ret);

/* Walks a path from the root of the filesystem (not of the mount), of the live tree or of a snapshot.  Empty parts and
 * "." are skipped; symlinks are not followed, .. is refused (-EINVAL). */
int th_path_lookup(struct th_fs *fs, struct th_entered_snapshot *snapshot, const char *path, struct th_inode **ret);

/* What is to be made. */
struct th_namei_new {
	uint32_t mode; /* with the type */
	uint32_t umask; /* taken off it, unless the directory has a default access control list */
	uint32_t uid, gid; /* who makes it; a set-gid directory hands down its own group */
	uint64_t rdev;
	struct th_slice target; /* of a symlink */
};
int th_namei_create(struct th_inode *dir, struct th_slice name, const struct th_namei_new *what, struct th_inode **ret);
/* A file without a name, which th_namei_link may give it; in dir it would be. */
int th_namei_create_unnamed(struct th_inode *dir, const struct th_namei_new *what, struct th_inode **ret);
int th_namei_link(struct th_inode *inode, struct th_inode *dir, struct th_slice name);
int th_namei_unlink(struct th_inode *dir, struct th_slice name);
int th_namei_rmdir(struct th_inode *dir, struct th_slice name);
/* flags as renameat2(2); a whiteout belongs to the owner of its directory.  -EINVAL: combined as they must not be. */
int th_namei_rename(struct th_inode *from_dir, struct th_slice from, struct th_inode *to_dir, struct th_slice to,
		    unsigned flags);

/* The target of a symlink, into a buffer of TH_SYMLINK_MAX + 1 bytes; a NUL is added. */
int th_symlink_read(struct th_inode *inode, char *target);

#endif
