/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/remount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fs/control/control.h"
#include "fs/format/error_text.h"
#include "journal/base/report.h"
#include "journal/disk/disk_lock.h"

/* Returns the flags of mount(2).  Of options that contradict each other, the last one counts. */
static unsigned long flags_of(char *options)
{
	static const struct {
		const char *name;
		unsigned long set, clear;
	} known[] = {
		{ "ro", MS_RDONLY, 0 },
		{ "rw", 0, MS_RDONLY },
		{ "nosuid", MS_NOSUID, 0 },
		{ "suid", 0, MS_NOSUID },
		{ "nodev", MS_NODEV, 0 },
		{ "dev", 0, MS_NODEV },
		{ "noexec", MS_NOEXEC, 0 },
		{ "exec", 0, MS_NOEXEC },
		{ "sync", MS_SYNCHRONOUS, 0 },
		{ "async", 0, MS_SYNCHRONOUS },
		{ "dirsync", MS_DIRSYNC, 0 },
		{ "noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME },
		{ "relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME },
		{ "strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME },
		{ "nodiratime", MS_NODIRATIME, 0 },
		{ "diratime", 0, MS_NODIRATIME },
	};
	unsigned long flags = 0;
	char *save, *option;

	for (option = strtok_r(options, ",", &save); option; option = strtok_r(NULL, ",", &save)) {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (!strcmp(option, known[i].name))
				flags = (flags & ~known[i].clear) | known[i].set;
		}
	}
	return flags;
}

/* Returns whether the image is mounted read-only: then its daemon has only a shared lock. */
static bool is_read_only(const char *image)
{
	const char *file = th_disk_url_path(image);
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	struct th_disk_lock lock;
	bool shared = fd >= 0 && th_disk_lock_take(&lock, fd, true, false) == 0;

	if (shared)
		th_disk_lock_release(&lock);
	if (fd >= 0)
		close(fd);
	return shared;
}

/* Returns the errno of the error after which the daemon refuses changes, or 0; also if there is none to ask. */
static int failure_of(const char *directory)
{
	struct th_control_info info = { .version = th_le32(TH_CONTROL_VERSION) };
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int asked = fd >= 0 ? ioctl(fd, TH_CONTROL_INFO, &info) : -1;

	if (fd >= 0)
		close(fd);
	return asked < 0 ? 0 : th_get_le16(info.failure);
}

int th_remount(const char *image, const char *directory, const char *options, const char *place)
{
	char *copy = strdup(options);
	int err = copy ? 0 : -ENOMEM, failure = 0;

	if (!err) {
		unsigned long flags = flags_of(copy);

		if (!(flags & MS_RDONLY))
			failure = failure_of(directory);
		if (failure || (!(flags & MS_RDONLY) && is_read_only(image)))
			err = -EROFS;
		else if (mount(NULL, directory, NULL, MS_REMOUNT | flags, NULL) < 0)
			err = -errno;
	}
	if (failure)
		th_report_print(
			"cannot remount %s: changes are refused since a write failed: %s; solve the cause, unmount it "
			"and mount it again",
			place, th_error_text(-failure));
	else if (err == -EROFS)
		th_report_print("cannot remount %s: it was mounted read-only; unmount it first", place);
	else if (err == -EINVAL)
		th_report_print("cannot remount %s: nothing is mounted there", place);
	else if (err)
		th_report_print("cannot remount %s: %s", place, th_error_text(err));
	free(copy);
	return err;
}
