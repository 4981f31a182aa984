/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl(2): the flags of chattr(1), FITRIM of fstrim(8), and the requests of the tool (fs/control/control.h). */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/control/control.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/handlers.h"
#include "fs/fuse/loop_device.h"
#include "fs/fuse/notify.h"
#include "fs/fuse/reply.h"
#include "fs/inode/inode.h"

/* The flags in both interfaces: FS_IOC_GETFLAGS and FS_IOC_FSGETXATTR.  The kernel may use the one when the program
 * used the other. */
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

/* Returns 0, or -EOPNOTSUPP if a flag has no meaning here. */
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

/* Returns 0, -EINVAL if the argument is too short, or -EOPNOTSUPP: of struct fsxattr only flags can be set. */
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
	if (err) {
		th_fuse_error(req, err);
		return;
	}
	th_fuse_notify_attr(th_fuse_of(req), inode);
	fuse_reply_ioctl(req, 0, NULL, 0);
}

#define CONTROL_BUFFER 16384

static void control(fuse_req_t req, const struct th_inode *dir, unsigned cmd, const void *in, size_t in_size,
		    size_t out_size)
{
	struct th_fuse *fuse = th_fuse_of(req);
	size_t room = out_size < CONTROL_BUFFER ? out_size : CONTROL_BUFFER, size = 0;
	void *out = malloc(room + 1);

	if (!out) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	struct th_caller caller = th_fuse_caller(req);

	caller.reads_root = dir == fuse->fs->root;
	int err = th_control_ioctl(fuse->control, &caller, cmd, in, in_size, out, room, &size);

	if (!err && cmd == TH_CONTROL_RESIZE && fuse->loop[0])
		th_loop_resize(fuse->loop); /* for lsblk(8) and the like: the daemon uses the file itself */
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_ioctl(req, 0, out, size);
	free(out);
}

static void fitrim(fuse_req_t req, const void *in, size_t in_size, size_t out_size)
{
	struct fstrim_range range;
	uint64_t bytes = 0;

	if (in_size < sizeof(range) || out_size < sizeof(range)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	memcpy(&range, in, sizeof(range));
	struct th_caller caller = th_fuse_caller(req);
	int err = th_control_fitrim(th_fuse_of(req)->control, &caller, range.start, range.len, range.minlen, &bytes);

	range.len = bytes;
	if (err)
		th_fuse_error(req, err);
	else
		fuse_reply_ioctl(req, 0, &range, sizeof(range));
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
	else if (cmd == FITRIM)
		fitrim(req, in, in_size, out_size);
	else if (_IOC_TYPE(cmd) == TH_CONTROL_TYPE && th_inode_is_dir(inode))
		control(req, inode, cmd, in, in_size, out_size);
	else
		fuse_reply_err(req, ENOTTY);
	th_inode_put(inode);
}
