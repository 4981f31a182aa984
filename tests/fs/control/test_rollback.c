/* SPDX-License-Identifier: Apache-2.0 */
/* Rollback of an open filesystem: inodes in memory, files without names, sessions, and the steps in their order. */
#include "fs/control/rollback.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/atime.h"
#include "fs/diff/diff_session.h"
#include "fs/inode/dirty_list.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_diff_sessions *sessions;

static void make_file(const char *path, const char *text)
{
	ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	th_scene_write(&scene, path, text);
}

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_diff_sessions_new(&sessions), 0);
	make_file("/file", "old");
	ck_assert_int_eq(th_scene_make(&scene, "/dir", S_IFDIR | 0755), 0);
}

static void teardown(void)
{
	th_diff_sessions_free(sessions);
	th_scene_close(&scene);
}

static void snapshot(const char *name)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, name, NULL), 0);
}

static int roll_back(const char *to, const char *keep)
{
	return th_rollback_open(scene.fs, sessions, to, keep);
}

START_TEST(open_inodes_follow_the_tree)
{
	struct th_inode *file, *new, *found;

	snapshot("s");
	file = th_scene_get(&scene, "/file");
	th_scene_write(&scene, "/file", "much longer than before");
	make_file("/new", "new");
	new = th_scene_get(&scene, "/new");
	ck_assert_int_eq(roll_back("s", "kept"), 0);
	th_scene_expect(&scene, "/file", "old");
	ck_assert_ptr_eq(th_inode_find(scene.fs, th_inode_nodeid(file)), file);
	ck_assert_uint_eq(file->attr.size, 3);
	ck_assert_ptr_null(th_inode_find(scene.fs, th_inode_nodeid(new)));
	ck_assert_int_eq(th_scene_find(&scene, "/new", &found), -ENOENT);
	th_scene_write(&scene, "/file", "changed after it");
	make_file("/other", "new too"); /* its id is that of no other file */
	ck_assert_uint_gt(th_scene_id(&scene, "/other"), new->id);
	ck_assert_int_eq(roll_back("kept", NULL), 0);
	th_scene_expect(&scene, "/file", "much longer than before");
	found = th_inode_find(scene.fs, th_inode_nodeid(new)); /* it exists again */
	ck_assert_ptr_eq(found, new);
	th_inode_put(found);
	th_inode_put(new);
	th_inode_put(file);
	th_inode_put(file);
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/new", "new");
}
END_TEST

/* A file without a name that is in use when the snapshot is taken is an orphan in it. */
START_TEST(orphans_of_the_snapshot_are_deleted_with_their_last_use)
{
	struct th_inode *used = th_scene_get(&scene, "/file"), *found;
	uint64_t id = used->id;

	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	snapshot("s");
	th_inode_put(used);
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &found), -ENOENT);
	ck_assert_int_eq(roll_back("s", NULL), 0);
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &found), -ENOENT); /* nothing uses it: deleted */

	make_file("/file", "again");
	used = th_scene_get(&scene, "/file");
	id = used->id;
	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	snapshot("t");
	ck_assert_int_eq(roll_back("t", NULL), 0);
	found = th_inode_find(scene.fs, th_inode_nodeid(used));
	ck_assert_ptr_eq(found, used);
	th_inode_put(found);
	th_inode_put(used);
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &found), -ENOENT);
}
END_TEST

/* A file that was deleted after the snapshot has its name again, while it is in use. */
START_TEST(deleted_file_in_use_returns)
{
	struct th_inode *used = th_scene_get(&scene, "/file"), *found;

	snapshot("s");
	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	ck_assert_int_eq(roll_back("s", NULL), 0);
	found = th_scene_get(&scene, "/file");
	ck_assert_ptr_eq(found, used);
	ck_assert_uint_eq(found->attr.nlink, 1);
	th_inode_put(found);
	th_inode_put(used);
	th_scene_expect(&scene, "/file", "old");
}
END_TEST

START_TEST(times_of_access_are_those_of_the_snapshot)
{
	struct th_time before = th_scene_attr(&scene, "/file").atime, after;
	struct th_inode *file;

	scene.options.atime = TH_ATIME_STRICT;
	th_scene_reopen(&scene);
	snapshot("s");
	file = th_scene_get(&scene, "/file");
	th_atime_touch(file);
	th_inode_put(file);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	after = th_scene_attr(&scene, "/file").atime; /* loads it again */
	ck_assert(after.seconds != before.seconds || after.nanoseconds != before.nanoseconds);
	ck_assert_int_eq(roll_back("s", NULL), 0);
	after = th_scene_attr(&scene, "/file").atime;
	ck_assert(after.seconds == before.seconds && after.nanoseconds == before.nanoseconds);
}
END_TEST

START_TEST(refused_rollback_changes_nothing)
{
	struct th_view *view;

	snapshot("s");
	th_scene_write(&scene, "/file", "new");
	ck_assert_int_eq(roll_back("none", NULL), -ENOENT);
	ck_assert_int_eq(roll_back("s", "s"), -EEXIST);
	ck_assert_int_eq(roll_back("s", "a/b"), -EINVAL);
	ck_assert_int_eq(th_view_freeze(scene.fs->store, &view), 0);
	ck_assert_int_eq(roll_back("s", "kept"), -EBUSY);
	th_view_close(view);
	ck_assert_int_eq(th_snapshot_find(scene.fs->store, "kept", &(struct th_snapshot){ 0 }), -ENOENT);
	th_scene_expect(&scene, "/file", "new");
	ck_assert_int_eq(th_scene_make(&scene, "/dir/young", S_IFDIR | 0755), 0);
	scene.options.subdir = "dir/young";
	th_scene_reopen(&scene);
	ck_assert_int_eq(roll_back("s", NULL), -ENOTDIR);
	scene.options = (struct th_fs_options){ .read_only = true };
	th_scene_reopen(&scene);
	ck_assert_int_eq(roll_back("s", NULL), -EROFS);
}
END_TEST

START_TEST(sessions_end)
{
	struct th_diff_session_piece piece;
	struct th_fs_diff *diff;
	uint8_t buffer[100];
	uint64_t id;

	snapshot("s");
	ck_assert_int_eq(th_fs_diff_open(scene.fs, &(struct th_fs_diff_options){ .from = "s" }, &diff), 0);
	ck_assert_int_eq(th_diff_session_begin(sessions, diff, &id), 0);
	ck_assert_int_eq(roll_back("s", NULL), 0);
	ck_assert_int_eq(th_diff_session_read(sessions, id, buffer, sizeof(buffer), &piece), -ESTALE);
}
END_TEST

/* --- the front --- */

static char steps[100];
static char names[200];

static void note(void *arg, const char *step)
{
	ck_assert_ptr_eq(arg, steps);
	strcat(steps, step);
}

static void write_back(void *arg)
{
	note(arg, "write_back ");
}

static void stop(void *arg)
{
	note(arg, "stop ");
}

static void resume(void *arg)
{
	note(arg, "resume ");
	th_scene_expect(&scene, "/file", "old"); /* the tree was replaced in between */
}

static void drop(void *arg, const struct th_name_list *list)
{
	struct th_slice name;
	uint64_t parent;
	size_t at = 0;

	note(arg, "drop ");
	while (th_name_list_next(list, &at, &parent, &name)) {
		ck_assert_uint_eq(parent, TH_ROOT_ID);
		strncat(names, name.data, name.size);
		strcat(names, " ");
	}
}

/* Only of directories that the kernel knows.  Unchanged names are not listed. */
START_TEST(front_is_told_the_names_that_differ)
{
	const struct th_front front = { write_back, stop, resume, drop };

	make_file("/gone", "x");
	snapshot("s");
	th_scene_write(&scene, "/file", "new");
	ck_assert_int_eq(th_scene_unlink(&scene, "/gone"), 0);
	make_file("/dir/unknown", "x");
	scene.fs->front = &front;
	scene.fs->front_arg = steps;
	ck_assert_int_eq(roll_back("s", NULL), 0);
	scene.fs->front = NULL;
	ck_assert_str_eq(steps, "write_back stop resume drop ");
	ck_assert_str_eq(names, "gone ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rollback");
	TCase *tcase = tcase_create("open filesystem");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, open_inodes_follow_the_tree);
	tcase_add_test(tcase, orphans_of_the_snapshot_are_deleted_with_their_last_use);
	tcase_add_test(tcase, deleted_file_in_use_returns);
	tcase_add_test(tcase, times_of_access_are_those_of_the_snapshot);
	tcase_add_test(tcase, refused_rollback_changes_nothing);
	tcase_add_test(tcase, sessions_end);
	tcase_add_test(tcase, front_is_told_the_names_that_differ);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
