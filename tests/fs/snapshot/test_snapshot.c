/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of an open filesystem: entered ones are marked, the kernel is notified, and nothing changes read-only. */
#include "fs/snapshot/snapshot.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/inode/entered_snapshot.h"
#include "fs/snapshot/branch.h"
#include "journal/base/clock.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static char notified[256]; /* "name@except " of each call since the last expect */

static void notify(void *arg, const char *name, uint64_t except)
{
	size_t used = strlen(notified);

	ck_assert_ptr_eq(arg, &scene);
	snprintf(notified + used, sizeof(notified) - used, "%s@%llu ", name ? name : "new", (unsigned long long)except);
}

static void expect(const char *calls)
{
	ck_assert_str_eq(notified, calls);
	notified[0] = 0;
}

static void setup(void)
{
	th_scene_open(&scene, NULL);
	scene.fs->snapshot_changed = notify;
	scene.fs->snapshot_changed_arg = &scene;
}

static void teardown(void)
{
	th_scene_close(&scene);
}

START_TEST(each_change_is_notified)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "a", NULL), 0);
	expect("new@0 ");
	ck_assert_uint_eq(scene.fs->snapshots_changed_ns, 0);
	ck_assert_int_eq(th_fs_snapshot_rename(scene.fs, "a", "b"), 0);
	expect("a@0 b@0 ");
	ck_assert_int_eq(th_fs_snapshot_rename_in(scene.fs, "b", "c", 5), 0);
	expect("b@5 c@5 ");
	ck_assert_int_eq(th_fs_snapshot_delete_in(scene.fs, "c", 5), 0);
	expect("c@5 ");
	ck_assert_uint_gt(scene.fs->snapshots_changed_ns, 0);
	ck_assert_uint_le(scene.fs->snapshots_changed_ns, th_now_ns());
}
END_TEST

START_TEST(failures_are_not_notified)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "a", NULL), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "d", NULL), 0);
	expect("new@0 new@0 ");
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "a", NULL), -EEXIST);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "b"), -ENOENT);
	ck_assert_int_eq(th_fs_snapshot_rename(scene.fs, "b", "c"), -ENOENT);
	ck_assert_int_eq(th_fs_snapshot_rename(scene.fs, "a", "d"), -EEXIST);
	expect("");
}
END_TEST

START_TEST(held_snapshot_cannot_be_deleted)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "a", NULL), 0);
	ck_assert_int_eq(th_fs_snapshot_hold(scene.fs, "a", "tag"), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "a"), -EBUSY);
	ck_assert_int_eq(th_fs_snapshot_release(scene.fs, "a", "other"), -ENOENT);
	ck_assert_int_eq(th_fs_snapshot_release(scene.fs, "a", "tag"), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "a"), 0);
}
END_TEST

START_TEST(deletion_with_the_branch_marks_entered_snapshots)
{
	struct th_entered_snapshot *entered;
	struct th_snapshot snapshot;

	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), 0);
	scene.options.branch = "work";
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &snapshot), 0);
	scene.options.branch = "main";
	th_scene_reopen(&scene);
	scene.fs->snapshot_changed = notify;
	scene.fs->snapshot_changed_arg = &scene;
	expect("new@0 ");
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, snapshot.id, &entered), 0);
	ck_assert_int_eq(th_fs_branch_delete(scene.fs, "work", true), 0);
	ck_assert(entered->deleted);
	expect("s@0 ");
	th_entered_snapshot_put(scene.fs, entered);
}
END_TEST

START_TEST(read_only_filesystem_refuses_all_changes)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "a", NULL), 0);
	scene.options.read_only = true;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "b", NULL), -EROFS);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "a"), -EROFS);
	ck_assert_int_eq(th_fs_snapshot_rename(scene.fs, "a", "b"), -EROFS);
	ck_assert_int_eq(th_fs_snapshot_hold(scene.fs, "a", "tag"), -EROFS);
	ck_assert_int_eq(th_fs_snapshot_release(scene.fs, "a", "tag"), -EROFS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tcase = tcase_create("snapshots");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_change_is_notified);
	tcase_add_test(tcase, failures_are_not_notified);
	tcase_add_test(tcase, held_snapshot_cannot_be_deleted);
	tcase_add_test(tcase, deletion_with_the_branch_marks_entered_snapshots);
	tcase_add_test(tcase, read_only_filesystem_refuses_all_changes);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
