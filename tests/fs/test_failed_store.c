/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a write has failed: every change is refused with -EROFS from then on, also one that would only be made in
 * memory; reads go on, of data that was not written too; the next mount shows the last durable state.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/control/control.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

#define IMAGE_BLOCKS ((32u << 20) >> TH_BLOCK_SHIFT)
#define UNWRITTEN 100000 /* bytes */

static struct th_disk *disk;
static struct th_scene scene;
static unsigned lines; /* reported */

static void count_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	lines++;
}

static const struct th_fs_options options = { .checkpoint_interval_ms = 3600 * 1000, .report = count_line };

static void write_bytes(const char *path, char byte, size_t size)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	char *data = malloc(size);

	memset(data, byte, size);
	ck_assert_int_eq(th_file_write(inode, data, size, 0, 0), (ssize_t)size);
	free(data);
	th_inode_put(inode);
}

/* A synced file, one with data that is only in memory, and a disk whose next write fails. */
static void setup(void)
{
	struct th_format_options format = { .label = "failed" };
	struct th_disk *memory;

	ck_assert_int_eq(th_disk_memory_new(IMAGE_BLOCKS, &memory), 0);
	ck_assert_int_eq(th_disk_fault_new(memory, &disk), 0);
	ck_assert_int_eq(th_fs_format(disk, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(th_disk_lend(disk), &options, &scene.fs), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/synced", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/empty", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/dir", S_IFDIR | 0755), 0);
	write_bytes("/synced", 's', 5000);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	write_bytes("/empty", 'u', UNWRITTEN);
}

static void teardown(void)
{
	th_disk_close(disk);
}

static void fail_sync(void)
{
	th_disk_fault_arm(disk, TH_FAULT_CUT, 0);
	ck_assert_int_ne(th_fs_sync(scene.fs), 0);
	ck_assert_int_ne(th_store_failure(scene.fs->store), 0);
}

static void expect_refused(struct th_inode *inode, struct th_inode *other)
{
	struct th_attr attr = { .mode = 0600, .size = 3 };
	struct th_slice value = { "v", 1 };
	uint64_t copied;

	ck_assert_int_eq(th_file_write(inode, "x", 1, 0, 0), -EROFS);
	ck_assert_int_eq(th_file_write(inode, "x", 1, 0, TH_FILE_WRITE_APPEND), -EROFS);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MODE, &attr), -EROFS);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_UID | TH_ATTR_GID, &attr), -EROFS);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MTIME, &attr), -EROFS);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &attr), -EROFS);
	attr.size = 100 << 20;
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &attr), -EROFS);
	ck_assert_int_eq(th_attr_set_flags(inode, FS_NODUMP_FL, true), -EROFS);
	ck_assert_int_eq(th_attr_check_open(inode, 1 /* O_WRONLY */), -EROFS);
	ck_assert_int_eq(th_xattr_set(inode, "user.x", value, 0), -EROFS);
	ck_assert_int_eq(th_xattr_remove(inode, "user.x"), -EROFS);
	ck_assert_int_eq(th_file_fallocate(inode, 0, 0, 1 << 20), -EROFS);
	ck_assert_int_eq(th_file_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100), -EROFS);
	ck_assert_int_eq(th_file_copy_range(other, 0, inode, 0, 4096, &copied), -EROFS);
}

static void expect_names_refused(void)
{
	ck_assert_int_eq(th_scene_make(&scene, "/new", S_IFREG | 0644), -EROFS);
	ck_assert_int_eq(th_scene_make(&scene, "/new", S_IFDIR | 0755), -EROFS);
	ck_assert_int_eq(th_scene_symlink(&scene, "synced", "/new"), -EROFS);
	ck_assert_int_eq(th_scene_link(&scene, "/synced", "/new"), -EROFS);
	ck_assert_int_eq(th_scene_unlink(&scene, "/synced"), -EROFS);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/dir"), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/synced", "/new", 0), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/synced", "/empty", 0), -EROFS);
	ck_assert_int_eq(th_snapshot_create(scene.fs->store, "s", NULL), -EROFS);
}

static void expect_bytes(const char *path, char byte, size_t size)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	struct th_file_data data;

	ck_assert_uint_eq(inode->attr.size, size);
	ck_assert_uint_eq(inode->attr.mode & 07777, 0644);
	ck_assert_int_eq(th_file_read(inode, 0, size, &data), 0);
	ck_assert_uint_eq(data.size, size);
	for (size_t i = 0; i < size; i++)
		ck_assert_int_eq(((const char *)data.data)[i], byte);
	th_file_data_release(&data);
	th_inode_put(inode);
}

START_TEST(changes_are_refused_and_reads_go_on)
{
	fail_sync();
	struct th_inode *synced = th_scene_get(&scene, "/synced"), *unwritten = th_scene_get(&scene, "/empty");

	expect_refused(synced, unwritten);
	expect_refused(unwritten, synced);
	expect_names_refused();
	ck_assert_int_ne(th_file_sync(unwritten), 0);
	ck_assert_int_ne(th_fs_sync(scene.fs), 0);
	th_inode_put(synced);
	th_inode_put(unwritten);
	th_disk_fault_arm(disk, TH_FAULT_NONE, 0); /* reads only failed with the disk */
	expect_bytes("/synced", 's', 5000);
	expect_bytes("/empty", 'u', UNWRITTEN);
	ck_assert_int_ne(th_fs_close(scene.fs), 0);
}
END_TEST

START_TEST(info_has_the_reason_and_the_data_that_is_not_written)
{
	struct th_control_info request = { .version = th_le32(TH_CONTROL_VERSION) }, info;
	const struct th_caller caller = { .uid = 0, .admin = true, .reads_root = true };
	struct th_control *control;
	size_t size;

	ck_assert_int_eq(th_control_new(scene.fs, &control), 0);
	fail_sync();
	ck_assert_int_eq(th_control_ioctl(control, &caller, TH_CONTROL_INFO, &request, sizeof(request), &info,
					  sizeof(info), &size),
			 0);
	ck_assert_int_eq(th_get_le16(info.failure), EIO);
	ck_assert_uint_ge(th_get_le64(info.unwritten_bytes), UNWRITTEN);
	th_control_free(control);
	ck_assert_int_ne(th_fs_close(scene.fs), 0);
}
END_TEST

START_TEST(the_failure_is_reported_once_and_the_last_durable_state_is_there)
{
	fail_sync();
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_ne(th_fs_sync(scene.fs), 0);
	ck_assert_uint_eq(lines, 1);
	ck_assert_int_ne(th_fs_close(scene.fs), 0);
	th_disk_fault_arm(disk, TH_FAULT_NONE, 0);
	ck_assert_int_eq(th_fs_open(th_disk_lend(disk), &options, &scene.fs), 0);
	expect_bytes("/synced", 's', 5000);
	ck_assert_uint_eq(th_scene_attr(&scene, "/empty").size, 0);
	write_bytes("/synced", 't', 6000);
	ck_assert_int_eq(th_fs_close(scene.fs), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failed_store");
	TCase *cases = tcase_create("failed");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, changes_are_refused_and_reads_go_on);
	tcase_add_test(cases, info_has_the_reason_and_the_data_that_is_not_written);
	tcase_add_test(cases, the_failure_is_reported_once_and_the_last_durable_state_is_there);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
