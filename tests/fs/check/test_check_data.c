/* SPDX-License-Identifier: Apache-2.0 */
/* The checker reads the data of all views and reports wrong checksums, each block once. */
#include "fs/check/check_data.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file.h"
#include "fs/snapshot/branch.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/fs/check/check_scene.h"
#include "tests/support/suite.h"

/* Overwrites the first block of the file's data on the disk. */
static void damage_data(void)
{
	struct th_fs_key key = th_fs_key_extent(check_file, 0);
	struct th_extent_disk extent;
	struct th_value value;
	void *garbage = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_int_eq(th_get(check_fs->live, th_fs_key_slice(&key), &value), 0);
	memcpy(&extent, value.data, sizeof(extent));
	th_value_release(&value);
	memset(garbage, 'y', TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_write(check_image, th_get_le64(extent.addr), 1, garbage), 0);
	free(garbage);
}

/* Overwrites the first block of the file in the live tree. */
static void replace_first_block(void)
{
	struct th_inode *inode;
	uint8_t bytes[TH_BLOCK_SIZE] = { 'z' };

	ck_assert_int_eq(th_inode_get(check_fs, NULL, check_file, &inode), 0);
	ck_assert_int_eq(th_file_write(inode, bytes, sizeof(bytes), 0, 0), sizeof(bytes));
	th_inode_put(inode);
	ck_assert_int_eq(th_fs_sync(check_fs), 0);
}

START_TEST(intact_data_has_no_problem)
{
	ck_assert_int_eq(th_fs_snapshot_create(check_fs, "monday", NULL), 0);
	replace_first_block();
	ck_assert_msg(check_problems() == 0, "%s", check_report);
}
END_TEST

START_TEST(damage_in_the_live_tree_is_found)
{
	damage_data();
	check_expect("damaged data: 'd/f', 'l' (inode");
	check_expect("at offset 0, disk block");
	check_expect(", in the live tree: wrong checksum");
}
END_TEST

START_TEST(damage_that_only_a_snapshot_has_is_found)
{
	ck_assert_int_eq(th_fs_snapshot_create(check_fs, "monday", NULL), 0);
	damage_data();
	replace_first_block();
	check_expect(", in snapshot 'monday': wrong checksum");
}
END_TEST

START_TEST(damage_that_only_a_branch_has_is_found)
{
	ck_assert_int_eq(th_fs_branch_create(check_fs, "other", NULL, NULL), 0);
	damage_data();
	replace_first_block();
	check_expect(", in branch 'other', snapshot 'other-origin': wrong checksum");
}
END_TEST

/* The live tree, the branch and two snapshots share the block. */
START_TEST(a_shared_block_is_reported_once)
{
	ck_assert_int_eq(th_fs_snapshot_create(check_fs, "monday", NULL), 0);
	ck_assert_int_eq(th_fs_snapshot_create(check_fs, "tuesday", NULL), 0);
	ck_assert_int_eq(th_fs_branch_create(check_fs, "other", "monday", NULL), 0);
	damage_data();
	ck_assert_uint_eq(check_problems(), 1);
	check_expect(", in the live tree, branch 'other', snapshot 'monday', snapshot 'tuesday': wrong checksum");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check_data");
	TCase *tc = tcase_create("check_data");

	tcase_add_checked_fixture(tc, check_scene_open, check_scene_close);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, intact_data_has_no_problem);
	tcase_add_test(tc, damage_in_the_live_tree_is_found);
	tcase_add_test(tc, damage_that_only_a_snapshot_has_is_found);
	tcase_add_test(tc, damage_that_only_a_branch_has_is_found);
	tcase_add_test(tc, a_shared_block_is_reported_once);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
