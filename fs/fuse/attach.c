/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fuse/loop_device.h"
#include "journal/disk/disk.h"

static struct fuse_session *session_new(struct th_fuse *fuse, const char *options)
{
	char name[] = "thunderhead", flag[] = "-o";
	char *argv[] = { name, flag, (char *)options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	struct fuse_session *session = fuse_session_new(&args, &th_fuse_ops, sizeof(th_fuse_ops), fuse);

	fuse_opt_free_args(&args); /* libfuse has copied them */
	return session;
}

/* --- as a filesystem on a block device --- */

/* The error of an attempt is no error of the mount: it is kept as the reason. */
static char attempt[sizeof(((struct th_fuse *)0)->no_block)];

static void keep_message(enum fuse_log_level level, const char *format, va_list args)
{
	size_t size = strlen(attempt);

	(void)level;
	vsnprintf(attempt + size, sizeof(attempt) - size, format, args);
	attempt[strcspn(attempt, "\n")] = 0;
}

/* Returns whether the kernel waits for an answer to INIT.  Otherwise the mount shows a filesystem that was on the
 * device already, with another daemon or a dead one. */
static bool is_served_by(struct fuse_session *session)
{
	struct pollfd fd = { .fd = fuse_session_fd(session), .events = POLLIN };

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN);
}

static int mount_new(const struct th_fuse *fuse, const char *directory)
{
	if (fuse_session_mount(fuse->session, directory) < 0)
		return -EIO;
	if (is_served_by(fuse->session))
		return 0;
	umount2(directory, MNT_DETACH | UMOUNT_NOFOLLOW);
	snprintf(attempt, sizeof(attempt), "the device has a FUSE filesystem already");
	return -EBUSY;
}

static int mount_device(struct th_fuse *fuse, const struct th_fuse_attach *attach, const char *device)
{
	char *options = th_mount_device_options(attach->options, device);
	int err = -ENOMEM;

	attempt[0] = 0;
	fuse_set_log_func(keep_message);
	fuse->session = options ? session_new(fuse, options) : NULL;
	if (fuse->session)
		err = mount_new(fuse, attach->directory);
	if (err && fuse->session) {
		fuse_session_destroy(fuse->session);
		fuse->session = NULL;
	}
	fuse_set_log_func(attach->log);
	free(options);
	if (err)
		snprintf(fuse->no_block, sizeof(fuse->no_block), "%s", attempt[0] ? attempt : strerror(-err));
	return err;
}

static int mount_loop(struct th_fuse *fuse, const struct th_fuse_attach *attach, const char *file)
{
	const struct th_fs_options *fs = &attach->options->fs;
	int fd = th_loop_attach(file, fs->read_only || fs->snapshot, fuse->loop), err;

	if (fd < 0) {
		fuse->loop[0] = 0;
		snprintf(fuse->no_block, sizeof(fuse->no_block), "no loop device: %s", strerror(-fd));
		return fd;
	}
	err = mount_device(fuse, attach, fuse->loop);
	if (err)
		fuse->loop[0] = 0;
	close(fd); /* from here on the mount alone keeps the loop device */
	return err;
}

/* Returns why the image cannot be mounted as a block device, or NULL. */
static const char *obstacle(const struct th_fuse_attach *attach, struct stat *ret)
{
	const char *file = th_disk_url_path(attach->image);

	if (!attach->options->block)
		return "the option fuseblk=off was given";
	if (geteuid() != 0)
		return "only root can mount block devices";
	return file && stat(file, ret) == 0 ? NULL : "the image is neither a file nor a device";
}

/* Mounts the device itself; or a loop device on it, if the kernel still has the filesystem of a dead daemon there, or
 * admits no mount of a device that a process has opened for writing. */
static int mount_block(struct th_fuse *fuse, const struct th_fuse_attach *attach)
{
	const char *file = th_disk_url_path(attach->image), *why;
	struct stat status;
	int err = -EBUSY;

	why = obstacle(attach, &status);
	if (why) {
		snprintf(fuse->no_block, sizeof(fuse->no_block), "%s", why);
		return -ENOTBLK;
	}
	if (S_ISBLK(status.st_mode) && !attach->unclaimed && !th_disk_hold(attach->disk, TH_DISK_HOLD_MOUNTED))
		err = mount_device(fuse, attach, file);
	return err ? mount_loop(fuse, attach, file) : 0;
}

/* --- as a plain FUSE filesystem --- */

static int mount_plain(struct th_fuse *fuse, const struct th_fuse_attach *attach)
{
	int err = attach->unclaimed ? 0 : th_disk_hold(attach->disk, TH_DISK_HOLD_CLAIMED);

	if (err) {
		fuse_log(FUSE_LOG_ERR, "the device is in use by another filesystem\n");
		return err;
	}
	fuse->session = session_new(fuse, attach->options->fuse);
	if (!fuse->session)
		return -EINVAL; /* libfuse has reported why */
	if (fuse_session_mount(fuse->session, attach->directory) == 0)
		return 0;
	fuse_session_destroy(fuse->session);
	fuse->session = NULL;
	return -EIO; /* libfuse has reported why */
}

int th_fuse_attach(struct th_fuse *fuse, const struct th_fuse_attach *attach)
{
	if (mount_block(fuse, attach) == 0) {
		fuse->block = true;
		return 0;
	}
	return mount_plain(fuse, attach);
}
