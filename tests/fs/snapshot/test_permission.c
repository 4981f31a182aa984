/* SPDX-License-Identifier: Apache-2.0 */
/* Which callers may change and list snapshots, in each mode of the mount. */
#include "fs/snapshot/permission.h"

#include <check.h>

#include "fs/attr/attr.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

#define ALICE 1000 /* owns the root of the mount */
#define BOB 1001

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/home", S_IFDIR | 0755), 0);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

/* Mounts with these options, with a root that Alice owns. */
static void mount(struct th_fs_options options)
{
	scene.options = options;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_attr_set(scene.fs->root, TH_ATTR_UID, &(struct th_attr){ .uid = ALICE }), 0);
}

/* Checks whether administrators and the owner of the root may change snapshots.  Another user never may. */
static void expect(bool admin, bool owner)
{
	const struct th_caller administrator = { .uid = 0, .admin = true }, weak_root = { .uid = 0 };
	const struct th_caller alice = { .uid = ALICE }, bob = { .uid = BOB };

	ck_assert_int_eq(th_may_change_snapshots(scene.fs, &administrator), admin);
	ck_assert_int_eq(th_may_change_branches(scene.fs, &administrator), admin);
	ck_assert_int_eq(th_may_change_snapshots(scene.fs, &alice), owner);
	ck_assert(!th_may_change_branches(scene.fs, &alice));
	ck_assert(!th_may_change_snapshots(scene.fs, &bob) && !th_may_change_branches(scene.fs, &bob));
	ck_assert(!th_may_change_snapshots(scene.fs, &weak_root) && !th_may_change_branches(scene.fs, &weak_root));
}

START_TEST(by_default_administrators_may)
{
	mount((struct th_fs_options){ 0 });
	expect(true, false);
	mount((struct th_fs_options){ .subdir = "/" });
	expect(true, false);
}
END_TEST

START_TEST(owner_may_where_that_is_delegated)
{
	mount((struct th_fs_options){ .snapshots = TH_SNAPSHOTS_OWNER });
	expect(true, true);
	mount((struct th_fs_options){ .snapshots = TH_SNAPSHOTS_NONE });
	expect(false, false);
}
END_TEST

START_TEST(through_a_part_of_the_tree_only_if_asked)
{
	mount((struct th_fs_options){ .subdir = "home" });
	expect(false, false);
	mount((struct th_fs_options){ .subdir = "home", .snapshots = TH_SNAPSHOTS_ADMIN });
	expect(true, false);
	mount((struct th_fs_options){ .subdir = "home", .snapshots = TH_SNAPSHOTS_OWNER });
	expect(true, true);
}
END_TEST

static void expect_lists(bool reads_root, bool not_reading, bool admin)
{
	ck_assert_int_eq(th_may_list_snapshots(scene.fs, &(struct th_caller){ .uid = BOB, .reads_root = true }),
			 reads_root);
	ck_assert_int_eq(th_may_list_snapshots(scene.fs, &(struct th_caller){ .uid = BOB }), not_reading);
	ck_assert_int_eq(th_may_list_snapshots(scene.fs, &(struct th_caller){ .admin = true }), admin);
}

/* By root.  And by the others through a part of the tree only if the mount asks for snapshots in it. */
START_TEST(readers_of_the_root_may_list)
{
	mount((struct th_fs_options){ 0 });
	expect_lists(true, false, true);
	mount((struct th_fs_options){ .snapshots = TH_SNAPSHOTS_NONE });
	expect_lists(true, false, true);
	mount((struct th_fs_options){ .subdir = "home" });
	expect_lists(false, false, true);
	mount((struct th_fs_options){ .subdir = "home", .snapshots = TH_SNAPSHOTS_ADMIN });
	expect_lists(true, false, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("permission");
	TCase *tcase = tcase_create("changes of snapshots");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, by_default_administrators_may);
	tcase_add_test(tcase, owner_may_where_that_is_delegated);
	tcase_add_test(tcase, readers_of_the_root_may_list);
	tcase_add_test(tcase, through_a_part_of_the_tree_only_if_asked);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
