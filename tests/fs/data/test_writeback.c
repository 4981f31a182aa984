/* SPDX-License-Identifier: Apache-2.0 */
/* Writeback: which pages and attributes are in the store after it and in which order, and the state after a failure. */
#include "fs/data/writeback.h"

#include <check.h>
#include <errno.h>

#include "fs/inode/dirty_list.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"
#include "tree/chunk.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_file_scene scene;
static struct th_inode *file;

static void setup(void)
{
	th_file_scene_open(&scene, (64u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	th_file_scene_writeback(file);
}

static void teardown(void)
{
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static int writeback(struct th_inode *inode, enum th_writeback_mode mode)
{
	int err;

	pthread_rwlock_wrlock(&inode->lock);
	err = th_writeback_inode(inode, mode);
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

START_TEST(dirty_pages_are_in_the_store_after_writeback)
{
	struct th_extent extents[4];

	th_file_scene_write(file, 0, 'a', 3 * BLOCK - 10);
	ck_assert(th_writeback_needed(file));
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 0);
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert(!th_writeback_needed(file));
	ck_assert_uint_eq(th_file_pages_count(file), 0);
	ck_assert_uint_eq(file->stored_size, 3 * BLOCK - 10);
	ck_assert_uint_eq(file->stored_blocks, 3);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 1);
	ck_assert_uint_eq(extents[0].blocks, 3);
	ck_assert_uint_eq(th_file_scene_info(&scene).blocks_reserved, 0);
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK - 10);
}
END_TEST

START_TEST(stored_data_survives_reopening)
{
	th_file_scene_write(file, 100, 'a', 5 * BLOCK);
	th_inode_put(file);
	th_file_scene_reopen(&scene);
	file = th_file_scene_find(&scene, "file");
	th_file_scene_expect(file, 0, 0, 100);
	th_file_scene_expect(file, 100, 'a', 5 * BLOCK);
}
END_TEST

START_TEST(small_files_become_inline)
{
	struct th_extent extents[4];

	th_file_scene_write(file, 0, 'a', 100);
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 1);
	ck_assert_int_eq(extents[0].kind, TH_EXTENT_INLINE);
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_RUNS), 0);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 1);
	ck_assert_int_eq(extents[0].kind, TH_EXTENT_RUN);
	th_file_scene_expect(file, 0, 'a', 100);
}
END_TEST

START_TEST(changed_attributes_are_stored)
{
	struct th_fs_key key = th_fs_key_inode(file->id);
	struct th_value value;
	struct th_attr stored;

	pthread_rwlock_wrlock(&file->lock);
	file->attr.mtime = (struct th_time){ 1234, 5678 };
	th_inode_mark_dirty(file);
	pthread_rwlock_unlock(&file->lock);
	ck_assert(th_writeback_needed(file));
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert_int_eq(th_get(scene.fs->live, th_fs_key_slice(&key), &value), 0);
	ck_assert_int_eq(th_inode_decode(value.data, value.size, value.refs, &stored), 0);
	ck_assert_int_eq(stored.mtime.seconds, 1234);
	ck_assert_uint_eq(stored.mtime.nanoseconds, 5678);
	th_value_release(&value);
}
END_TEST

START_TEST(pages_of_several_files_fill_one_run_in_order)
{
	struct th_inode *other = th_file_scene_make(&scene, "other"), *missed;
	struct th_inode *both[] = { file, other };
	struct th_extent first[4], second[4];

	for (unsigned block = 4; block != (unsigned)-2; block -= 2) /* written backwards, stored forwards */
		th_file_scene_write(file, block * BLOCK, 'a' + block, BLOCK);
	th_file_scene_write(other, 0, 'x', 2 * BLOCK);
	pthread_rwlock_wrlock(&file->lock);
	pthread_rwlock_wrlock(&other->lock);
	ck_assert_int_eq(th_writeback_inodes(both, 2, &missed), 0);
	pthread_rwlock_unlock(&other->lock);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_uint_eq(th_file_scene_extents(file, first, 4), 3);
	ck_assert_uint_eq(th_file_scene_extents(other, second, 4), 1);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(first[i].block, 2 * i);
		ck_assert_uint_eq(first[i].run.addr, first[0].run.addr + i);
	}
	ck_assert_uint_eq(second[0].run.addr, first[0].run.addr + 3);
	ck_assert_uint_eq(second[0].blocks, 2);
	th_inode_put(other);
}
END_TEST

START_TEST(partly_overwritten_blocks_keep_their_other_bytes)
{
	th_file_scene_write(file, 0, 'a', 2 * BLOCK);
	th_file_scene_writeback(file);
	th_file_scene_write(file, BLOCK - 10, 'b', 20);
	th_file_scene_writeback(file);
	th_file_scene_expect(file, 0, 'a', BLOCK - 10);
	th_file_scene_expect(file, BLOCK - 10, 'b', 20);
	th_file_scene_expect(file, BLOCK + 10, 'a', BLOCK - 10);
	ck_assert_uint_eq(file->attr.blocks, 2);
}
END_TEST

START_TEST(a_range_leaves_the_other_pages_dirty)
{
	struct th_extent extents[4];

	th_file_scene_write(file, 0, 'a', 10 * BLOCK);
	pthread_rwlock_wrlock(&file->lock);
	ck_assert_int_eq(th_writeback_range(file, 2, 5), 0);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_uint_eq(th_file_pages_count(file), 7);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 1);
	ck_assert_uint_eq(extents[0].block, 2);
	ck_assert_uint_eq(extents[0].blocks, 3);
	ck_assert_uint_eq(file->stored_size, 5 * BLOCK); /* F3 */
	ck_assert(th_writeback_needed(file));
	th_file_scene_expect(file, 0, 'a', 10 * BLOCK);
}
END_TEST

START_TEST(cleared_blocks_are_a_hole_in_the_store)
{
	struct th_extent extents[4];

	th_file_scene_write(file, 0, 'a', 8 * BLOCK);
	th_file_scene_writeback(file);
	th_file_scene_write(file, 7 * BLOCK, 'b', BLOCK);
	pthread_rwlock_wrlock(&file->lock);
	ck_assert_int_eq(th_writeback_cleared(file, 2, 4, file->attr.size, false), 0);
	pthread_rwlock_unlock(&file->lock);
	ck_assert(!th_writeback_needed(file));
	ck_assert_uint_eq(file->stored_blocks, 6);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 3);
	ck_assert_uint_eq(extents[1].block, 4);
	th_file_scene_expect(file, 0, 'a', 2 * BLOCK);
	th_file_scene_expect(file, 2 * BLOCK, 0, 2 * BLOCK);
	th_file_scene_expect(file, 4 * BLOCK, 'a', 3 * BLOCK);
	th_file_scene_expect(file, 7 * BLOCK, 'b', BLOCK);
}
END_TEST

START_TEST(more_pages_than_a_transaction_takes_are_all_written)
{
	for (uint64_t i = 0; i < TH_WRITEBACK_PAGES_MAX + 100; i++)
		th_file_scene_write(file, 2 * i * BLOCK, 1 + i % 255, BLOCK);
	ck_assert_uint_gt(th_file_pages_count(file), TH_WRITEBACK_PAGES_MAX);
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert(!th_writeback_needed(file));
	for (uint64_t i = 0; i < TH_WRITEBACK_PAGES_MAX + 100; i++)
		th_file_scene_expect(file, 2 * i * BLOCK, 1 + i % 255, BLOCK);
}
END_TEST

/* Reserves all blocks that are left, except for the half of the emergency reserve that file data cannot have.  Returns
 * their number. */
static uint32_t reserve_everything(void)
{
	uint32_t reserved = 0;

	for (uint32_t step = 1024; step; step /= 2)
		while (!th_chunk_reserve_now(scene.fs->store, step, true))
			reserved += step;
	return reserved;
}

/* After a failed writeback a page may have lost its reservation, so the next one may find no space. */
START_TEST(pages_stay_dirty_if_there_is_no_space)
{
	struct th_extent extents[4];
	uint32_t reserved;

	th_file_scene_write(file, 0, 'a', 3 * BLOCK);
	th_chunk_unreserve(scene.fs->store, 3);
	file->file->reserved = 0;
	reserved = reserve_everything();
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), -ENOSPC);
	ck_assert_uint_eq(th_file_pages_count(file), 3);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 0);
	ck_assert(th_writeback_needed(file));
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK);
	th_chunk_unreserve(scene.fs->store, reserved);
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert_uint_eq(th_file_pages_count(file), 0);
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK);
}
END_TEST

/* It has been written for its caller, so it may use the emergency reserve. */
START_TEST(pages_without_a_reservation_are_written_to_a_full_disk)
{
	uint32_t reserved = 0;

	th_file_scene_write(file, 0, 'a', 3 * BLOCK);
	th_chunk_unreserve(scene.fs->store, 3);
	file->file->reserved = 0;
	for (uint32_t step = 1024; step; step /= 2)
		while (!th_chunk_reserve(scene.fs->store, step))
			reserved += step;
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert_uint_eq(th_file_pages_count(file), 0);
	th_chunk_unreserve(scene.fs->store, reserved);
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK);
}
END_TEST

/* A page has a block reserved, so a full disk does not make its writeback fail. */
START_TEST(reserved_pages_are_written_to_a_full_disk)
{
	uint32_t reserved;

	th_file_scene_write(file, 0, 'a', 3 * BLOCK);
	reserved = reserve_everything();
	ck_assert_int_eq(writeback(file, TH_WRITEBACK_ANY), 0);
	ck_assert_uint_eq(th_file_pages_count(file), 0);
	th_chunk_unreserve(scene.fs->store, reserved);
	th_file_scene_expect(file, 0, 'a', 3 * BLOCK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writeback");
	TCase *cases = tcase_create("writeback");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, dirty_pages_are_in_the_store_after_writeback);
	tcase_add_test(cases, stored_data_survives_reopening);
	tcase_add_test(cases, small_files_become_inline);
	tcase_add_test(cases, changed_attributes_are_stored);
	tcase_add_test(cases, pages_of_several_files_fill_one_run_in_order);
	tcase_add_test(cases, partly_overwritten_blocks_keep_their_other_bytes);
	tcase_add_test(cases, a_range_leaves_the_other_pages_dirty);
	tcase_add_test(cases, cleared_blocks_are_a_hole_in_the_store);
	tcase_add_test(cases, more_pages_than_a_transaction_takes_are_all_written);
	tcase_add_test(cases, pages_stay_dirty_if_there_is_no_space);
	tcase_add_test(cases, pages_without_a_reservation_are_written_to_a_full_disk);
	tcase_add_test(cases, reserved_pages_are_written_to_a_full_disk);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
