/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/data/file_scene.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/check/check.h"
#include "fs/data/file.h"
#include "fs/data/writeback_list.h"
#include "fs/dir/namei.h"
#include "journal/disk/disk.h"

static struct th_slice slice(const char *name)
{
	return (struct th_slice){ name, strlen(name) };
}

static void open_fs(struct th_file_scene *scene)
{
	struct th_disk *lent = th_disk_lend(scene->disk);

	ck_assert_ptr_nonnull(lent);
	ck_assert_int_eq(th_fs_open(lent, &scene->options, &scene->fs), 0);
}

void th_file_scene_open(struct th_file_scene *scene, uint64_t blocks, size_t cache_bytes)
{
	struct th_format_options format = { .label = "test" };

	scene->options = (struct th_fs_options){ .checkpoint_interval_ms = 3600000, .cache_bytes = cache_bytes };
	ck_assert_int_eq(th_disk_memory_new(blocks, &scene->disk), 0);
	ck_assert_int_eq(th_fs_format(scene->disk, &format, 0, 0), 0);
	open_fs(scene);
}

void th_file_scene_reopen(struct th_file_scene *scene)
{
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	open_fs(scene);
}

static void print_problem(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

void th_file_scene_check(struct th_file_scene *scene)
{
	struct th_fs_check_options options = { .problem = print_problem, .read_data = true };
	struct th_check_result result;

	ck_assert_int_eq(th_writeback_all(scene->fs), 0);
	ck_assert_int_eq(th_store_checkpoint(scene->fs->store), 0);
	ck_assert_int_eq(th_fs_check(scene->fs, &options, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

void th_file_scene_close(struct th_file_scene *scene)
{
	th_file_scene_check(scene);
	ck_assert_int_eq(th_fs_close(scene->fs), 0);
	th_disk_close(scene->disk);
}

struct th_inode *th_file_scene_make(struct th_file_scene *scene, const char *name)
{
	struct th_namei_new new_file = { .mode = S_IFREG | 0644 };
	struct th_inode *inode;

	ck_assert_int_eq(th_namei_create(scene->fs->root, slice(name), &new_file, &inode), 0);
	return inode;
}

struct th_inode *th_file_scene_find(struct th_file_scene *scene, const char *name)
{
	struct th_inode *inode;

	ck_assert_int_eq(th_namei_lookup(scene->fs->root, slice(name), &inode), 0);
	return inode;
}

void th_file_scene_unlink(struct th_file_scene *scene, const char *name)
{
	ck_assert_int_eq(th_namei_unlink(scene->fs->root, slice(name)), 0);
}

void th_file_scene_write(struct th_inode *inode, uint64_t off, uint8_t value, size_t size)
{
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, value, size);
	ck_assert_int_eq(th_file_write(inode, bytes, size, off, 0), (ssize_t)size);
	free(bytes);
}

void th_file_scene_expect(struct th_inode *inode, uint64_t off, uint8_t value, size_t size)
{
	struct th_file_data data;

	ck_assert_int_eq(th_file_read(inode, off, size, &data), 0);
	ck_assert_uint_eq(data.size, size);
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data.data)[i] != value)
			ck_abort_msg("byte %llu is %02x, expected %02x", (unsigned long long)(off + i),
				     ((const uint8_t *)data.data)[i], value);
	th_file_data_release(&data);
}

void th_file_scene_writeback(struct th_inode *inode)
{
	ck_assert_int_eq(th_file_writeback(inode), 0);
}

void th_file_scene_truncate(struct th_inode *inode, uint64_t size)
{
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &(struct th_attr){ .size = size }), 0);
}

unsigned th_file_scene_extents(struct th_inode *inode, struct th_extent *list, unsigned max)
{
	struct th_extents extents;
	struct th_extent extent;
	unsigned count = 0;
	int err;

	ck_assert_int_eq(th_extents_open(inode->fs, th_inode_view(inode), inode->id, 0, TH_EXTENT_END, &extents), 0);
	while (!(err = th_extents_next(&extents, &extent)) && count < max) {
		extent.bytes = NULL;
		list[count++] = extent;
	}
	ck_assert_int_eq(err, 1);
	th_extents_close(&extents);
	return count;
}

struct th_store_info th_file_scene_info(struct th_file_scene *scene)
{
	struct th_store_info info;

	th_store_info(scene->fs->store, &info);
	return info;
}
