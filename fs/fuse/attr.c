/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/fs.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/dir/snapdir.h"
#include "fs/format/acl.h"
#include "fs/fs.h"
#include "fs/fuse/request.h"
#include "fs/fuse/session.h"

static void reply_attr(fuse_req_t req, struct th_inode *inode)
{
	struct stat stat;

	pthread_rwlock_rdlock(&inode->lock);
	th_inode_stat(inode, &stat);
	pthread_rwlock_unlock(&inode->lock);
	fuse_reply_attr(req, &stat, TH_FUSE_VALID_SECONDS);
}

static struct statx_timestamp statx_time(struct timespec time)
{
	return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec };
}

/* What stat(2) shows, and the time of birth. */
static void reply_statx(fuse_req_t req, struct th_inode *inode)
{
	struct stat stat;

	pthread_rwlock_rdlock(&inode->lock);
	th_inode_stat(inode, &stat);
	struct timespec birth = { inode->attr.btime.seconds, inode->attr.btime.nanoseconds };

	pthread_rwlock_unlock(&inode->lock);
	struct statx statx = {
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
		.stx_blksize = (uint32_t)stat.st_blksize,
		.stx_nlink = (uint32_t)stat.st_nlink,
		.stx_uid = stat.st_uid,
		.stx_gid = stat.st_gid,
		.stx_mode = (uint16_t)stat.st_mode,
		.stx_ino = stat.st_ino,
		.stx_size = (uint64_t)stat.st_size,
		.stx_blocks = (uint64_t)stat.st_blocks,
		.stx_atime = statx_time(stat.st_atim),
		.stx_mtime = statx_time(stat.st_mtim),
		.stx_ctime = statx_time(stat.st_ctim),
		.stx_btime = statx_time(birth),
		.stx_rdev_major = major(stat.st_rdev),
		.stx_rdev_minor = minor(stat.st_rdev),
	};

	th_fuse_request_reply_statx(req, &statx, TH_FUSE_VALID_SECONDS);
}

void th_fuse_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	int err = 0;

	(void)fi;
	if (!inode)
		return;
	if (th_inode_is_snapdir(inode)) {
		th_fuse_snapdir_told(th_fuse_of(req), inode);
		err = th_snapdir_refresh(inode);
	}
	if (err < 0)
		th_fuse_error(req, err);
	else if (th_fuse_request_is_statx())
		reply_statx(req, inode);
	else
		reply_attr(req, inode);
	th_inode_put(inode);
}

static unsigned attr_set_of(int set)
{
	static const struct {
		int fuse;
		unsigned set;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, TH_ATTR_MODE },
		{ FUSE_SET_ATTR_UID, TH_ATTR_UID },
		{ FUSE_SET_ATTR_GID, TH_ATTR_GID },
		{ FUSE_SET_ATTR_SIZE, TH_ATTR_SIZE },
		{ FUSE_SET_ATTR_ATIME, TH_ATTR_ATIME },
		{ FUSE_SET_ATTR_MTIME, TH_ATTR_MTIME },
		{ FUSE_SET_ATTR_CTIME, TH_ATTR_CTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, TH_ATTR_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, TH_ATTR_MTIME_NOW },
	};
	unsigned result = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (set & map[i].fuse)
			result |= map[i].set;
	}
	/* The kernel says of a time that it is set, and then that it is to be now. */
	if (result & TH_ATTR_ATIME_NOW)
		result &= ~(unsigned)TH_ATTR_ATIME;
	if (result & TH_ATTR_MTIME_NOW)
		result &= ~(unsigned)TH_ATTR_MTIME;
	return result;
}

static struct th_time time_of(struct timespec spec)
{
	return (struct th_time){ spec.tv_sec, (uint32_t)spec.tv_nsec };
}

#define GROUPS_MAX 256

/* Is the one who asks root, or in that group?  Who is in more groups than we look at is taken not to be. */
static bool caller_has_group(fuse_req_t req, gid_t gid)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	gid_t groups[GROUPS_MAX];
	bool found = ctx->uid == 0 || ctx->gid == gid;
	int count = found ? 0 : fuse_req_getgroups(req, GROUPS_MAX, groups);

	for (int i = 0; i < count && i < GROUPS_MAX && !found; i++)
		found = groups[i] == gid;
	return found;
}

bool th_fuse_is_outsider(fuse_req_t req, struct th_inode *inode)
{
	pthread_rwlock_rdlock(&inode->lock);
	bool matters = !S_ISDIR(inode->attr.mode) && (inode->attr.mode & (S_ISGID | S_IXGRP)) == S_ISGID;
	gid_t gid = inode->attr.gid;

	pthread_rwlock_unlock(&inode->lock);
	return matters && !caller_has_group(req, gid);
}

/* A change of nothing is chown(2) with neither owner nor group, which clears set-id bits, but only for who might have
 * named them.  (Or it goes before a write by somebody who may write: then the write clears them.) */
static bool may_chown_nothing(fuse_req_t req, struct th_inode *inode)
{
	uid_t uid = fuse_req_ctx(req)->uid;

	pthread_rwlock_rdlock(&inode->lock);
	bool may = !uid || uid == inode->attr.uid;

	pthread_rwlock_unlock(&inode->lock);
	return may;
}

void th_fuse_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *stat, int set, struct fuse_file_info *fi)
{
	struct th_attr attr = {
		.mode = stat->st_mode,
		.uid = stat->st_uid,
		.gid = stat->st_gid,
		.size = (uint64_t)stat->st_size,
		.atime = time_of(stat->st_atim),
		.mtime = time_of(stat->st_mtim),
		.ctime = time_of(stat->st_ctim),
	};
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)fi;
	if (!inode)
		return;
	unsigned what = attr_set_of(set);

	if (th_fuse_request_kills() || (!what && may_chown_nothing(req, inode)))
		what |= TH_ATTR_KILL;
	if ((what & (TH_ATTR_KILL | TH_ATTR_UID | TH_ATTR_GID)) && th_fuse_is_outsider(req, inode))
		what |= TH_ATTR_OUTSIDER;
	int err = th_attr_set(inode, what, &attr);

	/* Who owns the root owns the virtual directories. */
	if (!err && inode == inode->fs->root && (what & (TH_ATTR_UID | TH_ATTR_GID)))
		th_fuse_snapdirs_changed(th_fuse_of(req));
	if (err < 0)
		th_fuse_error(req, err);
	else
		reply_attr(req, inode);
	th_inode_put(inode);
}

void th_fuse_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs stat;
	int err = th_fs_statfs(th_fuse_of(req)->fs, &stat);

	(void)ino;
	if (err < 0)
		th_fuse_error(req, err);
	else
		fuse_reply_statfs(req, &stat);
}

/* --- extended attributes --- */

/* size 0 asks how long it is. */
static void reply_bytes(fuse_req_t req, const void *data, size_t data_size, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, data_size);
	else if (data_size > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, data_size);
}

/* The error for a file that has no such attribute.  ls(1) asks for each file's label, until it hears that a device can
 * have none: where there is no SELinux it is spared all but the first of these. */
static int absent_error(const struct th_fuse *fuse, const char *name)
{
	return fuse->selinux || strcmp(name, XATTR_NAME_SELINUX) != 0 ? -ENODATA : -EOPNOTSUPP;
}

void th_fuse_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	struct th_value value;

	if (!inode)
		return;
	int err = th_xattr_get(inode, name, &value);

	if (err == -ENODATA)
		err = absent_error(th_fuse_of(req), name);
	if (err < 0) {
		th_fuse_error(req, err);
	} else {
		reply_bytes(req, value.data, value.size, size);
		th_value_release(&value);
	}
	th_inode_put(inode);
}

/* As chmod(2) does: who is not in its group does not set, nor keep, a file's set-gid bit. */
static int set_access_list(fuse_req_t req, struct th_inode *inode, struct th_slice value, int flags)
{
	pthread_rwlock_rdlock(&inode->lock);
	bool setgid = inode->attr.mode & S_ISGID;
	gid_t gid = inode->attr.gid;

	pthread_rwlock_unlock(&inode->lock);
	if (setgid && !caller_has_group(req, gid))
		flags |= TH_XATTR_KILL_SGID;
	return th_xattr_set(inode, TH_ACL_ACCESS, value, flags);
}

void th_fuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	struct th_slice slice = { value, size };

	if (!inode)
		return;
	int err = !strcmp(name, TH_ACL_ACCESS) ? set_access_list(req, inode, slice, flags)
					       : th_xattr_set(inode, name, slice, flags);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

void th_fuse_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	size_t list_size;
	char *list;

	if (!inode)
		return;
	int err = th_xattr_list(inode, fuse_req_ctx(req)->uid == 0, &list, &list_size);

	th_inode_put(inode);
	if (err < 0) {
		th_fuse_error(req, err);
		return;
	}
	reply_bytes(req, list, list_size, size);
	free(list);
}

void th_fuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	int err = th_xattr_remove(inode, name);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

/* --- ioctl --- */

/* The flags of chattr(1), and as the younger interface has them.  The kernel asks by the one while it is asked by the
 * other. */
static const struct {
	uint32_t flag, xflag;
} flag_map[] = {
	{ FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE }, { FS_APPEND_FL, FS_XFLAG_APPEND }, { FS_SYNC_FL, FS_XFLAG_SYNC },
	{ FS_NOATIME_FL, FS_XFLAG_NOATIME },     { FS_NODUMP_FL, FS_XFLAG_NODUMP },
};

static uint32_t to_xflags(uint32_t flags)
{
	uint32_t xflags = 0;

	for (size_t i = 0; i < sizeof(flag_map) / sizeof(flag_map[0]); i++) {
		if (flags & flag_map[i].flag)
			xflags |= flag_map[i].xflag;
	}
	return xflags;
}

/* -EOPNOTSUPP: there is one that has no meaning here. */
static int from_xflags(uint32_t xflags, uint32_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < sizeof(flag_map) / sizeof(flag_map[0]); i++) {
		if (xflags & flag_map[i].xflag)
			*ret |= flag_map[i].flag;
	}
	return to_xflags(*ret) == xflags ? 0 : -EOPNOTSUPP;
}

static void get_flags(fuse_req_t req, struct th_inode *inode, unsigned cmd, size_t out_size)
{
	pthread_rwlock_rdlock(&inode->lock);
	uint32_t flags = inode->attr.flags;

	pthread_rwlock_unlock(&inode->lock);
	struct fsxattr extended = { .fsx_xflags = to_xflags(flags) };
	const void *out = cmd == FS_IOC_GETFLAGS ? (const void *)&flags : &extended;
	size_t size = cmd == FS_IOC_GETFLAGS ? sizeof(flags) : sizeof(extended);

	if (out_size < size)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_ioctl(req, 0, out, size);
}

/* Of what the younger interface has beside flags, nothing can be set. */
static int read_flags(unsigned cmd, const void *in, size_t in_size, uint32_t *ret)
{
	struct fsxattr extended;

	if (in_size < (cmd == FS_IOC_SETFLAGS ? sizeof(*ret) : sizeof(extended)))
		return -EINVAL;
	if (cmd == FS_IOC_SETFLAGS) {
		memcpy(ret, in, sizeof(*ret));
		return 0;
	}
	memcpy(&extended, in, sizeof(extended));
	if (extended.fsx_extsize || extended.fsx_projid || extended.fsx_cowextsize)
		return -EOPNOTSUPP;
	return from_xflags(extended.fsx_xflags, ret);
}

static void set_flags(fuse_req_t req, struct th_inode *inode, unsigned cmd, const void *in, size_t in_size)
{
	uint32_t flags;
	int err = read_flags(cmd, in, in_size, &flags);

	if (!err)
		err = th_attr_set_flags(inode, flags, fuse_req_ctx(req)->uid == 0);
	if (err < 0) {
		th_fuse_error(req, err);
		return;
	}
	th_fuse_attr_changed(th_fuse_of(req), inode);
	fuse_reply_ioctl(req, 0, NULL, 0);
}

#define CONTROL_BUFFER 16384

static void control(fuse_req_t req, unsigned cmd, const void *in, size_t in_size, size_t out_size)
{
	struct th_fuse *fuse = th_fuse_of(req);
	size_t room = out_size < CONTROL_BUFFER ? out_size : CONTROL_BUFFER, size = 0;
	void *out = malloc(room + 1);

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	int err = th_control_ioctl(fuse->control, fuse_req_ctx(req)->uid, cmd, in, in_size, out, room, &size);

	if (err < 0)
		th_fuse_error(req, err);
	else
		fuse_reply_ioctl(req, 0, out, size);
	free(out);
}

void th_fuse_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		   const void *in, size_t in_size, size_t out_size)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)arg;
	(void)fi;
	if (!inode)
		return;
	if (flags & (FUSE_IOCTL_COMPAT | FUSE_IOCTL_UNRESTRICTED))
		fuse_reply_err(req, ENOSYS);
	else if (cmd == FS_IOC_GETFLAGS || cmd == FS_IOC_FSGETXATTR)
		get_flags(req, inode, cmd, out_size);
	else if (cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR)
		set_flags(req, inode, cmd, in, in_size);
	else if (_IOC_TYPE(cmd) == TH_CONTROL_TYPE && th_inode_is_dir(inode))
		control(req, cmd, in, in_size, out_size);
	else
		fuse_reply_err(req, ENOTTY);
	th_inode_put(inode);
}
