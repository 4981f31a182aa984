/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, linking and removing names. */
#include "fs/dir/namei.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

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
	struct th_namei_new new = { .mode = S_IFREG | 0644 };

	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
	ck_assert_int_eq(th_namei_create(dir, th_scene_slice("f"), &new, &inode), -ENOENT);
	th_inode_put(dir);
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

int main(void)
{
	Suite *suite = suite_create("namei");
	TCase *tcase = tcase_create("names");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, create_updates_counts_of_the_parent);
	tcase_add_test(tcase, names_may_hold_any_bytes);
	tcase_add_test(tcase, removal_checks_the_type);
	tcase_add_test(tcase, create_in_a_removed_directory_fails);
	tcase_add_test(tcase, set_gid_directory_passes_on_its_group);
	tcase_add_test(tcase, flags_restrict_names);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
