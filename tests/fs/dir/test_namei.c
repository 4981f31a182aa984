/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/namei.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static int make_file(const char *path)
{
	return th_scene_make(&scene, path, S_IFREG | 0644);
}

static int make_dir(const char *path)
{
	return th_scene_make(&scene, path, S_IFDIR | 0755);
}

static bool is_there(const char *path)
{
	struct th_inode *inode;
	int err = th_scene_find(&scene, path, &inode);

	if (!err)
		th_inode_put(inode);
	else
		ck_assert_int_eq(err, -ENOENT);
	return !err;
}

START_TEST(create_updates_counts_of_the_parent)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/d/f"), 0);
	ck_assert_int_eq(make_dir("/d/s"), 0);
	ck_assert_int_eq(make_file("/d/f"), -EEXIST);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/f").parent, th_scene_id(&scene, "/d"));
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/f").nlink, 1);
}
END_TEST

START_TEST(names_may_hold_any_bytes)
{
	char longest[TH_NAME_MAX + 3] = "/", path[16];

	memset(longest + 1, 'x', TH_NAME_MAX);
	ck_assert_int_eq(make_file(longest), 0);
	ck_assert(is_there(longest));
	longest[TH_NAME_MAX + 1] = 'x';
	ck_assert_int_eq(make_file(longest), -ENAMETOOLONG);
	for (int c = 1; c < 256; c++) {
		snprintf(path, sizeof(path), "/a%c", c);
		if (c != '/')
			ck_assert_int_eq(make_file(path), 0);
	}
	th_scene_reopen(&scene);
	for (int c = 1; c < 256; c++) {
		snprintf(path, sizeof(path), "/a%c", c);
		if (c != '/')
			ck_assert(is_there(path));
	}
	ck_assert_int_eq(make_file("/."), -EINVAL);
	ck_assert_int_eq(make_file("/.."), -EINVAL);
	ck_assert_int_eq(make_file("/"), -EINVAL);
}
END_TEST

START_TEST(links_share_one_inode)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_dir("/d"), 0);
	th_scene_write(&scene, "/a", "text");
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/b"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/c"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/c"), -EEXIST);
	ck_assert_int_eq(th_scene_link(&scene, "/d", "/e"), -EPERM);
	ck_assert_uint_eq(th_scene_id(&scene, "/a"), th_scene_id(&scene, "/d/b"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 3);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 3);
	/* The primary name goes: another takes its place. */
	ck_assert_int_eq(th_scene_unlink(&scene, "/a"), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/b").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/b").parent, th_scene_id(&scene, "/d"));
	th_scene_expect(&scene, "/d/c", "text");
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/b"), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/c").nlink, 1);
	th_scene_expect(&scene, "/d/c", "text");
}
END_TEST

START_TEST(removal_checks_the_type)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/d/f"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d"), -EISDIR);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d/f"), -ENOTDIR);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/g"), -ENOENT);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/f"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
	ck_assert(!is_there("/d"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").size, 0);
}
END_TEST

START_TEST(create_in_a_removed_directory_fails)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d"), *inode;
	struct th_namei_new what = { .mode = S_IFREG | 0644 };

	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
	ck_assert_int_eq(th_namei_create(dir, th_scene_slice("f"), &what, &inode), -ENOENT);
	th_inode_put(dir);
}
END_TEST

START_TEST(rename_replaces_only_matching_types)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_file("/b"), 0);
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/e"), 0);
	ck_assert_int_eq(make_file("/e/f"), 0);
	uint64_t a = th_scene_id(&scene, "/a"), d = th_scene_id(&scene, "/d");

	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/d", 0), -EISDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/a", 0), -ENOTDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_rename(&scene, "/x", "/y", 0), -ENOENT);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", 0), 0);
	ck_assert_uint_eq(th_scene_id(&scene, "/b"), a);
	ck_assert(!is_there("/a"));
	ck_assert_int_eq(th_scene_unlink(&scene, "/e/f"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), 0);
	ck_assert_uint_eq(th_scene_id(&scene, "/e"), d);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").size, 2);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/e"), d);
}
END_TEST

START_TEST(rename_between_names_of_one_inode_does_nothing)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/b"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", 0), 0);
	ck_assert(is_there("/a") && is_there("/b"));
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a", 0), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 2);
}
END_TEST

START_TEST(rename_into_own_subtree_fails)
{
	ck_assert_int_eq(make_dir("/a"), 0);
	ck_assert_int_eq(make_dir("/a/b"), 0);
	ck_assert_int_eq(make_dir("/a/b/c"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/b/c/d", 0), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/x", 0), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/a", 0), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/a", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/b/c", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/c", 0), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a/b").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/c").parent, TH_ROOT_ID);
}
END_TEST

START_TEST(whiteout_gets_the_old_name)
{
	struct th_attr attr;

	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/s"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	uint64_t s = th_scene_id(&scene, "/d/s");

	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT | RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT | RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT), -ENOTDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/t", RENAME_WHITEOUT), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/t"), s);
	attr = th_scene_attr(&scene, "/d/s");
	ck_assert_uint_eq(attr.mode, S_IFCHR);
	ck_assert_uint_eq(attr.rdev, 0);
	ck_assert_uint_eq(attr.nlink, 1);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, 1);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_WHITEOUT), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/f").mode, S_IFCHR);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/s"), 0);
}
END_TEST

START_TEST(exchange_swaps_names_and_counts)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/s"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	uint64_t s = th_scene_id(&scene, "/d/s"), f = th_scene_id(&scene, "/f");

	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/x", RENAME_EXCHANGE), -ENOENT);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_EXCHANGE), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/f"), s);
	ck_assert_uint_eq(th_scene_id(&scene, "/d/s"), f);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/f").parent, TH_ROOT_ID);
}
END_TEST

START_TEST(symlink_target_survives_reopening)
{
	char target[TH_SYMLINK_MAX + 2], read[TH_SYMLINK_MAX + 1];

	memset(target, 't', sizeof(target));
	target[TH_SYMLINK_MAX + 1] = 0;
	ck_assert_int_eq(th_scene_symlink(&scene, target, "/l"), -ENAMETOOLONG);
	target[TH_SYMLINK_MAX] = 0;
	ck_assert_int_eq(th_scene_symlink(&scene, target, "/l"), 0);
	th_scene_reopen(&scene);
	struct th_inode *inode = th_scene_get(&scene, "/l");

	ck_assert_int_eq(th_symlink_read(inode, read), 0);
	ck_assert_str_eq(read, target);
	ck_assert_uint_eq(inode->attr.size, TH_SYMLINK_MAX);
	th_inode_put(inode);
}
END_TEST

START_TEST(set_gid_directory_passes_on_its_group)
{
	struct th_namei_new dir_new = { .mode = S_IFDIR | S_ISGID | 0755, .uid = 1, .gid = 100 };
	struct th_namei_new below = { .mode = S_IFDIR | 0755, .uid = 2, .gid = 200 };
	struct th_inode *root = th_scene_get(&scene, "/"), *dir, *inode;

	ck_assert_int_eq(th_namei_create(root, th_scene_slice("d"), &dir_new, &dir), 0);
	ck_assert_int_eq(th_namei_create(dir, th_scene_slice("s"), &below, &inode), 0);
	ck_assert_uint_eq(inode->attr.gid, 100);
	ck_assert_uint_eq(inode->attr.mode, S_IFDIR | S_ISGID | 0755);
	th_inode_put(inode);
	below.mode = S_IFREG | 0644;
	ck_assert_int_eq(th_namei_create(dir, th_scene_slice("f"), &below, &inode), 0);
	ck_assert_uint_eq(inode->attr.gid, 100);
	ck_assert_uint_eq(inode->attr.uid, 2);
	ck_assert_uint_eq(inode->attr.mode, S_IFREG | 0644);
	th_inode_put(inode);
	th_inode_put(dir);
	th_inode_put(root);
}
END_TEST

START_TEST(flags_restrict_names)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/d/f"), 0);
	ck_assert_int_eq(make_file("/g"), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d"), *file = th_scene_get(&scene, "/g");

	ck_assert_int_eq(th_attr_set_flags(dir, FS_APPEND_FL, true), 0);
	ck_assert_int_eq(make_file("/d/new"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/f"), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/f", "/f", 0), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/g", "/d/f", 0), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/g", "/d/g", 0), 0);
	ck_assert_int_eq(th_attr_set_flags(dir, FS_IMMUTABLE_FL, true), 0);
	ck_assert_int_eq(make_file("/d/newer"), -EPERM);
	ck_assert_int_eq(th_attr_set_flags(dir, 0, false), -EPERM);
	ck_assert_int_eq(th_attr_set_flags(dir, 0, true), 0);
	ck_assert_int_eq(th_attr_set_flags(file, FS_IMMUTABLE_FL, true), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/g"), -EPERM);
	ck_assert_int_eq(th_scene_link(&scene, "/d/g", "/h"), -EPERM);
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_MODE, &(struct th_attr){ .mode = 0600 }), -EPERM);
	ck_assert_int_eq(th_attr_set_flags(file, FS_COMPR_FL, true), -EOPNOTSUPP);
	th_inode_put(file);
	th_inode_put(dir);
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

int main(void)
{
	Suite *suite = suite_create("namei");
	TCase *tcase = tcase_create("names");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, create_updates_counts_of_the_parent);
	tcase_add_test(tcase, names_may_hold_any_bytes);
	tcase_add_test(tcase, links_share_one_inode);
	tcase_add_test(tcase, removal_checks_the_type);
	tcase_add_test(tcase, create_in_a_removed_directory_fails);
	tcase_add_test(tcase, rename_replaces_only_matching_types);
	tcase_add_test(tcase, rename_between_names_of_one_inode_does_nothing);
	tcase_add_test(tcase, rename_into_own_subtree_fails);
	tcase_add_test(tcase, whiteout_gets_the_old_name);
	tcase_add_test(tcase, exchange_swaps_names_and_counts);
	tcase_add_test(tcase, symlink_target_survives_reopening);
	tcase_add_test(tcase, set_gid_directory_passes_on_its_group);
	tcase_add_test(tcase, flags_restrict_names);
	tcase_add_test(tcase, snapshot_and_subdir_options_select_the_root);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
