/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/format/error_text.h"

#include <errno.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "journal/disk/disk_lock.h"

const char *th_error_text(int err)
{
	switch (abs(err)) {
	case EADDRINUSE:
		return "another machine uses the image";
	case EMEDIUMTYPE:
		return "not a Thunderhead image";
	case EUCLEAN:
		return "the image is damaged: a structure in it is broken";
	case EBADMSG:
		return "the image is damaged: a checksum in it is wrong";
	case ENOTRECOVERABLE:
		return "the intent log is damaged; -o ro shows the state before the damage, -o truncate_log gives up "
		       "the changes after it";
	case ESRCH:
		return "has no superblock of that generation";
	case ENODATA:
		return "holds keys and values, and no filesystem";
	case EPROTONOSUPPORT:
		return "made by a newer version, with features that this one does not know";
	case ECANCELED:
		return "the branch has a part of a snapshot that is being received; continue with 'thunderhead "
		       "receive', or undo it with 'thunderhead receive --abort'";
	case ENOTCONN:
		return "its daemon has ended; unmount it, and mount it again";
	case EPFNOSUPPORT:
		return "unknown kind of disk; the name of a file with a colon in it needs ./ in front";
	default:
		return strerror(abs(err));
	}
}

/* Returns the process that holds a lock of the file, or of the file below a loop device, according to /proc/locks; 0 if
 * it is unknown. */
static long lock_holder(const char *path)
{
	struct stat status;
	unsigned major_number, minor_number;
	unsigned long long inode;
	char line[256];
	long pid, holder = 0;
	FILE *locks;

	if (th_disk_lock_bottom(path, &status))
		return 0;
	locks = fopen("/proc/locks", "re");
	while (locks && !holder && fgets(line, sizeof(line), locks)) {
		if (sscanf(line, "%*s FLOCK %*s %*s %ld %x:%x:%llu", &pid, &major_number, &minor_number, &inode) == 4 &&
		    inode == status.st_ino && makedev(major_number, minor_number) == status.st_dev)
			holder = pid;
	}
	if (locks)
		fclose(locks);
	return holder;
}

/* Returns whether the two are one image: one file or device, by whatever name or loop device. */
static bool is_same_image(const struct stat *status, const char *path)
{
	struct stat other;

	if (th_disk_lock_bottom(path, &other) || S_ISBLK(status->st_mode) != S_ISBLK(other.st_mode))
		return false;
	if (S_ISBLK(status->st_mode))
		return status->st_rdev == other.st_rdev;
	return status->st_dev == other.st_dev && status->st_ino == other.st_ino;
}

/* Returns the mount point of the image, according to a table of mounts, or NULL.  The caller frees it. */
static char *mount_place(const char *path, const char *table)
{
	char *place = NULL;
	struct mntent *entry;
	struct stat status;
	FILE *mounts = th_disk_lock_bottom(path, &status) ? NULL : setmntent(table, "re");

	while (mounts && !place && (entry = getmntent(mounts))) {
		if (strstr(entry->mnt_type, "thunderhead") && is_same_image(&status, entry->mnt_fsname))
			place = strdup(entry->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return place;
}

/* Says where the file of an image is mounted, and how it becomes free; or which process uses it. */
static void explain_busy(const char *file, char *text)
{
	char *place = mount_place(file, "/proc/self/mounts"), table[64];
	long holder = place ? 0 : lock_holder(file);
	struct statvfs status;

	snprintf(table, sizeof(table), "/proc/%ld/mounts", holder);
	if (place && statvfs(place, &status) && errno == ENOTCONN) {
		snprintf(text, TH_ERROR_TEXT_MAX,
			 "is in use: it is mounted on %s, but its daemon has ended; unmount it", place);
	} else if (place) {
		snprintf(text, TH_ERROR_TEXT_MAX, "is in use: it is mounted on %s; unmount it first", place);
	} else if (holder > 0 && (place = mount_place(file, table))) {
		snprintf(text, TH_ERROR_TEXT_MAX,
			 "is in use: it is mounted on %s in the mount namespace of process %ld; unmount it there first",
			 place, holder);
	} else if (holder > 0) {
		snprintf(text, TH_ERROR_TEXT_MAX, "is in use by process %ld", holder);
	} else {
		snprintf(text, TH_ERROR_TEXT_MAX, "is in use by another process");
	}
	free(place);
}

const char *th_error_text_image(const char *path, int err, char *text)
{
	const char *file = th_disk_url_path(path);

	if (abs(err) != EBUSY && abs(err) != EWOULDBLOCK)
		snprintf(text, TH_ERROR_TEXT_MAX, "%s", th_error_text(err));
	else if (file)
		explain_busy(file, text);
	else
		snprintf(text, TH_ERROR_TEXT_MAX, "is in use by another process");
	return text;
}
