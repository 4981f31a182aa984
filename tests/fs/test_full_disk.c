/* SPDX-License-Identifier: Apache-2.0 */
/* File data on a disk without free space: operations that free or replace blocks work, others change nothing. */
#include <check.h>
#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>

#include "fs/attr/atime.h"
#include "fs/attr/attr.h"
#include "fs/data/copy.h"
#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/dir/namei.h"
#include "fs/inode/entered_snapshot.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE
#define BLOCKS 1024u /* of the file: several times the emergency reserve */
#define SIZE (BLOCKS * BLOCK)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static struct th_file_scene scene;
static struct th_inode *file;
static uint32_t taken; /* blocks of the emergency reserve that exhaust() has taken */

/* A file of BLOCKS stored blocks of 'a'. */
static void setup(void)
{
	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	th_file_scene_write(file, 0, 'a', SIZE);
	th_file_scene_writeback(file);
	taken = 0;
}

static void take_snapshot(const char *name)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, name, NULL), 0);
}

/* Writes another file until there is no space. */
static void fill(void)
{
	struct th_inode *other = th_file_scene_make(&scene, "fill");
	static const uint8_t bytes[16 * BLOCK];
	uint64_t at = 0;
	ssize_t done;

	while ((done = th_file_write(other, bytes, sizeof(bytes), at, 0)) > 0)
		at += done;
	ck_assert_int_eq(done, -ENOSPC);
	th_file_scene_writeback(other);
	th_inode_put(other);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
}

/* Takes the part of the emergency reserve that changes of files may use. */
static void exhaust(void)
{
	while (!th_chunk_reserve_now(scene.fs->store, 1, true))
		taken++;
}

static void replenish(void)
{
	th_chunk_unreserve(scene.fs->store, taken);
	taken = 0;
}

/* After any operation a sync, a checkpoint and a snapshot work, and the image is whole. */
static void teardown(void)
{
	ck_assert_int_eq(th_file_sync(file), 0);
	take_snapshot("after");
	replenish();
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static int truncate_to(uint64_t size)
{
	return th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = size });
}

/* --- operations that free blocks --- */

static void shrink(void)
{
	ck_assert_int_eq(truncate_to(3 * BLOCK + 100), 0);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK + 100);
	ck_assert_uint_eq(file->attr.blocks, 4);
	ck_assert_int_eq(truncate_to(4 * BLOCK), 0);
	th_file_scene_expect(file, 3 * BLOCK + 100, 0, BLOCK - 100);
}

START_TEST(truncating_within_a_block_works)
{
	fill();
	shrink();
}
END_TEST

START_TEST(truncating_a_file_of_a_snapshot_works)
{
	take_snapshot("s");
	fill();
	shrink();
}
END_TEST

START_TEST(punching_parts_of_blocks_works)
{
	take_snapshot("s");
	fill();
	ck_assert_int_eq(th_file_fallocate(file, PUNCH, 100, 10 * BLOCK), 0);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, 0, 'a', 100);
	th_file_scene_expect(file, 100, 0, 10 * BLOCK);
	th_file_scene_expect(file, 10 * BLOCK + 100, 'a', BLOCK);
	ck_assert_uint_eq(file->attr.blocks, BLOCKS - 9);
}
END_TEST

START_TEST(zeroing_a_range_with_blocks_works)
{
	take_snapshot("s");
	fill();
	ck_assert_int_eq(th_file_fallocate(file, FALLOC_FL_ZERO_RANGE, 100, SIZE - 200), 0);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, 0, 'a', 100);
	th_file_scene_expect(file, 100, 0, SIZE - 200);
	th_file_scene_expect(file, SIZE - 100, 'a', 100);
	ck_assert_uint_eq(file->attr.blocks, BLOCKS);
}
END_TEST

/* --- operations that replace blocks --- */

START_TEST(a_file_is_overwritten_in_place)
{
	fill();
	for (uint64_t at = 0; at < SIZE; at += 64 * BLOCK)
		th_file_scene_write(file, at, 'b', 64 * BLOCK);
	th_file_scene_expect(file, 0, 'b', SIZE);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, 0, 'b', SIZE);
}
END_TEST

/* One write larger than the reserve is not cut short. */
START_TEST(a_large_write_overwrites_in_place)
{
	fill();
	th_file_scene_write(file, 0, 'b', SIZE);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, 0, 'b', SIZE);
}
END_TEST

START_TEST(allocated_blocks_can_be_written)
{
	ck_assert_int_eq(th_file_fallocate(file, FALLOC_FL_KEEP_SIZE, SIZE, SIZE), 0);
	fill();
	for (uint64_t at = SIZE; at < 2 * SIZE; at += 64 * BLOCK)
		th_file_scene_write(file, at, 'b', 64 * BLOCK);
	ck_assert_int_eq(th_file_sync(file), 0);
	th_file_scene_expect(file, SIZE, 'b', SIZE);
	ck_assert_uint_eq(file->attr.blocks, 2 * BLOCKS);
}
END_TEST

START_TEST(a_file_is_restored_from_a_snapshot)
{
	struct th_entered_snapshot *entered;
	struct th_snapshot snapshot;
	struct th_inode *old;
	uint64_t done;

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &snapshot), 0);
	fill();
	ck_assert_int_eq(truncate_to(0), 0);
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, snapshot.id, &entered), 0);
	ck_assert_int_eq(th_inode_get(scene.fs, entered, file->id, &old), 0);
	ck_assert_int_eq(th_file_copy_range(old, 0, file, 0, SIZE, &done), 0);
	ck_assert_uint_eq(done, SIZE);
	th_inode_put(old);
	th_entered_snapshot_put(scene.fs, entered);
	th_file_scene_expect(file, 0, 'a', SIZE);
}
END_TEST

/* Its data is in the tree, and needs no block. */
START_TEST(a_small_file_is_replaced)
{
	struct th_inode *small = th_file_scene_make(&scene, "small");

	th_file_scene_write(small, 0, 's', 1000);
	th_file_scene_writeback(small);
	fill();
	th_file_scene_truncate(small, 0);
	th_file_scene_write(small, 0, 't', 900);
	ck_assert_int_eq(th_file_sync(small), 0);
	th_file_scene_expect(small, 0, 't', 900);
	ck_assert_uint_eq(small->attr.blocks, 0);
	th_inode_put(small);
}
END_TEST

/* Small files on a full disk leave the part of the emergency reserve that truncating needs. */
START_TEST(small_files_do_not_use_up_the_reserve)
{
	struct th_inode *small[200];
	char name[8];
	unsigned written = 0;

	for (unsigned i = 0; i < 200; i++) {
		sprintf(name, "%u", i);
		small[i] = th_file_scene_make(&scene, name);
	}
	take_snapshot("s");
	fill();
	for (unsigned i = 0; i < 200; i++) {
		uint8_t bytes[TH_FILE_INLINE_MAX] = { 1 };

		written += th_file_write(small[i], bytes, sizeof(bytes), 0, 0) == sizeof(bytes);
		th_inode_put(small[i]);
	}
	ck_assert_uint_gt(written, 0);
	shrink();
}
END_TEST

#define SMALL_MAX 20000

/* Makes small files until there is no space.  Returns their number. */
static unsigned fill_with_files(void)
{
	struct th_namei_new what = { .mode = S_IFREG | 0644 };
	uint8_t bytes[700] = { 1 };
	unsigned count = 0;
	ssize_t written = sizeof(bytes);
	char name[16];

	for (; count < SMALL_MAX && written > 0; count++) {
		struct th_inode *inode;
		int size = sprintf(name, "%u", count);

		if (th_namei_create(scene.fs->root, (struct th_slice){ name, (size_t)size }, &what, &inode))
			break;
		written = th_file_write(inode, bytes, sizeof(bytes), 0, 0);
		th_inode_put(inode);
	}
	ck_assert_uint_lt(count, SMALL_MAX);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	return count;
}

/* Times of access are not stored at the cost of the reserve, which the deletion needs. */
START_TEST(files_that_were_read_can_be_deleted)
{
	unsigned count = fill_with_files();
	char name[16];

	scene.fs->options.atime = TH_ATIME_STRICT;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < count; i++) {
			sprintf(name, "%u", i);
			struct th_inode *inode = th_file_scene_find(&scene, name);

			th_atime_touch(inode);
			th_inode_put(inode);
		}
		ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	}
	take_snapshot("read");
	for (unsigned i = 0; i < count; i++) {
		sprintf(name, "%u", i);
		th_file_scene_unlink(&scene, name);
	}
}
END_TEST

/* --- operations that fail --- */

static struct th_attr before;

static void remember(void)
{
	ck_assert_int_eq(th_file_sync(file), 0);
	before = file->attr;
}

static void expect_unchanged(void)
{
	ck_assert_int_eq(th_file_sync(file), 0);
	ck_assert_uint_eq(file->attr.size, before.size);
	ck_assert_uint_eq(file->attr.blocks, before.blocks);
	ck_assert_int_eq(memcmp(&file->attr.mtime, &before.mtime, sizeof(before.mtime)), 0);
	ck_assert_int_eq(memcmp(&file->attr.ctime, &before.ctime, sizeof(before.ctime)), 0);
	th_file_scene_expect(file, 0, 'a', SIZE);
}

START_TEST(a_write_to_blocks_of_a_snapshot_fails)
{
	static const uint8_t bytes[BLOCK];

	take_snapshot("s");
	fill();
	remember();
	ck_assert_int_eq(th_file_write(file, bytes, BLOCK, BLOCK, 0), -ENOSPC);
	ck_assert_int_eq(th_file_write(file, bytes, 100, 10, 0), -ENOSPC);
	expect_unchanged();
}
END_TEST

START_TEST(a_truncate_that_fails_changes_nothing)
{
	take_snapshot("s");
	fill();
	exhaust();
	remember();
	ck_assert_int_eq(truncate_to(BLOCK + 100), -ENOSPC);
	expect_unchanged();
	ck_assert_int_eq(truncate_to(BLOCK), 0); /* needs no block */
}
END_TEST

START_TEST(a_punch_that_fails_changes_nothing)
{
	take_snapshot("s");
	fill();
	exhaust();
	remember();
	ck_assert_int_eq(th_file_fallocate(file, PUNCH, 100, 10 * BLOCK), -ENOSPC);
	ck_assert_int_eq(th_file_fallocate(file, PUNCH, 100, 100), -ENOSPC);
	expect_unchanged();
}
END_TEST

START_TEST(an_allocation_that_fails_changes_nothing)
{
	fill();
	remember();
	ck_assert_int_eq(th_file_fallocate(file, 0, SIZE, 100 * BLOCK), -ENOSPC);
	ck_assert_int_eq(th_file_fallocate(file, FALLOC_FL_ZERO_RANGE, 100, SIZE), -ENOSPC);
	expect_unchanged();
}
END_TEST

/* There is space for a part. */
START_TEST(an_allocation_is_made_whole_or_not_at_all)
{
	uint64_t free_blocks = th_file_scene_info(&scene).blocks_free;

	remember();
	ck_assert_int_eq(th_file_fallocate(file, 0, SIZE, free_blocks * BLOCK), -ENOSPC);
	expect_unchanged();
	ck_assert_int_eq(th_file_fallocate(file, 0, SIZE, free_blocks / 2 * BLOCK), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("full_disk");
	TCase *cases = tcase_create("full_disk");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, truncating_within_a_block_works);
	tcase_add_test(cases, truncating_a_file_of_a_snapshot_works);
	tcase_add_test(cases, punching_parts_of_blocks_works);
	tcase_add_test(cases, zeroing_a_range_with_blocks_works);
	tcase_add_test(cases, a_file_is_overwritten_in_place);
	tcase_add_test(cases, a_large_write_overwrites_in_place);
	tcase_add_test(cases, allocated_blocks_can_be_written);
	tcase_add_test(cases, a_file_is_restored_from_a_snapshot);
	tcase_add_test(cases, a_small_file_is_replaced);
	tcase_add_test(cases, small_files_do_not_use_up_the_reserve);
	tcase_add_test(cases, files_that_were_read_can_be_deleted);
	tcase_add_test(cases, a_write_to_blocks_of_a_snapshot_fails);
	tcase_add_test(cases, a_truncate_that_fails_changes_nothing);
	tcase_add_test(cases, a_punch_that_fails_changes_nothing);
	tcase_add_test(cases, an_allocation_that_fails_changes_nothing);
	tcase_add_test(cases, an_allocation_is_made_whole_or_not_at_all);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
