/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/attr/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/xattr.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/partial_block.h"
#include "fs/data/writeback_list.h"
#include "fs/format/acl.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "fs/inode/retry.h"
#include "fs/inode/update.h"

static int check_writable(const struct th_inode *inode)
{
	if (inode->snapshot || th_inode_is_snapdir(inode))
		return -EROFS;
	return th_fs_writable(inode->fs);
}

/* Of an append-only inode only the times may be set to the present. */
static int check_flags(const struct th_inode *inode, unsigned set)
{
	const unsigned harmless = TH_ATTR_ATIME_NOW | TH_ATTR_MTIME_NOW | TH_ATTR_CTIME;

	if (inode->attr.flags & FS_IMMUTABLE_FL)
		return -EPERM;
	if ((inode->attr.flags & FS_APPEND_FL) && (set & ~harmless))
		return -EPERM;
	return 0;
}

static void set_times(struct th_attr *to, unsigned set, const struct th_attr *from, struct th_time now)
{
	if (set & TH_ATTR_ATIME_NOW)
		to->atime = now;
	else if (set & TH_ATTR_ATIME)
		to->atime = from->atime;
	if (set & TH_ATTR_MTIME_NOW)
		to->mtime = now;
	else if (set & TH_ATTR_MTIME)
		to->mtime = from->mtime;
	to->ctime = set & TH_ATTR_CTIME ? from->ctime : now;
}

static void set_owner_and_mode(struct th_attr *to, unsigned set, const struct th_attr *from)
{
	if (set & TH_ATTR_UID)
		to->uid = from->uid;
	if (set & TH_ATTR_GID)
		to->gid = from->gid;
	if (set & TH_ATTR_MODE)
		to->mode = (to->mode & S_IFMT) | (from->mode & 07777);
	else if (set & (TH_ATTR_UID | TH_ATTR_GID | TH_ATTR_KILL))
		th_attr_kill_privileges(to, set & TH_ATTR_OUTSIDER);
}

static int set_size(struct th_inode *inode, uint64_t size, struct th_partial_blocks *partial)
{
	if (S_ISDIR(inode->attr.mode))
		return -EISDIR;
	if (!S_ISREG(inode->attr.mode))
		return -EINVAL;
	return th_file_truncate(inode, size, partial);
}

static void set_in_memory(struct th_inode *inode, unsigned set, const struct th_attr *attr)
{
	set_owner_and_mode(&inode->attr, set, attr);
	set_times(&inode->attr, set, attr, th_time_now());
	th_inode_mark_dirty(inode);
}

/* Changes the inode's access control list and its mode in one transaction. */
static int set_with_acl(struct th_inode *inode, unsigned set, const struct th_attr *from, void *acl, size_t size)
{
	struct th_update update;
	int err = th_update_begin(&update, inode->fs);

	if (err)
		return err;
	struct th_attr *attr = th_update_attr(&update, inode);

	/* The values that are replaced have the same size. */
	th_txn_use_emergency(update.txn);
	set_owner_and_mode(attr, set, from);
	set_times(attr, set, from, update.now);
	th_acl_from_mode(acl, size, attr->mode);
	err = th_xattr_stage(update.txn, inode, TH_ACL_ACCESS, &(struct th_slice){ acl, size });
	return th_update_end(&update, err);
}

static int set_but_size(struct th_inode *inode, unsigned set, const struct th_attr *attr)
{
	struct th_value value;
	int err = set & TH_ATTR_MODE ? th_xattr_find(inode, TH_ACL_ACCESS, &value) : -ENODATA;

	if (err == -ENODATA) {
		set_in_memory(inode, set, attr);
		return 0;
	}
	if (err)
		return err;
	void *acl = malloc(value.size);

	if (acl)
		err = set_with_acl(inode, set, attr, memcpy(acl, value.data, value.size), value.size);
	else
		err = -ENOMEM;
	free(acl);
	th_value_release(&value);
	return err;
}

static int set_locked(struct th_inode *inode, unsigned set, const struct th_attr *attr,
		      struct th_partial_blocks *partial)
{
	int err = check_flags(inode, set);

	if (!err && (set & TH_ATTR_SIZE))
		err = set_size(inode, attr->size, partial);
	/* Setting the size sets the times too.  An empty set, as of chown(2) with -1, still changes ctime. */
	if (!err && set != TH_ATTR_SIZE)
		err = TH_NOWAIT(set_but_size(inode, set, attr));
	if (!err && (set & (TH_ATTR_ATIME | TH_ATTR_ATIME_NOW)) && inode->atime_recorded)
		th_inode_mark_atime_dirty(inode);
	return err;
}

int th_attr_set(struct th_inode *inode, unsigned set, const struct th_attr *attr)
{
	struct th_partial_blocks partial = { .guard = NULL };
	unsigned tries = 0;
	int err = check_writable(inode);

	if (err)
		return err;
	do {
		th_moment_enter(inode->fs);
		pthread_rwlock_wrlock(&inode->lock);
		err = set_locked(inode, set, attr, &partial);
		pthread_rwlock_unlock(&inode->lock);
		th_moment_leave(inode->fs);
	} while (th_partial_blocks_retry(&partial, &err) ||
		 (err == -ENOSPC && th_writeback_make_room(inode->fs, tries++)));
	th_partial_blocks_release(&partial);
	return err;
}

bool th_attr_kill(struct th_inode *inode, bool outsider)
{
	bool killed;

	if (check_writable(inode) < 0)
		return false;
	pthread_rwlock_rdlock(&inode->lock);
	killed = inode->attr.mode & (S_ISUID | S_ISGID);
	pthread_rwlock_unlock(&inode->lock);
	if (!killed)
		return false;
	th_moment_enter(inode->fs);
	pthread_rwlock_wrlock(&inode->lock);
	killed = !check_flags(inode, TH_ATTR_MODE) && th_attr_kill_privileges(&inode->attr, outsider);
	if (killed)
		th_inode_mark_dirty(inode);
	pthread_rwlock_unlock(&inode->lock);
	th_moment_leave(inode->fs);
	return killed;
}

#define FLAGS_GUARDED (FS_IMMUTABLE_FL | FS_APPEND_FL)
/* Stored for tools that read them; they change nothing here. */
#define FLAGS_ADVISORY (FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL)

/* As on ext4: the advisory flags pass on to new inodes, the immutable and append-only flags do not. */
uint32_t th_attr_inherit_flags(uint32_t dir_flags, uint32_t mode)
{
	uint32_t mask = FS_NODUMP_FL | FS_NOATIME_FL;

	if (S_ISREG(mode) || S_ISDIR(mode))
		mask |= FS_SYNC_FL;
	if (S_ISDIR(mode))
		mask |= FS_DIRSYNC_FL;
	return dir_flags & mask;
}

int th_attr_set_flags(struct th_inode *inode, uint32_t flags, bool privileged)
{
	int err = check_writable(inode);

	if (err)
		return err;
	if (flags & ~(uint32_t)(FLAGS_GUARDED | FLAGS_ADVISORY))
		return -EOPNOTSUPP;
	th_moment_enter(inode->fs);
	pthread_rwlock_wrlock(&inode->lock);
	if (!privileged && ((flags ^ inode->attr.flags) & FLAGS_GUARDED)) {
		err = -EPERM;
	} else {
		inode->attr.flags = flags;
		inode->attr.ctime = th_time_now();
		th_inode_mark_dirty(inode);
	}
	pthread_rwlock_unlock(&inode->lock);
	th_moment_leave(inode->fs);
	return err;
}

/* Set by the kernel in the flags of an open by execve(2).  Its headers for programs do not have it. */
#define OPEN_FOR_EXEC 0x20

/* Checks the execution of a file that may be disarmed.  Neither attribute of a snapshot's inode changes: no lock. */
static int check_exec(struct th_inode *inode)
{
	uint32_t mode = inode->attr.mode;
	struct th_value capability;
	int err;

	if (!th_inode_is_disarmed(inode))
		return 0;
	if ((mode & S_ISUID) || (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		return -EACCES;
	err = th_xattr_get(inode, "security.capability", &capability);
	if (err)
		return err == -ENODATA ? 0 : err;
	th_value_release(&capability);
	return -EACCES;
}

int th_attr_check_open(struct th_inode *inode, int open_flags)
{
	bool writes = (open_flags & O_ACCMODE) != O_RDONLY || (open_flags & O_TRUNC);
	int err = 0;

	if (!writes)
		return open_flags & OPEN_FOR_EXEC ? check_exec(inode) : 0;
	err = check_writable(inode);
	if (err)
		return err;
	pthread_rwlock_rdlock(&inode->lock);
	if (inode->attr.flags & FS_IMMUTABLE_FL)
		err = -EPERM;
	else if ((inode->attr.flags & FS_APPEND_FL) && (!(open_flags & O_APPEND) || (open_flags & O_TRUNC)))
		err = -EPERM;
	pthread_rwlock_unlock(&inode->lock);
	return err;
}
