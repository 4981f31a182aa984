/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of snapshots in .snapshots, by callers who may and who may not. */
#include <check.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>

#include "fs/fuse/caller.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/fuse/fake_kernel.h"
#include "tests/support/suite.h"

#define STRANGER 1001

static struct th_scene scene;
static uint64_t snapdir;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	th_fake_kernel_open(&scene);
	snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots");
	ck_assert_uint_ne(snapdir, 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "old", NULL), 0);
}

static void teardown(void)
{
	th_fake_kernel_close();
	th_scene_close(&scene);
}

static int make(const char *name)
{
	struct {
		struct fuse_mkdir_in in;
		char name[32];
	} argument = { .in = { .mode = 0777 } };

	strcpy(argument.name, name);
	return th_fake_kernel_send(FUSE_MKDIR, snapdir, &argument, sizeof(argument.in) + strlen(name) + 1)->error;
}

static int remove_(const char *name)
{
	return th_fake_kernel_send(FUSE_RMDIR, snapdir, name, strlen(name) + 1)->error;
}

static int rename_(const char *from, const char *to)
{
	struct {
		struct fuse_rename_in in;
		char names[64];
	} argument = { .in = { .newdir = snapdir } };
	size_t size = strlen(from) + 1;

	memcpy(argument.names, from, size);
	memcpy(argument.names + size, to, strlen(to) + 1);
	return th_fake_kernel_send(FUSE_RENAME, snapdir, &argument, sizeof(argument.in) + size + strlen(to) + 1)->error;
}

static void expect(int err)
{
	ck_assert_int_eq(make("new"), err);
	ck_assert_int_eq(rename_("old", "older"), err);
	ck_assert_int_eq(remove_(err ? "old" : "older"), err);
}

START_TEST(mounting_user_changes_snapshots)
{
	expect(0);
}
END_TEST

START_TEST(others_do_not_change_snapshots)
{
	th_fake_kernel_caller(STRANGER, 0);
	expect(-EPERM);
	/* root, but the daemon does not see its thread */
	th_fake_kernel_caller(0, 0);
	expect(-EPERM);
	/* the owner of the root directory, without delegation */
	th_fake_kernel_caller(scene.fs->root->attr.uid, 0);
	expect(-EPERM);
}
END_TEST

START_TEST(owner_of_the_root_changes_snapshots_where_that_is_delegated)
{
	scene.fs->options.snapshots = TH_SNAPSHOTS_OWNER;
	scene.fs->root->attr.uid = STRANGER;
	th_fake_kernel_caller(STRANGER, 0);
	expect(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tc = tcase_create("snapshots");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, mounting_user_changes_snapshots);
	tcase_add_test(tc, others_do_not_change_snapshots);
	tcase_add_test(tc, owner_of_the_root_changes_snapshots_where_that_is_delegated);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
