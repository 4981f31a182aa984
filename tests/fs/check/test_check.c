/* SPDX-License-Identifier: Apache-2.0 */
/* The checker finds no problem in an intact filesystem, and each kind of damage to its keys (K1 to K6). */
#include "fs/check/check.h"

#include <check.h>
#include <dirent.h>
#include <string.h>

#include "fs/dir/dir.h"
#include "fs/inode/inode.h"
#include "tests/fs/check/check_scene.h"
#include "tests/support/suite.h"

static void put(struct th_fs_key key, const void *value, size_t size)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(check_fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ value, size }), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

static void drop(struct th_fs_key key)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(check_fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(&key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

/* Changes an inode's value. */
static void damage(uint64_t id, void (*change)(struct th_inode_disk *disk))
{
	struct th_fs_key key = th_fs_key_inode(id);
	uint8_t copy[TH_INODE_VALUE_MAX];
	struct th_inode_disk disk;
	struct th_value value;
	size_t size;

	ck_assert_int_eq(th_get(check_fs->live, th_fs_key_slice(&key), &value), 0);
	size = value.size;
	memcpy(copy, value.data, size);
	th_value_release(&value);
	memcpy(&disk, copy, sizeof(disk));
	change(&disk);
	memcpy(copy, &disk, sizeof(disk));
	put(key, copy, size);
}

static void grow(struct th_inode_disk *disk)
{
	disk->size = th_le64(th_get_le64(disk->size) + 1);
}

static void more_blocks(struct th_inode_disk *disk)
{
	disk->blocks = th_le64(th_get_le64(disk->blocks) + 1);
}

static void no_mode(struct th_inode_disk *disk)
{
	disk->mode = th_le32(0);
}

static void other_parent(struct th_inode_disk *disk)
{
	disk->parent = th_le64(TH_ROOT_ID);
}

static void more_subdirs(struct th_inode_disk *disk)
{
	disk->subdirs = th_le32(7);
}

START_TEST(an_intact_filesystem_has_no_problem)
{
	ck_assert_msg(check_problems() == 0, "%s", check_report);
}
END_TEST

START_TEST(a_wrong_count_of_entries_is_found)
{
	damage(check_directory, grow);
	check_expect("has 1 entries, expected 2");
}
END_TEST

START_TEST(a_wrong_count_of_subdirectories_is_found)
{
	damage(check_directory, more_subdirs);
	check_expect("has 0 subdirectories, expected 7");
}
END_TEST

START_TEST(a_wrong_count_of_blocks_is_found)
{
	damage(check_file, more_blocks);
	check_expect("blocks, expected");
}
END_TEST

START_TEST(a_malformed_inode_is_found)
{
	damage(check_file, no_mode);
	check_expect("malformed value");
}
END_TEST

START_TEST(a_primary_name_without_an_entry_is_found)
{
	damage(check_file, other_parent);
	check_expect("has no entry for its name 'f'");
}
END_TEST

START_TEST(keys_and_entries_of_a_missing_inode_are_found)
{
	drop(th_fs_key_inode(check_file));
	check_expect("is missing or malformed");
	ck_assert_ptr_nonnull(strstr(check_report, "entry 'f'"));
}
END_TEST

START_TEST(a_missing_link_is_found)
{
	drop(th_fs_key_link(check_file, TH_ROOT_ID, "l", 1));
	check_expect("has 1 names, expected 2");
	ck_assert_ptr_nonnull(strstr(check_report, "entry 'l'"));
}
END_TEST

START_TEST(a_link_without_an_entry_is_found)
{
	put(th_fs_key_link(check_file, TH_ROOT_ID, "m", 1), "", 0);
	check_expect("has no entry for its name 'm'");
}
END_TEST

START_TEST(an_orphan_without_an_inode_is_found)
{
	put(th_fs_key_orphan(12345), "", 0);
	check_expect("orphan 12345");
}
END_TEST

/* Adds an entry for the file to the directory. */
static void put_entry(const char *name, uint64_t hash, uint32_t twin)
{
	struct th_dirent_disk disk = { th_le64(check_file), th_le32(twin), DT_REG };

	put(th_fs_key_entry(check_directory, hash, name, strlen(name)), &disk, sizeof(disk));
}

START_TEST(wrong_times_of_access_are_found)
{
	struct th_time_disk time = th_atime_encode((struct th_time){ 5, 6 });

	put(th_fs_key_atime(check_file), &time, sizeof(time));
	ck_assert_msg(check_problems() == 0, "%s", check_report);
	put(th_fs_key_atime(99999), &time, sizeof(time));
	check_expect("inode 99999: it does not exist, but has a time of access");
	drop(th_fs_key_atime(99999));
	time.nanoseconds = th_le32(1000000000);
	put(th_fs_key_atime(check_file), &time, sizeof(time));
	check_expect("its time of access is malformed");
	put(th_fs_key_atime(check_file), &time, 5);
	check_expect("its time of access is malformed");
}
END_TEST

START_TEST(an_entry_with_another_hash_is_found)
{
	uint64_t hash = th_dir_hash(check_fs, (struct th_slice){ "m", 1 });

	put_entry("m", hash ^ 1, 0);
	check_expect("entry 'm': has the hash");
}
END_TEST

START_TEST(two_entries_in_one_position_are_found)
{
	uint64_t hash = th_dir_hash(check_fs, (struct th_slice){ "m", 1 });

	put_entry("m", hash, 77);
	put_entry("n", hash, 78);
	put_entry("o", hash, 77);
	check_expect("entry 'o': has the twin number 77");
	ck_assert_ptr_null(strstr(check_report, "number 78"));
}
END_TEST

START_TEST(a_malformed_extent_is_found)
{
	put(th_fs_key_extent(check_file, 1000), "nonsense", 8);
	check_expect("extent at block 1000");
}
END_TEST

START_TEST(a_malformed_access_control_list_is_found)
{
	put(th_fs_key_xattr(check_file, "system.posix_acl_access", 23), "nonsense", 8);
	check_expect("its system.posix_acl_access is not an access control list");
}
END_TEST

START_TEST(ids_that_may_be_allocated_again_are_found)
{
	struct th_le64 next = th_le64(2);

	put(th_fs_key_next_id(), &next, sizeof(next));
	check_expect("may be allocated again");
}
END_TEST

START_TEST(a_malformed_key_is_found)
{
	struct th_fs_key key = { .size = 9, .bytes = { 0, 0, 0, 0, 0, 0, 0, 9, 99 } };

	put(key, "", 0);
	check_expect("does not belong to a filesystem");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tc = tcase_create("check");

	tcase_add_checked_fixture(tc, check_scene_open, check_scene_close);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, an_intact_filesystem_has_no_problem);
	tcase_add_test(tc, a_wrong_count_of_entries_is_found);
	tcase_add_test(tc, a_wrong_count_of_subdirectories_is_found);
	tcase_add_test(tc, a_wrong_count_of_blocks_is_found);
	tcase_add_test(tc, a_malformed_inode_is_found);
	tcase_add_test(tc, a_primary_name_without_an_entry_is_found);
	tcase_add_test(tc, keys_and_entries_of_a_missing_inode_are_found);
	tcase_add_test(tc, a_missing_link_is_found);
	tcase_add_test(tc, a_link_without_an_entry_is_found);
	tcase_add_test(tc, an_orphan_without_an_inode_is_found);
	tcase_add_test(tc, wrong_times_of_access_are_found);
	tcase_add_test(tc, an_entry_with_another_hash_is_found);
	tcase_add_test(tc, two_entries_in_one_position_are_found);
	tcase_add_test(tc, a_malformed_extent_is_found);
	tcase_add_test(tc, a_malformed_access_control_list_is_found);
	tcase_add_test(tc, ids_that_may_be_allocated_again_are_found);
	tcase_add_test(tc, a_malformed_key_is_found);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
