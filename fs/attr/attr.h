/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes attributes: chmod, chown, utimensat, truncate and chattr.
 *
 * All but the size change in memory at once, and in the store with the next writeback or transaction of the inode: a
 * program that unpacks an archive sets mode, owner and times one by one, and that is one write.  The mode of an inode
 * with an access control list is an exception: mode and list change in one transaction at once.
 */
#ifndef TH_FS_ATTR_ATTR_H
#define TH_FS_ATTR_ATTR_H

#include "fs/inode/inode.h"

enum th_attr_set {
	TH_ATTR_MODE = 1 << 0,
	TH_ATTR_UID = 1 << 1,
	TH_ATTR_GID = 1 << 2,
	TH_ATTR_SIZE = 1 << 3,
	TH_ATTR_ATIME = 1 << 4,
	TH_ATTR_MTIME = 1 << 5,
	TH_ATTR_CTIME = 1 << 6,
	TH_ATTR_ATIME_NOW = 1 << 7,
	TH_ATTR_MTIME_NOW = 1 << 8,
	TH_ATTR_KILL = 1 << 9, /* clear set-id bits (th_attr_kill_privileges) */
	TH_ATTR_OUTSIDER = 1 << 10, /* not a change: the caller is not in the group (th_attr_kill_privileges) */
};

/* Copies the attributes selected by `set` (enum th_attr_set; 0 is allowed) from `attr`.  ctime becomes the present time
 * unless TH_ATTR_CTIME is set.  A new owner clears the set-id bits, except of a directory or if the mode is set too.
 * Takes inode->lock.  Returns 0, -EROFS, -EPERM if the inode is immutable or append-only, -EISDIR for the size of a
 * directory, -EINVAL for the size of another inode that is no regular file, or as th_file_truncate. */
int th_attr_set(struct th_inode *inode, unsigned set, const struct th_attr *attr);

/* Clears the set-id bits before an unprivileged user changes the data (th_attr_kill_privileges).  Takes inode->lock.
 * Returns true if the mode has changed. */
bool th_attr_kill(struct th_inode *inode, bool outsider);

/* Replaces the flags of chattr(1).  privileged: the immutable and append-only flags may change.  Takes inode->lock.
 * Returns 0, -EROFS, -EPERM, or -EOPNOTSUPP for flags without a meaning here. */
int th_attr_set_flags(struct th_inode *inode, uint32_t flags, bool privileged);

/* Returns the flags of a new inode with this mode in a directory with these flags. */
uint32_t th_attr_inherit_flags(uint32_t dir_flags, uint32_t mode);

/* Checks the inode's flags for an open(2) with these flags.  Takes inode->lock.  Returns 0, -EROFS or -EPERM. */
int th_attr_check_open(struct th_inode *inode, int open_flags);

#endif
