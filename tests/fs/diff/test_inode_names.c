/* SPDX-License-Identifier: Apache-2.0 */
/* All names of an inode, from its value and its link keys. */
#include "fs/diff/inode_names.h"

#include <check.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_inode_names names;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/file", S_IFREG | 0644), 0);
}

static void teardown(void)
{
	th_inode_names_release(&names);
	th_scene_close(&scene);
}

/* Reads the names of the inode with that id in the live tree. */
static void read_names(uint64_t id)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;

	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_int_eq(th_inode_decode(value.data, value.size, value.refs, &attr), 0);
	ck_assert_int_eq(th_inode_names_read(scene.fs->live, id, &attr, value.refs, &names), 0);
	th_value_release(&value);
}

static void expect(size_t nth, uint64_t parent, const char *name)
{
	ck_assert_uint_lt(nth, names.count);
	ck_assert_uint_eq(names.list[nth].parent, parent);
	ck_assert_str_eq(names.list[nth].name, name);
}

START_TEST(a_file_without_links_has_its_primary_name)
{
	read_names(th_scene_id(&scene, "/file"));
	ck_assert_uint_eq(names.count, 1);
	expect(0, TH_ROOT_ID, "file");
}
END_TEST

START_TEST(links_are_sorted_by_directory_and_name)
{
	uint64_t directory = th_scene_id(&scene, "/d");

	ck_assert_int_eq(th_scene_link(&scene, "/file", "/d/b"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/file", "/d/a"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/file", "/another"), 0);
	read_names(th_scene_id(&scene, "/file"));
	ck_assert_uint_eq(names.count, 4);
	expect(0, TH_ROOT_ID, "another");
	expect(1, TH_ROOT_ID, "file");
	expect(2, directory, "a");
	expect(3, directory, "b");
	for (size_t i = 1; i < names.count; i++)
		ck_assert_int_lt(th_inode_name_compare(&names.list[i - 1], &names.list[i]), 0);
}
END_TEST

START_TEST(a_file_keeps_the_names_that_are_not_unlinked)
{
	ck_assert_int_eq(th_scene_link(&scene, "/file", "/d/a"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	read_names(th_scene_id(&scene, "/d/a"));
	ck_assert_uint_eq(names.count, 1);
	expect(0, th_scene_id(&scene, "/d"), "a");
}
END_TEST

START_TEST(the_root_has_an_empty_name)
{
	read_names(TH_ROOT_ID);
	ck_assert_uint_eq(names.count, 1);
	expect(0, 0, "");
}
END_TEST

START_TEST(an_orphan_has_no_name)
{
	struct th_inode *inode = th_scene_get(&scene, "/file");

	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	read_names(inode->id);
	ck_assert_uint_eq(names.count, 0);
	th_inode_put(inode);
}
END_TEST

START_TEST(many_links_are_all_read)
{
	char path[32];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/d/link%03u", i);
		ck_assert_int_eq(th_scene_link(&scene, "/file", path), 0);
	}
	read_names(th_scene_id(&scene, "/file"));
	ck_assert_uint_eq(names.count, 101);
	expect(100, th_scene_id(&scene, "/d"), "link099");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode_names");
	TCase *tc = tcase_create("inode_names");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_file_without_links_has_its_primary_name);
	tcase_add_test(tc, links_are_sorted_by_directory_and_name);
	tcase_add_test(tc, a_file_keeps_the_names_that_are_not_unlinked);
	tcase_add_test(tc, the_root_has_an_empty_name);
	tcase_add_test(tc, an_orphan_has_no_name);
	tcase_add_test(tc, many_links_are_all_read);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
