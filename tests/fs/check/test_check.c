/* SPDX-License-Identifier: Apache-2.0 */
/* The checker finds nothing in a filesystem that is whole, and each kind of damage that is done to its keys. */
#include "fs/check/check.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "journal/disk/disk.h"
#include "tests/support/suite.h"

static struct th_fs *fs;
static struct th_disk *image; /* the filesystem's */
static uint64_t directory, file; /* /d, with /d/f in it; a link to that is /l */
static char said[4096];

static uint64_t make(struct th_inode *dir, const char *name, uint32_t mode, struct th_inode **ret)
{
	struct th_namei_new what = { .mode = mode };

	ck_assert_int_eq(th_namei_create(dir, (struct th_slice){ name, strlen(name) }, &what, ret), 0);
	return (*ret)->id;
}

static void open_fs(void)
{
	static uint8_t bytes[20000];
	struct th_format_options format = { 0 };
	struct th_fs_options options = { 0 };
	struct th_inode *d, *f;

	ck_assert_int_eq(th_disk_memory_new((64u << 20) / TH_BLOCK_SIZE, &image), 0);
	ck_assert_int_eq(th_fs_format(image, &format, 0, 0), 0);
	ck_assert_int_eq(th_fs_open(image, &options, &fs), 0);
	directory = make(fs->root, "d", S_IFDIR | 0755, &d);
	file = make(d, "f", S_IFREG | 0644, &f);
	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(th_file_write(f, bytes, sizeof(bytes), 0, 0), sizeof(bytes));
	ck_assert_int_eq(th_namei_link(f, fs->root, (struct th_slice){ "l", 1 }), 0);
	th_inode_put(f);
	th_inode_put(d);
	ck_assert_int_eq(th_fs_sync(fs), 0);
	ck_assert_int_eq(th_store_checkpoint(fs->store), 0);
}

static void close_fs(void)
{
	th_fs_close(fs);
}

static void note(void *arg, const char *line)
{
	size_t used = strlen(said);

	(void)arg;
	snprintf(said + used, sizeof(said) - used, "%s\n", line);
}

/* Problems found; what was said about them is in `said`. */
static uint64_t problems(void)
{
	struct th_fs_check_options options = { .read_data = true, .problem = note };
	struct th_check_result result;

	said[0] = 0;
	ck_assert_int_eq(th_store_checkpoint(fs->store), 0);
	ck_assert_int_eq(th_fs_check(fs, &options, &result), 0);
	return result.problems;
}

static void expect(const char *words)
{
	uint64_t found = problems();

	ck_assert_msg(found > 0 && strstr(said, words), "%llu problems, none '%s':\n%s", (unsigned long long)found,
		      words, said);
}

static void put(struct th_fs_key key, const void *value, size_t size)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ value, size }), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

static void drop(struct th_fs_key key)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_txn_begin(fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(&key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

/* Changes a field of an inode's value. */
static void spoil(uint64_t id, void (*change)(struct th_inode_disk *disk))
{
	struct th_fs_key key = th_fs_key_inode(id);
	uint8_t copy[TH_INODE_VALUE_MAX];
	struct th_inode_disk disk;
	struct th_value value;
	size_t size;

	ck_assert_int_eq(th_get(fs->live, th_fs_key_slice(&key), &value), 0);
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

START_TEST(whole)
{
	ck_assert_msg(problems() == 0, "%s", said);
}
END_TEST

START_TEST(entries_of_a_directory)
{
	spoil(directory, grow);
	expect("has 1 entries, expected 2");
}
END_TEST

START_TEST(subdirectories)
{
	spoil(directory, more_subdirs);
	expect("has 0 subdirectories, expected 7");
}
END_TEST

START_TEST(blocks_of_a_file)
{
	spoil(file, more_blocks);
	expect("blocks, expected");
}
END_TEST

START_TEST(value_of_an_inode)
{
	spoil(file, no_mode);
	expect("malformed value");
}
END_TEST

START_TEST(name_of_an_inode)
{
	spoil(file, other_parent);
	expect("has no entry for its name 'f'");
}
END_TEST

START_TEST(inode_that_is_gone)
{
	drop(th_fs_key_inode(file));
	expect("is missing or malformed");
	ck_assert_ptr_nonnull(strstr(said, "entry 'f'"));
}
END_TEST

START_TEST(link_that_is_gone)
{
	drop(th_fs_key_link(file, TH_ROOT_ID, "l", 1));
	expect("has 1 names, expected 2");
	ck_assert_ptr_nonnull(strstr(said, "entry 'l'"));
}
END_TEST

START_TEST(link_too_many)
{
	put(th_fs_key_link(file, TH_ROOT_ID, "m", 1), "", 0);
	expect("has no entry for its name 'm'");
}
END_TEST

START_TEST(orphan_that_is_none)
{
	put(th_fs_key_orphan(12345), "", 0);
	expect("orphan 12345");
}
END_TEST

START_TEST(extent_that_is_none)
{
	put(th_fs_key_extent(file, 1000), "nonsense", 8);
	expect("extent at block 1000");
}
END_TEST

START_TEST(list_that_is_none)
{
	put(th_fs_key_xattr(file, "system.posix_acl_access", 23), "nonsense", 8);
	expect("its system.posix_acl_access is not an access control list");
}
END_TEST

START_TEST(ids_given_out_again)
{
	struct th_le64 next = th_le64(2);

	put(th_fs_key_next_id(), &next, sizeof(next));
	expect("may be allocated again");
}
END_TEST

START_TEST(key_that_is_none)
{
	struct th_fs_key key = { .size = 9, .bytes = { 0, 0, 0, 0, 0, 0, 0, 9, 99 } };

	put(key, "", 0);
	expect("does not belong to a filesystem");
}
END_TEST

/* Writes over the first block of the file's data on the disk. */
static void damage_data(void)
{
	struct th_fs_key key = th_fs_key_extent(file, 0);
	struct th_extent_disk extent;
	struct th_value value;
	void *garbage = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_int_eq(th_get(fs->live, th_fs_key_slice(&key), &value), 0);
	memcpy(&extent, value.data, sizeof(extent));
	th_value_release(&value);
	memset(garbage, 'y', TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_write(image, th_get_le64(extent.addr), 1, garbage), 0);
	free(garbage);
}

START_TEST(data_of_a_file)
{
	damage_data();
	expect("live tree: inode");
}
END_TEST

START_TEST(data_of_a_snapshot)
{
	struct th_inode *f;

	ck_assert_int_eq(th_fs_snapshot_create(fs, "monday", NULL), 0);
	damage_data();
	ck_assert_int_eq(th_inode_get(fs, NULL, file, &f), 0);
	ck_assert_int_eq(th_file_write(f, said, 4096, 0, 0), 4096);
	th_inode_put(f);
	ck_assert_int_eq(th_fs_sync(fs), 0);
	expect("monday: inode");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tc = tcase_create("check");

	tcase_add_checked_fixture(tc, open_fs, close_fs);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, whole);
	tcase_add_test(tc, entries_of_a_directory);
	tcase_add_test(tc, subdirectories);
	tcase_add_test(tc, blocks_of_a_file);
	tcase_add_test(tc, value_of_an_inode);
	tcase_add_test(tc, name_of_an_inode);
	tcase_add_test(tc, inode_that_is_gone);
	tcase_add_test(tc, link_that_is_gone);
	tcase_add_test(tc, link_too_many);
	tcase_add_test(tc, orphan_that_is_none);
	tcase_add_test(tc, extent_that_is_none);
	tcase_add_test(tc, list_that_is_none);
	tcase_add_test(tc, ids_given_out_again);
	tcase_add_test(tc, key_that_is_none);
	tcase_add_test(tc, data_of_a_file);
	tcase_add_test(tc, data_of_a_snapshot);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
