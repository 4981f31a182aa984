/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/loop_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#define ATTACH_TRIES 100 /* other processes may take the device that was free */

/* --- loop devices --- */

/* Returns the number of a free loop device, or -errno. */
static int free_number(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number;

	if (control < 0)
		return -errno;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	if (number < 0)
		number = -errno;
	close(control);
	return number;
}

/* In two steps, for kernels before 5.8. */
static int configure_old(int fd, const struct loop_config *config)
{
	if (ioctl(fd, LOOP_SET_FD, config->fd) < 0)
		return -errno;
	if (ioctl(fd, LOOP_SET_STATUS64, &config->info) < 0) {
		int err = -errno;

		ioctl(fd, LOOP_CLR_FD, 0);
		return err;
	}
	return 0;
}

static int configure(int fd, int file, const char *path, bool read_only)
{
	struct loop_config config = { .fd = (unsigned)file };

	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s", path);
	if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
		return 0;
	return errno == EINVAL || errno == ENOTTY ? configure_old(fd, &config) : -errno;
}

/* Returns a descriptor, -EBUSY if another process was faster, or another -errno. */
static int attach_once(int file, const char *path, bool read_only, char name[TH_LOOP_NAME_MAX])
{
	int number = free_number(), fd, err;

	if (number < 0)
		return number;
	snprintf(name, TH_LOOP_NAME_MAX, "/dev/loop%d", number);
	fd = open(name, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = configure(fd, file, path, read_only);
	if (err)
		close(fd);
	return err ? err : fd;
}

int th_loop_attach(const char *path, bool read_only, char name[TH_LOOP_NAME_MAX])
{
	/* A descriptor without the daemon's lock, which would otherwise live as long as the loop device. */
	int file = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	int fd = -EBUSY;

	if (file < 0)
		return -errno;
	for (int i = 0; i < ATTACH_TRIES && fd == -EBUSY; i++)
		fd = attach_once(file, path, read_only, name);
	close(file);
	return fd;
}

int th_loop_resize(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = ioctl(fd, LOOP_SET_CAPACITY) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* --- devices of dead daemons --- */

/* Returns a mount that is in no directory, or -1.  Without the option fd the kernel refuses to make a new filesystem,
 * so this succeeds only if there is one on the device. */
static int join_existing(const char *path, bool read_only)
{
	int context = fsopen("fuseblk", FSOPEN_CLOEXEC), mount = -1;

	if (context < 0)
		return -1;
	if (fsconfig(context, FSCONFIG_SET_STRING, "source", path, 0) == 0 &&
	    (!read_only || fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) == 0) &&
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return mount;
}

bool th_device_is_dead(const char *path)
{
	bool dead = false;

	for (int read_only = 0; read_only < 2 && !dead; read_only++) {
		struct statfs status;
		int mount = join_existing(path, read_only);

		if (mount < 0)
			continue;
		dead = fstatfs(mount, &status) < 0 && errno == ENOTCONN;
		close(mount);
	}
	return dead;
}
