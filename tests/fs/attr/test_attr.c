/* SPDX-License-Identifier: Apache-2.0 */
/* Owner, mode, times, size and flags. */
#include "fs/attr/attr.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>

#include "tests/fs/scene.h"
#include "tests/support/suite.h"

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

static void reopen(void)
{
	th_inode_put(inode);
	th_scene_reopen(&scene);
	inode = th_scene_get(&scene, "/f");
}

START_TEST(set_attributes_survive_reopening)
{
	struct th_attr attr = {
		.mode = 04711,
		.uid = 4000000000,
		.gid = 7,
		.atime = { -1, 999999999 },
		.mtime = { INT64_C(1) << 40, 1 },
	};

	ck_assert_int_eq(
		th_attr_set(inode, TH_ATTR_MODE | TH_ATTR_UID | TH_ATTR_GID | TH_ATTR_ATIME | TH_ATTR_MTIME, &attr), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(inode->attr.mode, S_IFREG | 04711);
		ck_assert_uint_eq(inode->attr.uid, 4000000000);
		ck_assert_uint_eq(inode->attr.gid, 7);
		ck_assert_int_eq(inode->attr.atime.seconds, -1);
		ck_assert_uint_eq(inode->attr.atime.nanoseconds, 999999999);
		ck_assert_int_eq(inode->attr.mtime.seconds, INT64_C(1) << 40);
		reopen();
	}
}
END_TEST

START_TEST(new_owner_clears_set_id_bits)
{
	struct th_attr attr = { .mode = 06755, .uid = 5 };

	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MODE, &attr), 0);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_UID, &attr), 0);
	ck_assert_uint_eq(inode->attr.mode, S_IFREG | 0755);
	/* Without execution by the group, set-gid means mandatory locking. */
	attr.mode = 06644;
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MODE, &attr), 0);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_UID, &attr), 0);
	ck_assert_uint_eq(inode->attr.mode, S_IFREG | 02644);
	struct th_attr dir = th_scene_attr(&scene, "/");
	struct th_inode *root = th_scene_get(&scene, "/");

	dir.mode |= S_ISGID;
	ck_assert_int_eq(th_attr_set(root, TH_ATTR_MODE, &dir), 0);
	ck_assert_int_eq(th_attr_set(root, TH_ATTR_UID, &attr), 0);
	ck_assert_uint_eq(root->attr.mode, S_IFDIR | 02755);
	th_inode_put(root);
}
END_TEST

/* As chown(2) with -1 for owner and group. */
START_TEST(empty_set_updates_ctime)
{
	struct th_attr attr = { .mtime = { 1, 2 }, .ctime = { 3, 4 } };

	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_MTIME | TH_ATTR_CTIME, &attr), 0);
	ck_assert_int_eq(th_attr_set(inode, 0, &attr), 0);
	ck_assert_int_eq(inode->attr.mtime.seconds, 1);
	ck_assert_int_gt(inode->attr.ctime.seconds, 3);
}
END_TEST

START_TEST(only_files_have_a_settable_size)
{
	struct th_attr attr = { .size = 12345 };
	struct th_inode *root = th_scene_get(&scene, "/");

	ck_assert_int_eq(th_attr_set(root, TH_ATTR_SIZE, &attr), -EISDIR);
	th_inode_put(root);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &attr), 0);
	reopen();
	ck_assert_uint_eq(inode->attr.size, 12345);
}
END_TEST

START_TEST(flags_restrict_open_and_set)
{
	ck_assert_int_eq(th_attr_set_flags(inode, FS_APPEND_FL, false), -EPERM);
	ck_assert_int_eq(th_attr_set_flags(inode, FS_APPEND_FL, true), 0);
	ck_assert_int_eq(th_attr_check_open(inode, O_RDONLY), 0);
	ck_assert_int_eq(th_attr_check_open(inode, O_WRONLY), -EPERM);
	ck_assert_int_eq(th_attr_check_open(inode, O_WRONLY | O_APPEND), 0);
	ck_assert_int_eq(th_attr_check_open(inode, O_WRONLY | O_APPEND | O_TRUNC), -EPERM);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_SIZE, &(struct th_attr){ .size = 0 }), -EPERM);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_ATIME_NOW | TH_ATTR_MTIME_NOW, NULL), 0);
	ck_assert_int_eq(th_attr_set_flags(inode, FS_IMMUTABLE_FL | FS_NODUMP_FL, true), 0);
	ck_assert_int_eq(th_attr_check_open(inode, O_WRONLY | O_APPEND), -EPERM);
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_ATIME_NOW, NULL), -EPERM);
	reopen();
	ck_assert_uint_eq(inode->attr.flags, FS_IMMUTABLE_FL | FS_NODUMP_FL);
}
END_TEST

static uint32_t flags_of(const char *path)
{
	struct th_inode *found = th_scene_get(&scene, path);
	uint32_t flags = found->attr.flags;

	th_inode_put(found);
	return flags;
}

START_TEST(advisory_flags_are_inherited)
{
	const uint32_t asked = FS_NODUMP_FL | FS_SYNC_FL | FS_DIRSYNC_FL;
	struct th_inode *root = th_scene_get(&scene, "/");

	ck_assert_int_eq(th_attr_set_flags(root, asked, true), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/file", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/dir", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/fifo", S_IFIFO | 0644), 0);
	ck_assert_int_eq(th_attr_set_flags(root, FS_APPEND_FL, true), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/free", S_IFREG | 0644), 0);
	th_inode_put(root);
	reopen();
	ck_assert_uint_eq(flags_of("/file"), FS_NODUMP_FL | FS_SYNC_FL);
	ck_assert_uint_eq(flags_of("/dir"), asked);
	ck_assert_uint_eq(flags_of("/fifo"), FS_NODUMP_FL);
	ck_assert_uint_eq(flags_of("/free"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attr");
	TCase *tcase = tcase_create("attributes");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, set_attributes_survive_reopening);
	tcase_add_test(tcase, new_owner_clears_set_id_bits);
	tcase_add_test(tcase, empty_set_updates_ctime);
	tcase_add_test(tcase, only_files_have_a_settable_size);
	tcase_add_test(tcase, flags_restrict_open_and_set);
	tcase_add_test(tcase, advisory_flags_are_inherited);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
