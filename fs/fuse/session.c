/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fuse/handlers.h"

#define READ_AHEAD_BYTES (2u << 20)

/* The file with the readahead of a mount, as the kernel names it: a filesystem on a block device has one besides the
 * device's own. */
static FILE *open_readahead(unsigned major, unsigned minor, const char *suffix)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u%s/read_ahead_kb", major, minor, suffix);
	return fopen(path, "we");
}

/* Raises the mount's readahead, which limits the kernel's and is small for FUSE.  Only root can do that; without it,
 * reads are smaller.  Called before INIT is answered, because the kernel combines this setting with the answer's
 * limit. */
static void raise_readahead(const char *directory)
{
	struct statx root;
	FILE *file;

	/* stat(2) would send a request here, and nothing serves requests yet. */
	if (statx(AT_FDCWD, directory, AT_STATX_DONT_SYNC, STATX_TYPE, &root) < 0)
		return;
	file = open_readahead(root.stx_dev_major, root.stx_dev_minor, root.stx_dev_major ? "-fuseblk" : "");
	if (file) {
		fprintf(file, "%u", READ_AHEAD_BYTES / 1024);
		fclose(file);
	}
}

static void want_if_capable(struct fuse_conn_info *conn, unsigned capability)
{
	conn->want |= conn->capable & capability;
}

void th_fuse_negotiate(struct fuse_conn_info *conn, const char *directory, unsigned max_read)
{
	want_if_capable(conn, FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_PARALLEL_DIROPS |
				      FUSE_CAP_IOCTL_DIR | FUSE_CAP_ASYNC_DIO | FUSE_CAP_READDIRPLUS |
				      FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_POSIX_ACL |
				      FUSE_CAP_DONT_MASK);
	/* AUTO_INVAL_DATA: the daemon itself changes times, which is no reason to drop cached data.  HANDLE_KILLPRIV:
	 * its second version is used instead (request.h).  Locks: the kernel's own suffice for a local filesystem. */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_POSIX_LOCKS |
				  FUSE_CAP_FLOCK_LOCKS);
	conn->max_write = 1 << 20;
	conn->max_read = max_read;
	raise_readahead(directory);
	conn->max_readahead = READ_AHEAD_BYTES;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

static void session_init(void *arg, struct fuse_conn_info *conn)
{
	struct th_fuse *fuse = arg;

	th_fuse_negotiate(conn, fuse->directory, fuse->max_read);
	if (fuse->exports)
		want_if_capable(conn, FUSE_CAP_EXPORT_SUPPORT);
	else
		conn->want &= ~(unsigned)FUSE_CAP_EXPORT_SUPPORT;
	fuse->opens_directories = fuse->exports || !(conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT);
	fuse->selinux = access("/sys/fs/selinux", F_OK) == 0;
	if (fuse->ready && !fuse->block)
		fuse->ready(fuse); /* else by the syncer, which first asks the kernel */
}

const struct fuse_lowlevel_ops th_fuse_ops = {
	.init = session_init,
	.lookup = th_fuse_lookup,
	.forget = th_fuse_forget,
	.forget_multi = th_fuse_forget_multi,
	.readlink = th_fuse_readlink,
	.mknod = th_fuse_mknod,
	.mkdir = th_fuse_mkdir,
	.symlink = th_fuse_symlink,
	.create = th_fuse_create,
	.link = th_fuse_link,
	.unlink = th_fuse_unlink,
	.rmdir = th_fuse_rmdir,
	.rename = th_fuse_rename,
	.getattr = th_fuse_getattr,
	.setattr = th_fuse_setattr,
	.statfs = th_fuse_statfs,
	.getxattr = th_fuse_getxattr,
	.setxattr = th_fuse_setxattr,
	.listxattr = th_fuse_listxattr,
	.removexattr = th_fuse_removexattr,
	.ioctl = th_fuse_ioctl,
	.open = th_fuse_open,
	.release = th_fuse_release,
	.flush = th_fuse_flush,
	.read = th_fuse_read,
	.write = th_fuse_write,
	.fsync = th_fuse_fsync,
	.fallocate = th_fuse_fallocate,
	.lseek = th_fuse_lseek,
	.copy_file_range = th_fuse_copy_file_range,
	.opendir = th_fuse_opendir,
	.readdir = th_fuse_readdir,
	.readdirplus = th_fuse_readdirplus,
	.releasedir = th_fuse_release,
	.fsyncdir = th_fuse_fsync,
};
