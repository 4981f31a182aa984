/* SPDX-License-Identifier: Apache-2.0 */
/* Truncating, punching holes and allocating.  test_file.c compares them with a model. */
#include "fs/data/fallocate.h"

#include <check.h>
#include <errno.h>
#include <linux/falloc.h>

#include "fs/attr/attr.h"
#include "fs/data/file_pages.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"
#include "tree/state/state.h"

#define BLOCK TH_BLOCK_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static struct th_file_scene scene;
static struct th_inode *file;

/* A file of four stored blocks of 'a'. */
static void setup(void)
{
	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	th_file_scene_write(file, 0, 'a', 4 * BLOCK);
	th_file_scene_writeback(file);
}

static void teardown(void)
{
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static int allocate(int mode, uint64_t off, uint64_t len)
{
	return th_file_fallocate(file, mode, off, len);
}

START_TEST(invalid_requests_are_refused)
{
	ck_assert_int_eq(allocate(FALLOC_FL_PUNCH_HOLE, 0, BLOCK), -EOPNOTSUPP);
	ck_assert_int_eq(allocate(FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK), -EOPNOTSUPP);
	ck_assert_int_eq(allocate(0, 0, 0), -EINVAL);
	ck_assert_int_eq(allocate(0, INT64_MAX, 1), -EFBIG);
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = UINT64_C(1) << 63 }), -EFBIG);
	th_file_scene_expect(file, 0, 'a', 4 * BLOCK);
}
END_TEST

START_TEST(a_punched_hole_frees_its_whole_blocks)
{
	ck_assert_int_eq(allocate(PUNCH, BLOCK / 2, 2 * BLOCK), 0);
	ck_assert_uint_eq(file->attr.blocks, 3);
	ck_assert_uint_eq(file->attr.size, 4 * BLOCK);
	th_file_scene_expect(file, 0, 'a', BLOCK / 2);
	th_file_scene_expect(file, BLOCK / 2, 0, 2 * BLOCK);
	th_file_scene_expect(file, 2 * BLOCK + BLOCK / 2, 'a', BLOCK + BLOCK / 2);
	ck_assert_int_eq(allocate(PUNCH, 0, 100 * BLOCK), 0);
	ck_assert_uint_eq(file->attr.blocks, 0);
	ck_assert_uint_eq(file->attr.size, 4 * BLOCK);
	th_file_scene_expect(file, 0, 0, 4 * BLOCK);
}
END_TEST

/* Makes zeros of the middle of six dirty pages, after which the file has that many blocks. */
static void expect_zeroed_pages(int mode, uint64_t blocks)
{
	th_file_scene_write(file, 0, 'b', 6 * BLOCK);
	ck_assert_int_eq(allocate(mode, BLOCK, 4 * BLOCK), 0);
	th_file_scene_expect(file, 0, 'b', BLOCK);
	th_file_scene_expect(file, BLOCK, 0, 4 * BLOCK);
	th_file_scene_expect(file, 5 * BLOCK, 'b', BLOCK);
	ck_assert_uint_eq(file->attr.blocks, blocks);
}

START_TEST(dirty_pages_are_punched_too)
{
	expect_zeroed_pages(PUNCH, 2);
}
END_TEST

/* Inline data that no longer fits inline must not become a page again when it is punched. */
START_TEST(inline_data_is_punched)
{
	th_file_scene_truncate(file, 0);
	th_file_scene_write(file, 0, 'i', 6);
	th_file_scene_writeback(file);
	th_file_scene_write(file, BLOCK, 'b', 5);
	ck_assert_int_eq(allocate(PUNCH, 0, BLOCK), 0);
	th_file_scene_expect(file, 0, 0, BLOCK);
	th_file_scene_expect(file, BLOCK, 'b', 5);
	ck_assert_uint_eq(file->attr.blocks, 1);
}
END_TEST

START_TEST(a_zeroed_range_keeps_its_place_on_disk)
{
	struct th_extent extents[4];
	uint64_t addr;

	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 1);
	addr = extents[0].run.addr;
	ck_assert_int_eq(allocate(FALLOC_FL_ZERO_RANGE, BLOCK, 2 * BLOCK), 0);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 3);
	ck_assert_int_eq(extents[1].kind, TH_EXTENT_UNWRITTEN);
	ck_assert_uint_eq(extents[1].blocks, 2);
	ck_assert_uint_eq(extents[1].run.addr, addr + 1);
	th_file_scene_expect(file, 0, 'a', BLOCK);
	th_file_scene_expect(file, BLOCK, 0, 2 * BLOCK);
	th_file_scene_expect(file, 3 * BLOCK, 'a', BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 4);
}
END_TEST

START_TEST(dirty_pages_are_zeroed_too)
{
	expect_zeroed_pages(FALLOC_FL_ZERO_RANGE, 6);
}
END_TEST

/* As on ext4 and xfs. */
START_TEST(truncating_frees_blocks_past_the_end_unless_the_file_grows)
{
	ck_assert_int_eq(allocate(FALLOC_FL_KEEP_SIZE, 0, 10 * BLOCK), 0);
	ck_assert_uint_eq(file->attr.blocks, 10);
	th_file_scene_truncate(file, 4 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 4);
	ck_assert_int_eq(allocate(FALLOC_FL_KEEP_SIZE, 0, 10 * BLOCK), 0);
	th_file_scene_write(file, 0, 'a', BLOCK);
	th_file_scene_truncate(file, 4 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 4);
	ck_assert_int_eq(allocate(FALLOC_FL_KEEP_SIZE, 0, 10 * BLOCK), 0);
	th_file_scene_truncate(file, 5 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 10);
	th_file_scene_expect(file, 0, 'a', 4 * BLOCK);
}
END_TEST

START_TEST(a_zeroed_range_keeps_its_blocks)
{
	ck_assert_int_eq(allocate(FALLOC_FL_ZERO_RANGE, 10, 2 * BLOCK), 0);
	th_file_scene_expect(file, 0, 'a', 10);
	th_file_scene_expect(file, 10, 0, 2 * BLOCK);
	th_file_scene_expect(file, 2 * BLOCK + 10, 'a', 2 * BLOCK - 10);
	ck_assert_uint_eq(file->attr.blocks, 4);
}
END_TEST

START_TEST(allocated_blocks_read_as_zeros)
{
	struct th_extent extents[8];

	ck_assert_int_eq(allocate(0, 4 * BLOCK, 10 * BLOCK), 0);
	ck_assert_uint_eq(file->attr.size, 14 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 14);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 8), 2);
	ck_assert_int_eq(extents[1].kind, TH_EXTENT_UNWRITTEN);
	th_file_scene_expect(file, 4 * BLOCK, 0, 10 * BLOCK);
	th_file_scene_write(file, 6 * BLOCK + 5, 'b', 10);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(file->attr.blocks, 14);
	th_file_scene_expect(file, 4 * BLOCK, 0, 2 * BLOCK + 5);
	th_file_scene_expect(file, 6 * BLOCK + 5, 'b', 10);
	th_file_scene_expect(file, 6 * BLOCK + 15, 0, 8 * BLOCK - 15);
}
END_TEST

START_TEST(the_size_is_kept_if_asked_for)
{
	ck_assert_int_eq(allocate(FALLOC_FL_KEEP_SIZE, 0, 10 * BLOCK), 0);
	ck_assert_uint_eq(file->attr.size, 4 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 10);
	th_file_scene_expect(file, 0, 'a', 4 * BLOCK);
}
END_TEST

/* It must not fill the disk before it fails. */
START_TEST(a_request_larger_than_the_disk_allocates_nothing)
{
	uint64_t free_blocks = th_file_scene_info(&scene).blocks_free;

	ck_assert_int_eq(allocate(0, 0, UINT64_C(1) << 40), -ENOSPC);
	ck_assert_uint_eq(file->attr.size, 4 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 4);
	ck_assert_uint_ge(th_file_scene_info(&scene).blocks_free + 16, free_blocks);
}
END_TEST

START_TEST(truncation_frees_blocks_and_zeros_the_rest)
{
	th_file_scene_truncate(file, BLOCK + 100);
	ck_assert_uint_eq(file->attr.blocks, 2);
	th_file_scene_truncate(file, 3 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 2);
	th_file_scene_expect(file, 0, 'a', BLOCK + 100);
	th_file_scene_expect(file, BLOCK + 100, 0, 2 * BLOCK - 100);
}
END_TEST

/* The store refuses the transaction after the partial blocks have been zeroed in memory. */
START_TEST(a_change_that_the_store_refuses_keeps_data_and_dirty_pages)
{
	th_file_scene_write(file, 2 * BLOCK, 'b', BLOCK);
	atomic_store(&scene.fs->store->failed, ENOSPC);
	ck_assert_int_eq(allocate(PUNCH, 100, 3 * BLOCK), -EROFS);
	ck_assert_int_eq(allocate(FALLOC_FL_ZERO_RANGE, 100, 3 * BLOCK), -EROFS);
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_SIZE, &(struct th_attr){ .size = 100 }), -EROFS);
	atomic_store(&scene.fs->store->failed, 0);
	ck_assert_uint_eq(file->attr.size, 4 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 4);
	for (unsigned stored = 0; stored < 2; stored++) {
		th_file_scene_expect(file, 0, 'a', 2 * BLOCK);
		th_file_scene_expect(file, 2 * BLOCK, 'b', BLOCK);
		th_file_scene_expect(file, 3 * BLOCK, 'a', BLOCK);
		th_file_scene_writeback(file);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fallocate");
	TCase *cases = tcase_create("fallocate");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, invalid_requests_are_refused);
	tcase_add_test(cases, a_punched_hole_frees_its_whole_blocks);
	tcase_add_test(cases, dirty_pages_are_punched_too);
	tcase_add_test(cases, inline_data_is_punched);
	tcase_add_test(cases, a_zeroed_range_keeps_its_place_on_disk);
	tcase_add_test(cases, a_change_that_the_store_refuses_keeps_data_and_dirty_pages);
	tcase_add_test(cases, dirty_pages_are_zeroed_too);
	tcase_add_test(cases, truncating_frees_blocks_past_the_end_unless_the_file_grows);
	tcase_add_test(cases, a_zeroed_range_keeps_its_blocks);
	tcase_add_test(cases, allocated_blocks_read_as_zeros);
	tcase_add_test(cases, the_size_is_kept_if_asked_for);
	tcase_add_test(cases, a_request_larger_than_the_disk_allocates_nothing);
	tcase_add_test(cases, truncation_frees_blocks_and_zeros_the_rest);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
