/* SPDX-License-Identifier: Apache-2.0 */
/* Branches of a filesystem: separate files, ids that are unique across branches, rollback, and diff. */
#include "fs/snapshot/branch.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/check/check.h"
#include "fs/data/extent.h"
#include "fs/data/file.h"
#include "fs/diff/diff.h"
#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
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

static void switch_to(const char *branch)
{
	scene.options.branch = branch;
	th_scene_reopen(&scene);
	scene.options.branch = NULL;
}

static void print_problem(void *arg, const char *line)
{
	(void)arg;
	printf("check: %s\n", line);
}

static void verify(void)
{
	struct th_fs_check_options options = { .read_data = true, .problem = print_problem };
	struct th_check_result found = { 0 };

	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(th_fs_check(scene.fs, &options, &found), 0);
	ck_assert_uint_eq(found.problems, 0);
	ck_assert_uint_eq(found.leaked_blocks, 0);
}

static void write_file(const char *path, const char *text)
{
	if (th_scene_make(&scene, path, S_IFREG | 0644) == 0)
		th_scene_write(&scene, path, text);
}

/* Rolls back like the tool, while the filesystem is not open. */
static void roll_back(const char *snapshot, const char *keep)
{
	struct th_store_options options = { .runs = th_extent_runs };
	struct th_store *store;
	struct th_disk *disk;

	ck_assert_int_eq(th_fs_close(scene.fs), 0);
	ck_assert_int_eq(th_disk_open(scene.image, 0, &disk), 0);
	ck_assert_int_eq(th_store_open(disk, &options, &store), 0);
	ck_assert_int_eq(th_fs_rollback(store, snapshot, keep), 0);
	ck_assert_int_eq(th_store_close(store), 0);
	ck_assert_int_eq(th_disk_open(scene.image, 0, &disk), 0);
	ck_assert_int_eq(th_fs_open(disk, &scene.options, &scene.fs), 0);
}

START_TEST(branches_have_separate_files)
{
	write_file("/shared", "as it was");
	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), 0);
	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), -EEXIST);
	write_file("/here", "on main");
	switch_to("work");
	ck_assert_int_eq(th_scene_unlink(&scene, "/here"), -ENOENT);
	th_scene_expect(&scene, "/shared", "as it was");
	th_scene_write(&scene, "/shared", "changed  ");
	write_file("/there", "on work");
	verify();
	switch_to("main");
	th_scene_expect(&scene, "/shared", "as it was");
	th_scene_expect(&scene, "/here", "on main");
	verify();
	ck_assert_int_eq(th_fs_branch_delete(scene.fs, "work", false), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "work" TH_FS_BRANCH_ORIGIN), 0);
	verify();
}
END_TEST

/* A new file has an id that no other branch and no snapshot has, even after a rollback. */
START_TEST(ids_are_never_used_twice)
{
	uint64_t here, there, late;

	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), 0);
	write_file("/here", "1");
	here = th_scene_id(&scene, "/here");
	switch_to("work");
	write_file("/there", "2");
	there = th_scene_id(&scene, "/there");
	ck_assert_uint_gt(there, here);
	roll_back("work" TH_FS_BRANCH_ORIGIN, NULL);
	write_file("/late", "3");
	late = th_scene_id(&scene, "/late");
	ck_assert_uint_gt(late, there);
	switch_to("main");
	write_file("/later", "4");
	ck_assert_uint_gt(th_scene_id(&scene, "/later"), late);
	verify();
}
END_TEST

/* Log replay brings back ids that no checkpoint has recorded. */
START_TEST(used_ids_survive_a_crash)
{
	uint64_t here;

	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), 0);
	for (unsigned i = 0; i < 1100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "/file%u", i);
		ck_assert_int_eq(th_scene_make(&scene, name, S_IFREG | 0644), 0);
	}
	here = th_scene_id(&scene, "/file1099");
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_scene_remember(&scene);
	scene.options.branch = "work";
	th_scene_crash(&scene);
	scene.options.branch = NULL;
	write_file("/there", "2");
	ck_assert_uint_gt(th_scene_id(&scene, "/there"), here);
	verify();
}
END_TEST

START_TEST(rollback_keeps_the_present_as_a_snapshot)
{
	write_file("/f", "old");
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", NULL), 0);
	th_scene_write(&scene, "/f", "new");
	write_file("/g", "more");
	roll_back("s", "before");
	th_scene_expect(&scene, "/f", "old");
	th_scene_expect(&scene, "/.snapshots/before/f", "new");
	th_scene_expect(&scene, "/.snapshots/before/g", "more");
	verify();
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "s"), -EBUSY);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "before"), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "s"), 0);
	verify();
}
END_TEST

static void expect_change(struct th_fs_diff *diff, const char *path, enum th_fs_change_kind kind)
{
	struct th_fs_change change;

	ck_assert_int_eq(th_fs_diff_next(diff, &change), 0);
	ck_assert_str_eq(change.path, path);
	ck_assert_int_eq(change.kind, kind);
	th_fs_change_release(&change);
}

START_TEST(diff_compares_branches)
{
	struct th_fs_change change;
	struct th_fs_diff *diff;

	write_file("/both", "1");
	ck_assert_int_eq(th_fs_branch_create(scene.fs, "work", NULL, NULL), 0);
	write_file("/here", "2");
	switch_to("work");
	th_scene_write(&scene, "/both", "3");
	write_file("/there", "4");
	ck_assert_int_eq(th_fs_diff_open(scene.fs, &(struct th_fs_diff_options){ .from = "none", .to = "work" }, &diff),
			 -ENOENT);
	ck_assert_int_eq(th_fs_diff_open(scene.fs, &(struct th_fs_diff_options){ .from = "main", .to = "work" }, &diff),
			 0);
	expect_change(diff, "/", TH_CHANGE_MODIFIED);
	expect_change(diff, "/both", TH_CHANGE_MODIFIED);
	expect_change(diff, "/here", TH_CHANGE_REMOVED);
	expect_change(diff, "/there", TH_CHANGE_ADDED);
	ck_assert_int_eq(th_fs_diff_next(diff, &change), 1);
	th_fs_diff_close(diff);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("branch");
	TCase *tcase = tcase_create("branch");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, branches_have_separate_files);
	tcase_add_test(tcase, ids_are_never_used_twice);
	tcase_add_test(tcase, used_ids_survive_a_crash);
	tcase_add_test(tcase, rollback_keeps_the_present_as_a_snapshot);
	tcase_add_test(tcase, diff_compares_branches);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
