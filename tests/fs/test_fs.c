/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, opening and closing a filesystem. */
#include "fs/fs.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

/* Opens the image with these options, which must fail. */
static int open_error(struct th_fs_options options)
{
	struct th_disk *disk;
	struct th_fs *fs;
	int err;

	ck_assert_int_eq(th_fs_close(scene.fs), 0);
	ck_assert_int_eq(th_disk_open(scene.image, TH_DISK_BUFFERED, &disk), 0);
	err = th_fs_open(disk, &options, &fs);
	ck_assert_int_lt(err, 0);
	/* The disk is still open and the caller's, also where the store was open already. */
	ck_assert_int_eq(th_fs_open(disk, &scene.options, &scene.fs), 0);
	return err;
}

START_TEST(new_filesystem_is_an_empty_directory)
{
	struct th_attr attr = th_scene_attr(&scene, "/");

	ck_assert_uint_eq(attr.mode, S_IFDIR | 0755);
	ck_assert_uint_eq(attr.nlink, 2);
	ck_assert_uint_eq(attr.size, 0);
	ck_assert_uint_eq(th_scene_id(&scene, "/"), TH_ROOT_ID);
	ck_assert_int_eq(th_fs_present(scene.fs->live), 1);
}
END_TEST

START_TEST(store_without_a_filesystem_is_enodata)
{
	struct th_format_options format = { 0 };
	struct th_store_options store_options = { 0 };
	struct th_fs_options options = { 0 };
	struct th_store *store;
	struct th_disk *disk;
	struct th_fs *fs;

	ck_assert_int_eq(th_disk_memory_new(4096, &disk), 0);
	ck_assert_int_eq(th_store_format(disk, &format), 0);
	ck_assert_int_eq(th_store_open(th_disk_lend(disk), &store_options, &store), 0);
	ck_assert_int_eq(th_fs_present(th_view_live(store)), 0);
	ck_assert_int_eq(th_store_close(store), 0);
	ck_assert_int_eq(th_fs_open(disk, &options, &fs), -ENODATA);
	th_disk_close(disk);
}
END_TEST

START_TEST(unknown_branch_snapshot_or_directory_is_an_error)
{
	ck_assert_int_eq(make_file("/f"), 0);
	ck_assert_int_eq(open_error((struct th_fs_options){ .branch = "none" }), -ENOENT);
	ck_assert_int_eq(open_error((struct th_fs_options){ .snapshot = "none" }), -ENOENT);
	ck_assert_int_eq(open_error((struct th_fs_options){ .subdir = "none" }), -ENOENT);
	ck_assert_int_eq(open_error((struct th_fs_options){ .subdir = "f" }), -ENOTDIR);
	ck_assert_int_eq(open_error((struct th_fs_options){ .subdir = "f/g" }), -ENOTDIR);
	ck_assert_int_eq(open_error((struct th_fs_options){ .subdir = ".." }), -EINVAL);
	ck_assert(is_there("/f"));
}
END_TEST

START_TEST(snapshot_and_subdir_options_select_the_root)
{
	struct th_snapshot snapshot;

	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/e"), 0);
	ck_assert_int_eq(make_file("/d/e/f"), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &snapshot), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/e/f"), 0);
	scene.options.subdir = "/d";
	th_scene_reopen(&scene);
	ck_assert(is_there("/e") && !is_there("/e/f"));
	ck_assert_int_eq(make_file("/e/g"), 0);
	scene.options.snapshot = "s";
	th_scene_reopen(&scene);
	ck_assert(is_there("/e/f") && !is_there("/e/g"));
	ck_assert_int_eq(make_file("/e/h"), -EROFS);
	ck_assert_int_eq(th_scene_unlink(&scene, "/e/f"), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/e/f", "/f", 0), -EROFS);
	scene.options.snapshot = scene.options.subdir = NULL;
	th_scene_reopen(&scene);
	ck_assert(is_there("/d/e/g"));
}
END_TEST

START_TEST(sync_makes_changes_durable)
{
	ck_assert_int_eq(make_file("/f"), 0);
	th_scene_write(&scene, "/f", "text");
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_scene_remember(&scene);
	th_scene_write(&scene, "/f", "lost");
	th_scene_crash(&scene);
	th_scene_expect(&scene, "/f", "text");
}
END_TEST

START_TEST(close_writes_back_everything)
{
	ck_assert_int_eq(make_file("/f"), 0);
	th_scene_write(&scene, "/f", "text");
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/f", "text");
}
END_TEST

START_TEST(read_only_filesystem_refuses_changes)
{
	ck_assert_int_eq(make_file("/f"), 0);
	scene.options.read_only = true;
	th_scene_reopen(&scene);
	ck_assert_int_eq(make_file("/g"), -EROFS);
	ck_assert_int_eq(make_dir("/d"), -EROFS);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), -EROFS);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert(is_there("/f"));
}
END_TEST

START_TEST(statfs_counts_freed_blocks_at_once)
{
	struct statvfs before, full, after;
	size_t size = 32u << 20;
	char *data = calloc(1, size);

	ck_assert_int_eq(th_fs_statfs(scene.fs, &before), 0);
	ck_assert_uint_eq(before.f_bsize, TH_BLOCK_SIZE);
	ck_assert_uint_eq(before.f_namemax, TH_NAME_MAX);
	ck_assert_uint_eq(before.f_bavail, before.f_bfree);
	ck_assert_int_eq(make_file("/f"), 0);
	struct th_inode *inode = th_scene_get(&scene, "/f");

	ck_assert_int_eq(th_file_write(inode, data, size, 0, 0), (ssize_t)size);
	th_inode_put(inode);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(th_fs_statfs(scene.fs, &full), 0);
	ck_assert_uint_le(full.f_bfree, before.f_bfree - size / TH_BLOCK_SIZE);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_int_eq(th_fs_statfs(scene.fs, &after), 0);
	ck_assert_uint_ge(after.f_bfree, full.f_bfree + size / TH_BLOCK_SIZE - size / TH_BLOCK_SIZE / 100);
	free(data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fs");
	TCase *tcase = tcase_create("open and close");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, new_filesystem_is_an_empty_directory);
	tcase_add_test(tcase, store_without_a_filesystem_is_enodata);
	tcase_add_test(tcase, unknown_branch_snapshot_or_directory_is_an_error);
	tcase_add_test(tcase, snapshot_and_subdir_options_select_the_root);
	tcase_add_test(tcase, sync_makes_changes_durable);
	tcase_add_test(tcase, close_writes_back_everything);
	tcase_add_test(tcase, read_only_filesystem_refuses_changes);
	tcase_add_test(tcase, statfs_counts_freed_blocks_at_once);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
