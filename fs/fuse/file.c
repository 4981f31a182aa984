/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "fs/attr/atime.h"
#include "fs/attr/attr.h"
#include "fs/data/file.h"
#include "fs/fuse/request.h"
#include "fs/fuse/session.h"

/* Before data changes: clears set-id bits, and makes the kernel ask for the mode again.  Here a handler may tell the
 * kernel to forget something, since it is only attributes of an inode that is in use. */
static void kill_set_id(fuse_req_t req, fuse_ino_t ino, struct th_inode *inode)
{
	if (th_attr_kill(inode, th_fuse_is_outsider(req, inode)))
		fuse_lowlevel_notify_inval_inode(th_fuse_of(req)->session, ino, -1, 0);
}

void th_fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	int err = th_attr_check_open(inode, fi->flags);

	if (!err && (fi->flags & O_TRUNC)) {
		if (th_fuse_request_kills())
			kill_set_id(req, ino, inode);
		err = th_attr_set(inode, TH_ATTR_SIZE, &(struct th_attr){ .size = 0 });
	}
	th_inode_put(inode);
	if (err < 0) {
		th_fuse_error(req, err);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

void th_fuse_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)fi;
	if (!inode)
		return;
	th_fuse_released(th_fuse_of(req), inode);
	th_inode_put(inode);
	fuse_reply_err(req, 0);
}

/* Closing a descriptor means nothing here; the kernel stops asking. */
void th_fuse_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

void th_fuse_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	struct th_file_data data;

	if (!inode)
		return;
	if (!(fi->flags & O_DIRECT) && !atomic_load(&inode->cached))
		atomic_store(&inode->cached, true);
	int err = th_file_read(inode, (uint64_t)off, size, &data);

	if (err < 0) {
		th_fuse_error(req, err);
	} else {
		if (!(fi->flags & O_NOATIME))
			th_atime_touch(inode);
		fuse_reply_buf(req, data.data, data.size);
		th_file_data_release(&data);
	}
	th_inode_put(inode);
}

/* A write past the cache (O_DIRECT) may meet reads that bring into it what was there before: the kernel drops what is
 * cached before it asks us, but afterwards only if somebody waits for the write, not for aio(7).  Without the former
 * bytes having been read there is nothing to drop: reads say so first, and then look at the data. */
static bool leaves_cache_behind(const struct th_inode *inode, const struct fuse_file_info *fi)
{
	return (fi->flags & O_DIRECT) && !fi->writepage && atomic_load(&inode->cached);
}

/* Behind a synchronous write the kernel asks for fsync, but not if it was one past the cache that nobody waits for. */
static bool is_durable(const struct fuse_file_info *fi)
{
	return (fi->flags & O_DIRECT) && (fi->flags & O_DSYNC);
}

static ssize_t write_durably(struct th_inode *inode, const char *buf, size_t size, uint64_t off)
{
	ssize_t n = th_file_write(inode, buf, size, off, 0);
	int err = n > 0 ? th_file_sync(inode, true) : 0;

	return err < 0 ? err : n;
}

void th_fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	if (th_fuse_request_kills())
		kill_set_id(req, ino, inode);
	ssize_t n = inode->snapshot  ? -EROFS
		    : is_durable(fi) ? write_durably(inode, buf, size, (uint64_t)off)
				     : th_file_write(inode, buf, size, (uint64_t)off, 0);
	bool behind = n > 0 && leaves_cache_behind(inode, fi);

	th_inode_put(inode);
	if (n < 0)
		th_fuse_error(req, (int)n);
	else if (behind)
		th_fuse_reply_written(req, ino, off, (size_t)n);
	else
		fuse_reply_write(req, (size_t)n);
}

void th_fuse_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)fi;
	if (!inode)
		return;
	bool fixed = inode->snapshot || th_inode_is_snapdir(inode) || th_fs_writable(inode->fs) < 0;
	int err = fixed ? 0 : th_file_sync(inode, datasync);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

/* Of these two the kernel does not say whether its client may keep set-id bits. */
static bool unprivileged(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid != 0;
}

void th_fuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)fi;
	if (!inode)
		return;
	if (unprivileged(req))
		kill_set_id(req, ino, inode);
	int err = inode->snapshot ? -EROFS : th_file_fallocate(inode, mode, (uint64_t)off, (uint64_t)len);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

void th_fuse_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);
	uint64_t found;

	(void)fi;
	if (!inode)
		return;
	int err = th_file_seek(inode, (uint64_t)off, whence, &found);

	th_inode_put(inode);
	if (err < 0)
		th_fuse_error(req, err);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* What one reply can tell: its count has 32 bits. */
#define COPY_MAX ((size_t)1 << 31)

void th_fuse_copy_file_range(fuse_req_t req, fuse_ino_t src, off_t src_off, struct fuse_file_info *src_fi,
			     fuse_ino_t dst, off_t dst_off, struct fuse_file_info *dst_fi, size_t len, int flags)
{
	struct th_inode *to, *from = th_fuse_inode(req, src);
	uint64_t copied = 0;
	int err;

	(void)src_fi;
	(void)dst_fi;
	if (!from)
		return;
	to = th_fuse_inode(req, dst);
	if (!to) {
		th_inode_put(from);
		return;
	}
	if (unprivileged(req))
		kill_set_id(req, dst, to);
	if (flags)
		err = -EINVAL;
	else if (to->snapshot)
		err = -EROFS;
	else
		err = th_file_copy_range(from, (uint64_t)src_off, to, (uint64_t)dst_off,
					 len < COPY_MAX ? len : COPY_MAX, &copied);
	th_inode_put(to);
	th_inode_put(from);
	if (err < 0)
		th_fuse_error(req, err);
	else
		fuse_reply_write(req, copied);
}
