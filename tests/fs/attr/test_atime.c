/* SPDX-License-Identifier: Apache-2.0 */
/* The options of atime, and when an access time is updated. */
#include "fs/attr/atime.h"

#include <check.h>
#include <linux/fs.h>
#include <string.h>

#include "fs/data/writeback_list.h"
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

/* Returns whether a read updates an atime of `read_ago` seconds ago, with a last change `changed_ago` seconds ago. */
static bool is_updated(int64_t read_ago, int64_t changed_ago)
{
	int64_t now = th_time_now().seconds;

	inode->attr.atime = (struct th_time){ now - read_ago, 0 };
	inode->attr.mtime = inode->attr.ctime = (struct th_time){ now - changed_ago, 0 };
	th_atime_touch(inode);
	return inode->attr.atime.seconds >= now && inode->atime_dirty;
}

START_TEST(relative_updates_after_a_change_or_a_day)
{
	ck_assert(!is_updated(100, 200));
	ck_assert(is_updated(100, 100));
	ck_assert(is_updated(200, 100));
	ck_assert(!is_updated(DAY - 100, DAY * 2));
	ck_assert(is_updated(DAY + 100, DAY * 2));
	inode->attr.flags = FS_NOATIME_FL;
	ck_assert(!is_updated(200, 100));
}
END_TEST

START_TEST(never_updates)
{
	scene.fs->options.atime = TH_ATIME_NEVER;
	ck_assert(!is_updated(200, 100));
	ck_assert(!is_updated(DAY * 2, DAY));
}
END_TEST

START_TEST(strict_updates_with_each_read)
{
	scene.fs->options.atime = TH_ATIME_STRICT;
	ck_assert(is_updated(100, 200));
	inode->attr.flags = FS_NOATIME_FL;
	ck_assert(!is_updated(100, 200));
}
END_TEST

START_TEST(no_dir_atime_spares_directories)
{
	struct th_inode *root = scene.fs->root;
	struct th_time old = { 1, 0 };

	scene.fs->options.no_dir_atime = true;
	ck_assert(is_updated(200, 100));
	root->attr.atime = old;
	th_atime_touch(root);
	ck_assert_int_eq(root->attr.atime.seconds, 1);
	scene.fs->options.no_dir_atime = false;
	th_atime_touch(root);
	ck_assert_int_gt(root->attr.atime.seconds, 1);
}
END_TEST

START_TEST(snapshot_keeps_its_atime)
{
	struct th_inode *old;

	ck_assert(is_updated(200, 100));
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

START_TEST(updated_atime_is_stored)
{
	ck_assert(is_updated(200, 100));
	struct th_time time = inode->attr.atime;

	th_inode_put(inode);
	th_scene_reopen(&scene);
	inode = th_scene_get(&scene, "/f");
	ck_assert_int_eq(inode->attr.atime.seconds, time.seconds);
	ck_assert_uint_eq(inode->attr.atime.nanoseconds, time.nanoseconds);
}
END_TEST

/* The whole point of records: the reader changes no inode. */
START_TEST(a_read_leaves_the_inode_value_alone)
{
	struct th_fs_key key = th_fs_key_inode(inode->id);
	uint8_t before[TH_INODE_VALUE_MAX];
	struct th_value value;

	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	memcpy(before, value.data, value.size);
	th_value_release(&value);
	scene.fs->options.atime = TH_ATIME_STRICT;
	th_atime_touch(inode);
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert(!inode->atime_dirty);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_mem_eq(before, value.data, value.size);
	th_value_release(&value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("atime");
	TCase *tcase = tcase_create("atime");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, relative_updates_after_a_change_or_a_day);
	tcase_add_test(tcase, never_updates);
	tcase_add_test(tcase, strict_updates_with_each_read);
	tcase_add_test(tcase, no_dir_atime_spares_directories);
	tcase_add_test(tcase, snapshot_keeps_its_atime);
	tcase_add_test(tcase, updated_atime_is_stored);
	tcase_add_test(tcase, a_read_leaves_the_inode_value_alone);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
