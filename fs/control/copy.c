/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/copy.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/dir/copy_tree.h"
#include "fs/dir/dir.h"
#include "fs/inode/entered_snapshot.h"
#include "fs/snapshot/snapshot.h"
#include "journal/base/clock.h"

/* Finds the id of a path from the root of the mount.  The path ends after `size` bytes. */
static int find(struct th_fs *fs, struct th_view *view, const char *path, size_t size, uint64_t *ret)
{
	struct th_dirent entry = { .id = fs->root->id, .type = DT_DIR };
	const char *end = path + size;
	int err = 0;

	while (!err) {
		struct th_slice name;

		while (path < end && *path == '/')
			path++;
		if (path == end)
			break;
		name = (struct th_slice){ path, 0 };
		while (path < end && *path != '/')
			path++;
		name.size = (size_t)(path - (const char *)name.data);
		err = th_dir_check_name(name);
		if (!err)
			err = entry.type == DT_DIR ? th_dir_find_in(fs, view, entry.id, name, &entry) : -ENOTDIR;
	}
	*ret = entry.id;
	return err;
}

/* Opens the directory of a path in the live tree.  The caller puts it.  *ret_name: the last part of the path. */
static int open_parent(struct th_fs *fs, const char *path, struct th_inode **ret, struct th_slice *ret_name)
{
	size_t size = strlen(path), end;
	uint64_t id;
	int err;

	while (size > 0 && path[size - 1] == '/')
		size--;
	end = size;
	while (size > 0 && path[size - 1] != '/')
		size--;
	*ret_name = (struct th_slice){ path + size, end - size };
	err = find(fs, fs->live, path, size, &id);
	return err ? err : th_inode_get(fs, NULL, id, ret);
}

static void tell_kernel(struct th_fs *fs, const struct th_copy_tree *copy)
{
	if (!fs->front)
		return;
	fs->front->drop_name(fs->front_arg, copy->dir->id, copy->name);
	if (copy->replaced)
		fs->front->drop_name(fs->front_arg, copy->dir->id, copy->aside);
}

/* Copies from a snapshot. */
static int copy_from(struct th_fs *fs, const char *snapshot, struct th_copy_request *request)
{
	struct th_copy_tree copy = { 0 };
	struct th_snapshot info;
	int err = th_snapshot_find(fs->store, snapshot, &info);

	if (!err)
		err = th_entered_snapshot_get(fs, info.id, &copy.from);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	err = find(fs, copy.from->view, request->source, strlen(request->source), &copy.source);
	if (err == -ENOENT || err == -ENOTDIR)
		err = -ENXIO;
	if (!err)
		err = open_parent(fs, request->target, &copy.dir, &copy.name);
	if (request->aside)
		copy.aside = (struct th_slice){ request->aside, strlen(request->aside) };
	if (!err)
		err = th_copy_tree(&copy);
	if (!err)
		tell_kernel(fs, &copy);
	request->inodes = copy.inodes;
	request->replaced = copy.replaced;
	th_inode_put(copy.dir);
	th_entered_snapshot_put(fs, copy.from);
	return err;
}

int th_copy_request(struct th_fs *fs, struct th_copy_request *request)
{
	char name[64];
	int err = th_fs_writable(fs), end;

	if (err || request->from)
		return err ? err : copy_from(fs, request->from, request);
	snprintf(name, sizeof(name), "copy-in-progress-%" PRIu64, th_now_ns());
	err = th_fs_snapshot_create(fs, name, NULL);
	if (err)
		return err;
	err = copy_from(fs, name, request);
	end = th_fs_snapshot_delete(fs, name);
	return err ? err : end;
}
