/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing attributes: what chmod, chown, utimensat, truncate and chattr do.  All but the size change in memory at
 * once, and in the store with the next flush or transaction of the inode: a program that unpacks an archive sets mode,
 * owner and times one by one, and that is one write.  The mode of an inode with an access control list is an exception:
 * the list changes with it, in the store at once.
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
	TH_ATTR_OUTSIDER = 1 << 10, /* who asks is not in the group: says more of clearing, and is no change itself */
};

/* Sets what `set` names (which may be nothing) from `attr`; ctime is now unless given.  Changing the owner of anything
 * but a directory clears its set-id bits, unless the mode is set too.  Takes the lock.  -EROFS, -EPERM (immutable,
 * append-only), -EISDIR and -EINVAL (size of what has none). */
int th_attr_set(struct th_inode *inode, unsigned set, const struct th_attr *attr);

/* Somebody without privilege is about to change its data: set-id bits go (th_attr_kill_privileges).  Takes the lock.
 * True if there were any. */
bool th_attr_kill(struct th_inode *inode, bool outsider);

/* Replaces the flags that chattr(1) may set; privileged: immutable and append may change.  Takes the lock.
 * -EOPNOTSUPP for flags that mean nothing here. */
int th_attr_set_flags(struct th_inode *inode, uint32_t flags, bool privileged);

/* The flags of an inode that is made, with this mode, in a directory with those flags. */
uint32_t th_attr_inherit_flags(uint32_t dir_flags, uint32_t mode);

/* May it be opened with these open(2) flags, as far as its own flags are concerned?  Takes the lock. */
int th_attr_check_open(struct th_inode *inode, int open_flags);

#endif
