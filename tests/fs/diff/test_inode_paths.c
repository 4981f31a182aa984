/* SPDX-License-Identifier: Apache-2.0 */
/* Paths by walking up: relative to a root, from the cache, and over broken directories. */
#include "fs/diff/inode_paths.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/dir/namei.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_inode_paths *paths;
static uint64_t a, b, c; /* /a, /a/b, /a/b/c */

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/a", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b/c", S_IFDIR | 0755), 0);
	a = th_scene_id(&scene, "/a");
	b = th_scene_id(&scene, "/a/b");
	c = th_scene_id(&scene, "/a/b/c");
}

static void teardown(void)
{
	th_inode_paths_free(paths);
	th_scene_close(&scene);
}

static void open_paths(uint64_t root)
{
	ck_assert_int_eq(th_inode_paths_new(scene.fs->live, root, &paths), 0);
}

static void expect(uint64_t directory, const char *expected)
{
	char *path;
	bool inside;

	ck_assert_int_eq(th_inode_paths_join(paths, directory, "name", &path, &inside), 0);
	ck_assert_str_eq(path, expected);
	free(path);
}

static int join_error(uint64_t directory)
{
	char *path;
	bool inside;

	return th_inode_paths_join(paths, directory, "name", &path, &inside);
}

START_TEST(paths_begin_at_the_root)
{
	open_paths(TH_ROOT_ID);
	expect(TH_ROOT_ID, "/name");
	expect(c, "/a/b/c/name");
	expect(a, "/a/name");
}
END_TEST

/* The first walk caches all directories on its way. */
START_TEST(cached_directories_give_the_same_paths)
{
	open_paths(TH_ROOT_ID);
	for (unsigned i = 0; i < 3; i++) {
		expect(c, "/a/b/c/name");
		expect(b, "/a/b/name");
	}
}
END_TEST

START_TEST(only_paths_below_the_root_are_found)
{
	open_paths(b);
	expect(b, "/name");
	expect(c, "/c/name");
	ck_assert_int_eq(join_error(a), 1);
	ck_assert_int_eq(join_error(TH_ROOT_ID), 1);
	ck_assert_int_eq(join_error(a), 1); /* now from the cache */
}
END_TEST

START_TEST(a_missing_directory_is_an_error)
{
	open_paths(TH_ROOT_ID);
	ck_assert_int_eq(join_error(99999), -EUCLEAN);
}
END_TEST

START_TEST(a_file_is_not_a_directory)
{
	ck_assert_int_eq(th_scene_make(&scene, "/file", S_IFREG | 0644), 0);
	open_paths(TH_ROOT_ID);
	ck_assert_int_eq(join_error(th_scene_id(&scene, "/file")), -EUCLEAN);
}
END_TEST

/* Changes the parent of a directory in the store only. */
static void set_parent(uint64_t id, uint64_t parent)
{
	struct th_fs_key key = th_fs_key_inode(id);
	uint8_t copy[TH_INODE_VALUE_MAX];
	struct th_inode_disk disk;
	struct th_value value;
	struct th_txn *txn;
	size_t size;

	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	size = value.size;
	memcpy(copy, value.data, size);
	th_value_release(&value);
	memcpy(&disk, copy, sizeof(disk));
	disk.parent = th_le64(parent);
	memcpy(copy, &disk, sizeof(disk));
	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ copy, size }), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

START_TEST(a_cycle_of_directories_is_an_error)
{
	open_paths(TH_ROOT_ID);
	set_parent(a, c);
	ck_assert_int_eq(join_error(b), -EUCLEAN);
	set_parent(a, TH_ROOT_ID);
	expect(b, "/a/b/name");
}
END_TEST

START_TEST(paths_up_to_the_limit_of_programs_are_complete)
{
	char path[PATH_MAX] = "/a/b/c", expected[PATH_MAX + 16];

	while (strlen(path) + strlen("/deep/name") < PATH_MAX) {
		strcat(path, "/deep");
		ck_assert_int_eq(th_scene_make(&scene, path, S_IFDIR | 0755), 0);
	}
	open_paths(TH_ROOT_ID);
	snprintf(expected, sizeof(expected), "%s/name", path);
	expect(th_scene_id(&scene, path), expected);
}
END_TEST

/* Makes a directory `depth` levels below /, each named "d", and returns the id of the lowest. */
static uint64_t make_deep(unsigned depth)
{
	struct th_namei_new what = { .mode = S_IFDIR | 0755 };
	struct th_inode *at = th_inode_ref(scene.fs->root), *next;
	uint64_t id;

	for (unsigned i = 0; i < depth; i++) {
		ck_assert_int_eq(th_namei_create(at, th_scene_slice("d"), &what, &next), 0);
		th_inode_put(at);
		at = next;
	}
	id = at->id;
	th_inode_put(at);
	return id;
}

/* The limit of a walk that takes each directory for new would be in the thousands of millions of steps. */
START_TEST(deep_trees_have_short_paths_at_a_cost_that_does_not_grow)
{
	uint64_t lowest = make_deep(70000);

	open_paths(TH_ROOT_ID);
	for (uint64_t id = lowest; id > lowest - 70000; id -= 7) { /* the lowest first: from an empty cache */
		char *path;
		bool inside;

		ck_assert_int_eq(th_inode_paths_join(paths, id, "name", &path, &inside), 0);
		ck_assert_uint_lt(strlen(path), PATH_MAX);
		if (id == lowest) {
			ck_assert_ptr_nonnull(strstr(path, "//...69491...//d/d"));
			ck_assert_str_eq(path + strlen(path) - 9, "/d/d/name");
		}
		free(path);
	}
}
END_TEST

START_TEST(the_scope_is_known_below_its_directories)
{
	static const uint64_t nothing;
	bool inside;
	char *path;

	open_paths(TH_ROOT_ID);
	th_inode_paths_set_scope(paths, (uint64_t[TH_INODE_PATHS_SCOPE]){ b, nothing });
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(th_inode_paths_join(paths, c, "name", &path, &inside), 0);
		ck_assert(inside);
		free(path);
		ck_assert_int_eq(th_inode_paths_join(paths, b, "name", &path, &inside), 0);
		ck_assert(inside);
		free(path);
		ck_assert_int_eq(th_inode_paths_join(paths, a, "name", &path, &inside), 0);
		ck_assert(!inside);
		free(path);
	}
}
END_TEST

START_TEST(directories_of_the_view_are_known)
{
	ck_assert_int_eq(th_scene_make(&scene, "/file", S_IFREG | 0644), 0);
	open_paths(TH_ROOT_ID);
	ck_assert_int_eq(th_inode_paths_has(paths, b), 1);
	ck_assert_int_eq(th_inode_paths_has(paths, TH_ROOT_ID), 1);
	ck_assert_int_eq(th_inode_paths_has(paths, 99999), 0);
	ck_assert_int_eq(th_inode_paths_has(paths, th_scene_id(&scene, "/file")), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode_paths");
	TCase *tc = tcase_create("inode_paths");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, paths_begin_at_the_root);
	tcase_add_test(tc, cached_directories_give_the_same_paths);
	tcase_add_test(tc, only_paths_below_the_root_are_found);
	tcase_add_test(tc, a_missing_directory_is_an_error);
	tcase_add_test(tc, a_file_is_not_a_directory);
	tcase_add_test(tc, a_cycle_of_directories_is_an_error);
	tcase_add_test(tc, paths_up_to_the_limit_of_programs_are_complete);
	tcase_add_test(tc, deep_trees_have_short_paths_at_a_cost_that_does_not_grow);
	tcase_add_test(tc, the_scope_is_known_below_its_directories);
	tcase_add_test(tc, directories_of_the_view_are_known);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
