/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/dead_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The kernel has the attributes of the root cached, so stat(2) does not tell. */
static bool is_dead(const char *directory)
{
	struct statfs status;

	return statfs(directory, &status) < 0 && errno == ENOTCONN;
}

/* Resolves all of the path but its last name.  The caller frees the result. */
static char *resolve_parent(const char *directory)
{
	size_t size = strlen(directory), name;
	char *parent, *resolved, *joined = NULL;

	while (size > 1 && directory[size - 1] == '/')
		size--;
	for (name = size; name > 0 && directory[name - 1] != '/'; name--)
		;
	parent = name ? strndup(directory, name) : strdup(".");
	resolved = parent ? realpath(parent, NULL) : NULL;
	if (resolved && asprintf(&joined, "%s/%.*s", strcmp(resolved, "/") ? resolved : "", (int)(size - name),
				 directory + name) < 0)
		joined = NULL;
	free(resolved);
	free(parent);
	return joined;
}

char *th_mount_point(const char *directory)
{
	char *resolved = realpath(directory, NULL);

	return resolved || errno != ENOTCONN ? resolved : resolve_parent(directory);
}

/* Returns whether the topmost mount on the directory is of this filesystem. */
static bool is_ours(const char *directory)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	bool ours = false;

	while (mounts && (entry = getmntent(mounts))) {
		if (!strcmp(entry->mnt_dir, directory))
			ours = strstr(entry->mnt_type, "thunderhead") != NULL;
	}
	if (mounts)
		endmntent(mounts);
	return ours;
}

/* A user may not call umount(2). */
static int run_fusermount(const char *directory)
{
	char name[] = "fusermount3", unmount[] = "-u", quiet[] = "-q", end[] = "--";
	char *argv[] = { name, unmount, quiet, end, (char *)directory, NULL };
	int err, status;
	pid_t child;

	err = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
	if (err)
		return -err;
	if (waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int th_dead_mount_remove(const char *directory)
{
	int err = 0;

	if (!is_ours(directory) || !is_dead(directory))
		return 0;
	if (umount2(directory, UMOUNT_NOFOLLOW) < 0)
		err = errno == EPERM ? run_fusermount(directory) : -errno;
	return err ? err : 1;
}

int th_dead_mount_remove_device(const char *device)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct stat wanted, status;
	struct mntent *entry;
	int removed = 0;

	while (mounts && stat(device, &wanted) == 0 && (entry = getmntent(mounts))) {
		if (strstr(entry->mnt_type, "fuseblk.thunderhead") && stat(entry->mnt_fsname, &status) == 0 &&
		    S_ISBLK(status.st_mode) && status.st_rdev == wanted.st_rdev)
			removed += th_dead_mount_remove(entry->mnt_dir) > 0;
	}
	if (mounts)
		endmntent(mounts);
	return removed;
}
