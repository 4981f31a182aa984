/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "fs/attr/atime.h"
#include "fs/attr/attr.h"
#include "fs/check/damage_name.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/seek.h"
#include "fs/fs.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/request.h"
#include "fs/fuse/rollback.h"
#include "fs/inode/inode.h"

/* Clears set-id bits before data changes, and makes the kernel ask for the mode again. */
static void kill_set_id(fuse_req_t req, struct th_inode *inode)
{
	if (th_attr_kill(inode, th_fuse_caller_is_outsider(req, inode)))
		th_fuse_notify_attr(th_fuse_of(req), inode);
}

void th_fuse_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	if (!inode)
		return;
	int err = th_attr_check_open(inode, fi->flags);

	if (!err && (fi->flags & O_TRUNC)) {
		if (th_fuse_request_kills())
			kill_set_id(req, inode);
		err = th_attr_set(inode, TH_ATTR_SIZE, &(struct th_attr){ .size = 0 });
	}
	th_inode_put(inode);
	if (err) {
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
	th_fuse_notify_release(th_fuse_of(req), inode);
	th_inode_put(inode);
	fuse_reply_err(req, 0);
}

/* close(2) needs no action here.  After ENOSYS the kernel sends no more FLUSH. */
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

	if (err) {
		th_fuse_error(req, err);
		if (err == -EBADMSG || err == -EIO)
			th_damage_name_read(inode->fs, th_inode_view(inode), inode->id, (uint64_t)off, size);
	} else {
		if (!(fi->flags & O_NOATIME))
			th_atime_touch(inode);
		fuse_reply_buf(req, data.data, data.size);
		th_file_data_release(&data);
	}
	th_inode_put(inode);
}

/* Returns whether the kernel may have stale pages of the file after a direct write (O_DIRECT).  A concurrent buffered
 * read can bring the former data into the page cache.  The kernel drops cached pages before it sends the write;
 * afterwards it does so only for a synchronous write, not for aio(7).  A file that was never read buffered has no
 * pages: reads set inode->cached before they look at the data. */
static bool may_leave_stale_pages(const struct th_inode *inode, const struct fuse_file_info *fi)
{
	return (fi->flags & O_DIRECT) && !fi->writepage && atomic_load(&inode->cached);
}

/* Returns whether the write must be durable when it returns: a direct write to a file opened with O_DSYNC.  After a
 * buffered one the kernel sends FSYNC, but not after a direct write by aio(7). */
static bool is_durable(const struct fuse_file_info *fi)
{
	return (fi->flags & O_DIRECT) && (fi->flags & O_DSYNC);
}

static ssize_t write_durably(struct th_inode *inode, const char *buf, size_t size, uint64_t off)
{
	ssize_t n = th_file_write(inode, buf, size, off, 0);
	int err = n > 0 ? th_file_sync(inode) : 0;

	return err ? err : n;
}

void th_fuse_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct th_fuse *fuse = th_fuse_of(req);
	struct th_inode *inode = th_inode_find(fuse->fs, ino);
	off_t cached_at = off;

	/* Pages of the state before a rollback, or of a file that it removed, belong nowhere. */
	if (fi->writepage && (!inode || atomic_load(&inode->has_former_pages))) {
		th_inode_put(inode);
		fuse_reply_write(req, size);
		return;
	}
	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (th_fuse_request_kills())
		kill_set_id(req, inode);
	off = th_fuse_write_offset(fuse, inode, off, fi);
	ssize_t n = inode->snapshot  ? -EROFS
		    : is_durable(fi) ? write_durably(inode, buf, size, (uint64_t)off)
				     : th_file_write(inode, buf, size, (uint64_t)off, 0);
	bool stale = n > 0 && may_leave_stale_pages(inode, fi);

	if (off != cached_at)
		th_fuse_notify_attr(fuse, inode);
	th_inode_put(inode);
	if (n < 0)
		th_fuse_error(req, (int)n);
	else if (stale)
		th_fuse_notify_write(req, ino, off, (size_t)n);
	else
		fuse_reply_write(req, (size_t)n);
	if (off != cached_at)
		th_fuse_notify_pages(fuse, ino);
}

void th_fuse_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct th_inode *inode = th_fuse_inode(req, ino);

	(void)datasync; /* the store syncs both in the same way */
	(void)fi;
	if (!inode)
		return;
	bool unchangeable = inode->snapshot || th_inode_is_snapdir(inode) || inode->fs->read_only;
	int err = unchangeable ? 0 : th_file_sync(inode);

	th_inode_put(inode);
	th_fuse_error(req, err);
}

/* Returns whether fallocate and copy_file_range clear set-id bits; for these the kernel sends no flag. */
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
		kill_set_id(req, inode);
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
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* Bytes: the count in the reply has 32 bits. */
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
		kill_set_id(req, to);
	if (flags)
		err = -EINVAL;
	else if (to->snapshot)
		err = -EROFS;
	else
		err = th_file_copy_range(from, (uint64_t)src_off, to, (uint64_t)dst_off,
					 len < COPY_MAX ? len : COPY_MAX, &copied);
	th_inode_put(to);
	th_inode_put(from);
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_write(req, copied);
}
