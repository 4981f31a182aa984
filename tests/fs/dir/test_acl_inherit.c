/* SPDX-License-Identifier: Apache-2.0 */
/* The mode and the access control lists of a new inode. */
#include "fs/dir/acl_inherit.h"

#include <check.h>
#include <errno.h>

#include "fs/format/acl.h"
#include "tests/fs/acl_list.h"
#include "tests/support/suite.h"

#define NONE TH_ACL_LIST_NO_ID

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "f", "/l"), 0);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

START_TEST(new_inode_inherits_the_default_list)
{
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/before", S_IFREG | 0666, 022), 0);
	th_acl_list_expect_mode(&scene, "/d/before", S_IFREG | 0644);
	ck_assert_int_eq(th_acl_list_set(&scene, "/d", TH_ACL_DEFAULT, th_acl_list_full(7)), 0);
	th_acl_list_expect_mode(&scene, "/d", S_IFDIR | 0755);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/f", S_IFREG | 0666, 077), 0);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/d", S_IFDIR | 0777, 077), 0);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/d/p", S_IFIFO | 0600, 0), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "x", "/d/l"), 0);
	for (unsigned i = 0; i < 2; i++) {
		th_acl_list_expect_mode(&scene, "/d/f", S_IFREG | 0664);
		th_acl_list_expect(
			&scene, "/d/f", TH_ACL_ACCESS,
			TH_ACL_LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 6, NONE }, { 32, 4, NONE }));
		th_acl_list_expect_none(&scene, "/d/f", TH_ACL_DEFAULT);
		th_acl_list_expect_mode(&scene, "/d/d", S_IFDIR | 0774);
		th_acl_list_expect(&scene, "/d/d", TH_ACL_ACCESS, th_acl_list_full(7));
		th_acl_list_expect(&scene, "/d/d", TH_ACL_DEFAULT, th_acl_list_full(7));
		th_acl_list_expect_mode(&scene, "/d/d/p", S_IFIFO | 0600);
		th_acl_list_expect(
			&scene, "/d/d/p", TH_ACL_ACCESS,
			TH_ACL_LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 0, NONE }, { 32, 0, NONE }));
		th_acl_list_expect_mode(&scene, "/d/l", S_IFLNK | 0777);
		th_acl_list_expect_none(&scene, "/d/l", TH_ACL_ACCESS);
		th_acl_list_expect_none(&scene, "/d/before", TH_ACL_ACCESS);
		th_scene_reopen(&scene);
	}
}
END_TEST

START_TEST(minimal_default_list_sets_only_the_mode)
{
	ck_assert_int_eq(th_acl_list_set(&scene, "/d", TH_ACL_DEFAULT, th_acl_list_minimal()), 0);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/f", S_IFREG | 0666, 077), 0);
	th_acl_list_expect_mode(&scene, "/d/f", S_IFREG | 0640);
	th_acl_list_expect_none(&scene, "/d/f", TH_ACL_ACCESS);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/d", S_IFDIR | 0777, 077), 0);
	th_acl_list_expect(&scene, "/d/d", TH_ACL_DEFAULT, th_acl_list_minimal());
}
END_TEST

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

START_TEST(damaged_default_list_fails_create)
{
	ck_assert_int_eq(th_acl_list_set(&scene, "/d", TH_ACL_DEFAULT, th_acl_list_full(7)), 0);
	th_acl_list_damage(&scene, "/d", TH_ACL_DEFAULT);
	scene.fs->options.report = ignore;
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/f", S_IFREG | 0600, 0), -EUCLEAN);
	/* A new list replaces the damaged one. */
	ck_assert_int_eq(th_acl_list_set(&scene, "/d", TH_ACL_DEFAULT, th_acl_list_full(7)), 0);
	ck_assert_int_eq(th_acl_list_create(&scene, "/d/f", S_IFREG | 0600, 0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acl_inherit");
	TCase *tcase = tcase_create("inherit");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, new_inode_inherits_the_default_list);
	tcase_add_test(tcase, minimal_default_list_sets_only_the_mode);
	tcase_add_test(tcase, damaged_default_list_fails_create);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
