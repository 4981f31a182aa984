/* SPDX-License-Identifier: Apache-2.0 */
/* When a time of access changes. */
#include "fs/attr/atime.h"

#include <check.h>
#include <linux/fs.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

#define DAY (24 * 60 * 60)

static struct th_scene scene;
static struct th_inode *inode;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	inode = th_scene_get(&scene, "/f");
}

static void teardown(void)
{
	th_inode_put(inode);
	th_scene_close(&scene);
}

/* Read so many seconds ago, changed so many; is it touched? */
static bool touched(int64_t read_ago, int64_t changed_ago)
{
	int64_t now = th_time_now().seconds;

	inode->attr.atime = (struct th_time){ now - read_ago, 0 };
	inode->attr.mtime = inode->attr.ctime = (struct th_time){ now - changed_ago, 0 };
	th_atime_touch(inode);
	return inode->attr.atime.seconds >= now && inode->attr_dirty;
}

START_TEST(relative)
{
	ck_assert(!touched(100, 200));
	ck_assert(touched(100, 100));
	ck_assert(touched(200, 100));
	ck_assert(!touched(DAY - 100, DAY * 2));
	ck_assert(touched(DAY + 100, DAY * 2));
	inode->attr.flags = FS_NOATIME_FL;
	ck_assert(!touched(200, 100));
}
END_TEST

START_TEST(never)
{
	scene.fs->options.atime = TH_ATIME_NEVER;
	ck_assert(!touched(200, 100));
	ck_assert(!touched(DAY * 2, DAY));
}
END_TEST

START_TEST(strict)
{
	scene.fs->options.atime = TH_ATIME_STRICT;
	ck_assert(touched(100, 200));
	inode->attr.flags = FS_NOATIME_FL;
	ck_assert(!touched(100, 200));
}
END_TEST

START_TEST(not_for_directories)
{
	struct th_inode *root = scene.fs->root;
	struct th_time old = { 1, 0 };

	scene.fs->options.no_dir_atime = true;
	ck_assert(touched(200, 100));
	root->attr.atime = old;
	th_atime_touch(root);
	ck_assert_int_eq(root->attr.atime.seconds, 1);
	scene.fs->options.no_dir_atime = false;
	th_atime_touch(root);
	ck_assert_int_gt(root->attr.atime.seconds, 1);
}
END_TEST

START_TEST(snapshots_stay_as_they_are)
{
	struct th_inode *old;

	ck_assert(touched(200, 100));
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", NULL), 0);
	old = th_scene_get(&scene, "/.snapshots/s/f");
	struct th_time before = old->attr.atime;

	scene.fs->options.atime = TH_ATIME_STRICT;
	th_atime_touch(old);
	ck_assert_int_eq(old->attr.atime.seconds, before.seconds);
	ck_assert_uint_eq(old->attr.atime.nanoseconds, before.nanoseconds);
	th_inode_put(old);
}
END_TEST

START_TEST(a_touch_is_stored)
{
	ck_assert(touched(200, 100));
	struct th_time time = inode->attr.atime;

	th_inode_put(inode);
	th_scene_reopen(&scene);
	inode = th_scene_get(&scene, "/f");
	ck_assert_int_eq(inode->attr.atime.seconds, time.seconds);
	ck_assert_uint_eq(inode->attr.atime.nanoseconds, time.nanoseconds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("atime");
	TCase *tcase = tcase_create("atime");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, relative);
	tcase_add_test(tcase, never);
	tcase_add_test(tcase, strict);
	tcase_add_test(tcase, not_for_directories);
	tcase_add_test(tcase, snapshots_stay_as_they_are);
	tcase_add_test(tcase, a_touch_is_stored);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
