/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/error.h"

/* Returns whether a directory is the root of what is mounted there. */
static bool is_mount_root(const char *path)
{
	struct statx status;

	return !statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &status) &&
	       (status.stx_attributes_mask & status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Cuts the last name off a path, also of "name" and "/name".  Returns the name. */
static const char *cut_name(char *path)
{
	size_t size = strlen(path);

	while (size > 1 && path[size - 1] == '/')
		path[--size] = 0;
	while (size > 0 && path[size - 1] != '/')
		size--;
	return path + size;
}

/* Resolves the longest part of a path, without its last name, that exists.  *ret_rest: the rest of the path. */
static int resolve(const char *path, char real[PATH_MAX], char rest[PATH_MAX])
{
	char head[PATH_MAX];
	size_t length = strlen(path);

	if (length >= sizeof(head) || !length)
		return length ? -ENAMETOOLONG : -ENOENT;
	memcpy(head, path, length + 1);
	do {
		const char *name = cut_name(head);
		size_t at = (size_t)(name - head);

		snprintf(rest, PATH_MAX, "%s", path + at);
		if (!strcmp(name, ".") || !strcmp(name, "..") || !*name) {
			rest[0] = 0; /* the path is a directory that has no name of its own: all of it is resolved */
			return realpath(path, real) ? 0 : -errno;
		}
		head[at] = 0;
		if (realpath(at ? head : ".", real))
			return 0;
	} while (errno == ENOENT && strchr(head, '/'));
	return -errno;
}

/* Takes ".snapshots/NAME" out of a path.  Returns 0 or -EINVAL if no name follows. */
static int take_snapshot(struct th_fs_path *path)
{
	char *at = strstr(path->path, "/" TH_SNAPDIR_NAME "/"), *name, *end;

	if (!at)
		return 0;
	name = at + sizeof("/" TH_SNAPDIR_NAME);
	end = name + strcspn(name, "/");
	if (end == name || (size_t)(end - name) >= sizeof(path->snapshot))
		return -EINVAL;
	memcpy(path->snapshot, name, (size_t)(end - name));
	memmove(at, end, strlen(end) + 1);
	if (!path->path[0])
		strcpy(path->path, "/");
	return 0;
}

int th_fs_path_find(const char *path, struct th_fs_path *ret)
{
	char real[PATH_MAX], rest[PATH_MAX];
	size_t root;
	int err = resolve(path, real, rest);

	memset(ret, 0, sizeof(*ret));
	if (err) {
		th_error(err, "%s", path);
		return err;
	}
	memcpy(ret->target, real, sizeof(real));
	while (!is_mount_root(ret->target) && strcmp(ret->target, "/") != 0) {
		const char *name = cut_name(ret->target);
		size_t at = (size_t)(name - ret->target);

		ret->target[at > 1 ? at - 1 : at] = 0;
	}
	root = strcmp(ret->target, "/") != 0 ? strlen(ret->target) : 0;
	if (snprintf(ret->path, sizeof(ret->path), "%s/%s", real + root, rest) >= (int)sizeof(ret->path))
		err = -ENAMETOOLONG;
	if (!err)
		err = take_snapshot(ret);
	if (err)
		th_error(err, "%s", path);
	return err;
}

int th_fs_path_in(const char *image, const char *path, struct th_fs_path *ret)
{
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	if (snprintf(ret->target, sizeof(ret->target), "%s", image) >= (int)sizeof(ret->target) ||
	    snprintf(ret->path, sizeof(ret->path), "/%s", path) >= (int)sizeof(ret->path))
		err = -ENAMETOOLONG;
	if (!err)
		err = take_snapshot(ret);
	if (err)
		th_error(err, "%s", path);
	return err;
}
