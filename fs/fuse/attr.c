/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fs/attr/attr.h"
#include "fs/dir/snapdir.h"
#include "fs/fs.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/request.h"
#include "fs/fuse/syncfs.h"
#include "fs/inode/inode.h"

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

/* The reply to STATX: the attributes of stat(2) and the time of birth. */
static void reply_statx(fuse_req_t req, struct th_inode *inode)
{
	struct stat stat;

	pthread_rwlock_rdlock(&inode->lock);
	th_inode_stat(inode, &stat);
	struct th_time birth_time = th_inode_birth(inode);
	struct timespec birth = { birth_time.seconds, birth_time.nanoseconds };

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
		th_fuse_snapdir_cached(th_fuse_of(req), inode);
		err = th_snapdir_refresh(inode);
	}
	if (err)
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
	unsigned ret = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (set & map[i].fuse)
			ret |= map[i].set;
	}
	/* For a time that is to be now, the kernel sets both flags. */
	if (ret & TH_ATTR_ATIME_NOW)
		ret &= ~(unsigned)TH_ATTR_ATIME;
	if (ret & TH_ATTR_MTIME_NOW)
		ret &= ~(unsigned)TH_ATTR_MTIME;
	return ret;
}

static struct th_time time_of(struct timespec spec)
{
	return (struct th_time){ spec.tv_sec, (uint32_t)spec.tv_nsec };
}

/* SETATTR without attributes is chown(2) with neither owner nor group: it clears set-id bits if the caller may change
 * the owner.  (The kernel also sends it before a write by another user who may write; then the write clears the
 * bits.) */
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
	if ((what & (TH_ATTR_KILL | TH_ATTR_UID | TH_ATTR_GID)) && th_fuse_caller_is_outsider(req, inode))
		what |= TH_ATTR_OUTSIDER;
	int err = th_attr_set(inode, what, &attr);

	/* The virtual directories show the owner of the root. */
	if (!err && inode == inode->fs->root && (what & (TH_ATTR_UID | TH_ATTR_GID)))
		th_fuse_snapdirs_changed(th_fuse_of(req));
	if (err)
		th_fuse_error(req, err);
	else
		reply_attr(req, inode);
	th_inode_put(inode);
}

void th_fuse_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs stat;
	int err;

	(void)ino;
	if (th_fuse_request_is_syncfs()) {
		th_fuse_syncfs(req);
		return;
	}
	err = th_fs_statfs(th_fuse_of(req)->fs, &stat);
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_statfs(req, &stat);
}
