/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that limit a diff: how they are read, and what they name in both views. */
#include "fs/diff/diff_scope.h"

#include <check.h>
#include <errno.h>
#include <sys/stat.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_diff_scope scope;
static struct th_view *before;
static uint64_t dir, sub, file;

/* Before: /dir/sub/file and /other; now: /moved/sub/file and a directory /other. */
static void setup(void)
{
	struct th_snapshot snapshot;

	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/dir", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/dir/sub", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/dir/sub/file", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/other", S_IFREG | 0644), 0);
	dir = th_scene_id(&scene, "/dir");
	sub = th_scene_id(&scene, "/dir/sub");
	file = th_scene_id(&scene, "/dir/sub/file");
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "before", &snapshot), 0);
	ck_assert_int_eq(th_view_snapshot(scene.fs->store, snapshot.id, &before), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/dir", "/moved", 0), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/other"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/other", S_IFDIR | 0755), 0);
}

static void teardown(void)
{
	th_diff_scope_release(&scope);
	th_view_close(before);
	th_scene_close(&scene);
}

static int init(const char *path)
{
	return th_diff_scope_init(&scope, scene.fs, before, scene.fs->live, path);
}

/* Is a name of the live view in scope? */
static bool has(uint64_t id, uint64_t parent, const char *name)
{
	return th_diff_scope_has(&scope, &scope.to, id, &(struct th_inode_name){ parent, (char *)name }, false);
}

START_TEST(the_root_is_no_limit)
{
	static const char *const roots[] = { "", "/", "//", "/./" };

	ck_assert_int_eq(init(roots[_i]), 0);
	ck_assert(!scope.limited);
	ck_assert(has(file, sub, "file"));
}
END_TEST

START_TEST(a_directory_is_in_scope_by_its_identity)
{
	static const char *const paths[] = { "/dir/sub", "/moved/sub", "moved//sub/", "/./dir/./sub" };

	ck_assert_int_eq(init(paths[_i]), 0);
	ck_assert(has(sub, dir, "sub"));
	ck_assert(has(sub, 77, "another name"));
	ck_assert(!has(dir, TH_ROOT_ID, "moved"));
	ck_assert(th_diff_scope_passes(&scope, dir));
	ck_assert(!th_diff_scope_passes(&scope, sub));
	ck_assert_uint_eq(scope.directories[0] + scope.directories[1], sub);
}
END_TEST

START_TEST(a_file_is_in_scope_by_its_name)
{
	ck_assert_int_eq(init("/moved/sub/file"), 0);
	ck_assert(has(file, sub, "file"));
	ck_assert(has(file + 100, sub, "file"));
	ck_assert(!has(file, TH_ROOT_ID, "link to it"));
	ck_assert(!has(file, sub, "other"));
}
END_TEST

START_TEST(a_name_may_be_a_file_on_one_side_only)
{
	ck_assert_int_eq(init("/other"), 0);
	ck_assert_uint_eq(scope.directories[0], 0);
	ck_assert_uint_eq(scope.directories[1], th_scene_id(&scene, "/other"));
	ck_assert(has(999, TH_ROOT_ID, "other"));
}
END_TEST

START_TEST(paths_of_neither_side_are_refused)
{
	static const char *const paths[] = { "/nosuch", "/dir/sub/file/below", "/dir/..", "/moved/nosuch/sub" };

	ck_assert_int_eq(init(paths[_i]), -ENXIO);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diff_scope");
	TCase *tc = tcase_create("diff_scope");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_root_is_no_limit, 0, 4);
	tcase_add_loop_test(tc, a_directory_is_in_scope_by_its_identity, 0, 4);
	tcase_add_test(tc, a_file_is_in_scope_by_its_name);
	tcase_add_test(tc, a_name_may_be_a_file_on_one_side_only);
	tcase_add_loop_test(tc, paths_of_neither_side_are_refused, 0, 4);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
