/* SPDX-License-Identifier: Apache-2.0 */
/* Copying inside one filesystem: which blocks are shared, and which ranges are refused.  test_file.c has a model. */
#include "fs/data/copy.h"

#include <check.h>
#include <errno.h>

#include "fs/data/file_pages.h"
#include "fs/inode/entered_snapshot.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE
#define SIZE ((256 + 1) * BLOCK + 900u)
#define BLOCKS (256u + 2)

static struct th_file_scene scene;
static struct th_inode *src, *dst;

/* src has SIZE bytes of 'a'; the first run is stored, the rest dirty.  dst is empty. */
static void setup(void)
{
	th_file_scene_open(&scene, (32u << 20) / BLOCK, 0);
	src = th_file_scene_make(&scene, "src");
	dst = th_file_scene_make(&scene, "dst");
	th_file_scene_write(src, 0, 'a', SIZE);
}

static void teardown(void)
{
	th_inode_put(src);
	th_inode_put(dst);
	th_file_scene_close(&scene);
}

static uint64_t copy(struct th_inode *from, uint64_t src_off, uint64_t dst_off, uint64_t len)
{
	uint64_t done;

	ck_assert_int_eq(th_file_copy_range(from, src_off, dst, dst_off, len, &done), 0);
	return done;
}

static uint64_t shared_blocks(void)
{
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	return th_file_scene_info(&scene).shared_blocks;
}

START_TEST(whole_blocks_are_shared)
{
	ck_assert_uint_eq(copy(src, 0, 0, UINT32_MAX), SIZE);
	ck_assert_uint_eq(th_file_pages_count(dst), 0);
	ck_assert_uint_eq(dst->attr.blocks, BLOCKS);
	ck_assert_uint_eq(shared_blocks(), BLOCKS);
	th_file_scene_expect(dst, 0, 'a', SIZE);
}
END_TEST

START_TEST(a_change_of_one_copy_leaves_the_other)
{
	copy(src, 0, 0, SIZE);
	th_file_scene_write(src, 100, 'b', BLOCK);
	th_file_scene_writeback(src);
	th_file_scene_expect(src, 100, 'b', BLOCK);
	th_file_scene_expect(dst, 0, 'a', SIZE);
}
END_TEST

START_TEST(aligned_offsets_share_the_whole_blocks_between_partial_ones)
{
	ck_assert_uint_eq(copy(src, 100, 10 * BLOCK + 100, SIZE), SIZE - 100);
	ck_assert_uint_ge(shared_blocks(), BLOCKS - 2);
	th_file_scene_expect(dst, 0, 0, 10 * BLOCK + 100);
	th_file_scene_expect(dst, 10 * BLOCK + 100, 'a', SIZE - 100);
}
END_TEST

START_TEST(unaligned_offsets_are_copied_without_sharing)
{
	ck_assert_uint_eq(copy(src, 0, 1, SIZE), SIZE);
	ck_assert_uint_eq(shared_blocks(), 0);
	th_file_scene_expect(dst, 1, 'a', SIZE);
}
END_TEST

START_TEST(a_short_dirty_range_is_copied_in_memory)
{
	th_file_scene_write(src, 0, 'a', 4 * BLOCK);
	ck_assert_uint_eq(copy(src, 0, 0, 4 * BLOCK), 4 * BLOCK);
	ck_assert_uint_eq(th_file_pages_count(dst), 4);
	th_file_scene_expect(dst, 0, 'a', 4 * BLOCK);
}
END_TEST

START_TEST(inline_data_is_copied)
{
	th_file_scene_truncate(src, 100);
	th_file_scene_writeback(src);
	ck_assert_uint_eq(copy(src, 0, 0, SIZE), 100);
	th_file_scene_expect(dst, 0, 'a', 100);
}
END_TEST

START_TEST(a_range_past_the_end_copies_nothing)
{
	ck_assert_uint_eq(copy(src, SIZE, 0, 100), 0);
	ck_assert_uint_eq(dst->attr.size, 0);
}
END_TEST

START_TEST(overlapping_ranges_are_refused)
{
	uint64_t done;

	ck_assert_int_eq(th_file_copy_range(src, 0, src, 100, 200, &done), -EINVAL);
	ck_assert_int_eq(th_file_copy_range(src, 0, dst, UINT64_C(1) << 63, 200, &done), -EFBIG);
	ck_assert_int_eq(th_file_copy_range(src, 0, src, 300 * BLOCK, 200, &done), 0);
	ck_assert_uint_eq(done, 200);
	th_file_scene_expect(src, 300 * BLOCK, 'a', 200);
}
END_TEST

START_TEST(a_file_of_a_snapshot_is_shared_but_not_written)
{
	struct th_entered_snapshot *entered;
	struct th_snapshot snapshot;
	struct th_inode *old;
	uint64_t done;

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "s", &snapshot), 0);
	th_file_scene_truncate(src, 0);
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, snapshot.id, &entered), 0);
	ck_assert_int_eq(th_inode_get(scene.fs, entered, src->id, &old), 0);
	ck_assert_uint_eq(copy(old, 0, 0, SIZE), SIZE);
	ck_assert_uint_eq(th_file_pages_count(dst), 0);
	th_file_scene_expect(dst, 0, 'a', SIZE);
	ck_assert_int_eq(th_file_copy_range(dst, 0, old, 0, SIZE, &done), -EROFS);
	th_inode_put(old);
	th_entered_snapshot_put(scene.fs, entered);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy");
	TCase *cases = tcase_create("copy");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, whole_blocks_are_shared);
	tcase_add_test(cases, a_change_of_one_copy_leaves_the_other);
	tcase_add_test(cases, aligned_offsets_share_the_whole_blocks_between_partial_ones);
	tcase_add_test(cases, unaligned_offsets_are_copied_without_sharing);
	tcase_add_test(cases, a_short_dirty_range_is_copied_in_memory);
	tcase_add_test(cases, inline_data_is_copied);
	tcase_add_test(cases, a_range_past_the_end_copies_nothing);
	tcase_add_test(cases, overlapping_ranges_are_refused);
	tcase_add_test(cases, a_file_of_a_snapshot_is_shared_but_not_written);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
