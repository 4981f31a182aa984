/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/scene.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"

#define IMAGE_BYTES (256u << 20)

static void open_image(struct th_scene *scene)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_open(scene->image, TH_DISK_BUFFERED, &disk), 0);
	ck_assert_int_eq(th_fs_open(disk, &scene->options, &scene->fs), 0);
}

void th_scene_open(struct th_scene *scene, const struct th_fs_options *options)
{
	struct th_format_options format = { 0 };
	struct th_disk *disk;

	*scene = (struct th_scene){ .image = "/tmp/thunderhead-test-XXXXXX" };
	if (options)
		scene->options = *options;
	int fd = mkstemp(scene->image);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	ck_assert_int_eq(th_disk_open(scene->image, TH_DISK_BUFFERED, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	th_disk_close(disk);
	open_image(scene);
}

void th_scene_reopen(struct th_scene *scene)
{
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	open_image(scene);
}

static void crash_name(const struct th_scene *scene, char *name, size_t size)
{
	snprintf(name, size, "%s.crash", scene->image);
}

void th_scene_remember(struct th_scene *scene)
{
	char copy[96], command[256];

	crash_name(scene, copy, sizeof(copy));
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", scene->image, copy);
	ck_assert_int_eq(system(command), 0);
}

void th_scene_crash(struct th_scene *scene)
{
	char copy[96];

	crash_name(scene, copy, sizeof(copy));
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	ck_assert_int_eq(rename(copy, scene->image), 0);
	open_image(scene);
}

void th_scene_close(struct th_scene *scene)
{
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	unlink(scene->image);
}

/* --- by path --- */

struct th_slice th_scene_slice(const char *name)
{
	return (struct th_slice){ name, strlen(name) };
}

int th_scene_find(struct th_scene *scene, const char *path, struct th_inode **ret)
{
	struct th_inode *inode = th_inode_ref(scene->fs->root), *next = NULL;
	int err = 0;

	for (path += strspn(path, "/"); !err && *path; path += strspn(path, "/")) {
		struct th_slice name = { path, strcspn(path, "/") };

		path += name.size;
		err = th_namei_lookup(inode, name, &next);
		th_inode_put(inode);
		inode = next;
	}
	if (!err)
		*ret = inode;
	return err;
}

struct th_inode *th_scene_get(struct th_scene *scene, const char *path)
{
	struct th_inode *inode;
	int err = th_scene_find(scene, path, &inode);

	ck_assert_msg(err == 0, "%s: %s", path, strerror(-err));
	return inode;
}

struct th_inode *th_scene_parent(struct th_scene *scene, const char *path, struct th_slice *ret_name)
{
	const char *last = strrchr(path, '/');
	char *directory = strndup(path, (size_t)(last - path));
	struct th_inode *inode = th_scene_get(scene, directory);

	free(directory);
	*ret_name = th_scene_slice(last + 1);
	return inode;
}

struct th_attr th_scene_attr(struct th_scene *scene, const char *path)
{
	struct th_inode *inode = th_scene_get(scene, path);
	struct th_attr attr = inode->attr;

	attr.name = NULL;
	attr.name_size = 0;
	th_inode_put(inode);
	return attr;
}

uint64_t th_scene_id(struct th_scene *scene, const char *path)
{
	struct th_inode *inode = th_scene_get(scene, path);
	uint64_t id = inode->id;

	th_inode_put(inode);
	return id;
}

static int make(struct th_scene *scene, const char *path, const struct th_namei_new *new)
{
	struct th_slice name;
	struct th_inode *dir = th_scene_parent(scene, path, &name), *inode;
	int err = th_namei_create(dir, name, new, &inode);

	if (!err)
		th_inode_put(inode);
	th_inode_put(dir);
	return err;
}

int th_scene_make(struct th_scene *scene, const char *path, uint32_t mode)
{
	return make(scene, path, &(struct th_namei_new){ .mode = mode });
}

int th_scene_symlink(struct th_scene *scene, const char *target, const char *path)
{
	return make(scene, path, &(struct th_namei_new){ .mode = S_IFLNK | 0777, .target = th_scene_slice(target) });
}

int th_scene_link(struct th_scene *scene, const char *from, const char *to)
{
	struct th_slice name;
	struct th_inode *inode = th_scene_get(scene, from), *dir = th_scene_parent(scene, to, &name);
	int err = th_namei_link(inode, dir, name);

	th_inode_put(dir);
	th_inode_put(inode);
	return err;
}

int th_scene_unlink(struct th_scene *scene, const char *path)
{
	struct th_slice name;
	struct th_inode *dir = th_scene_parent(scene, path, &name);
	int err = th_namei_unlink(dir, name);

	th_inode_put(dir);
	return err;
}

int th_scene_rmdir(struct th_scene *scene, const char *path)
{
	struct th_slice name;
	struct th_inode *dir = th_scene_parent(scene, path, &name);
	int err = th_namei_rmdir(dir, name);

	th_inode_put(dir);
	return err;
}

int th_scene_rename(struct th_scene *scene, const char *from, const char *to, unsigned flags)
{
	struct th_slice from_name, to_name;
	struct th_inode *from_dir = th_scene_parent(scene, from, &from_name);
	struct th_inode *to_dir = th_scene_parent(scene, to, &to_name);
	int err = th_namei_rename(from_dir, from_name, to_dir, to_name, flags);

	th_inode_put(to_dir);
	th_inode_put(from_dir);
	return err;
}

void th_scene_write(struct th_scene *scene, const char *path, const char *text)
{
	struct th_inode *inode = th_scene_get(scene, path);
	size_t size = strlen(text);

	ck_assert_int_eq(th_file_write(inode, text, size, 0, 0), (ssize_t)size);
	th_inode_put(inode);
}

void th_scene_expect(struct th_scene *scene, const char *path, const char *text)
{
	struct th_inode *inode = th_scene_get(scene, path);
	struct th_file_data data;

	ck_assert_int_eq(th_file_read(inode, 0, strlen(text) + 1, &data), 0);
	ck_assert_uint_eq(data.size, strlen(text));
	ck_assert_mem_eq(data.data, text, data.size);
	th_file_data_release(&data);
	th_inode_put(inode);
}

void th_scene_put(struct th_scene *scene, const struct th_fs_key *key, const void *value, size_t size)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(scene->fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(key), (struct th_slice){ value, size }), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}
