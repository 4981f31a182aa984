/* SPDX-License-Identifier: Apache-2.0 */
/* The dirty pages of a file: reservations, inline data, zeros past the end, and reads that combine pages and
 * extents. */
#include "fs/data/file_pages.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/inode/dirty_list.h"
#include "journal/disk/disk.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_file_scene scene;
static struct th_inode *file;

static void setup(void)
{
	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	th_file_scene_writeback(file);
}

static void teardown(void)
{
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static uint64_t reserved(void)
{
	return th_file_scene_info(&scene).blocks_reserved;
}

START_TEST(blocks_of_a_size_are_rounded_up)
{
	ck_assert_uint_eq(th_file_pages_blocks(0), 0);
	ck_assert_uint_eq(th_file_pages_blocks(1), 1);
	ck_assert_uint_eq(th_file_pages_blocks(BLOCK), 1);
	ck_assert_uint_eq(th_file_pages_blocks(BLOCK + 1), 2);
	ck_assert_uint_eq(th_file_pages_blocks(UINT64_MAX), UINT64_C(1) << 52);
}
END_TEST

START_TEST(each_new_page_reserves_a_block)
{
	th_file_scene_write(file, 0, 'a', 3 * BLOCK);
	ck_assert_uint_eq(reserved(), 3);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 3);
	th_file_scene_write(file, 0, 'b', 3 * BLOCK);
	ck_assert_uint_eq(reserved(), 3);
	pthread_rwlock_wrlock(&file->lock);
	th_file_pages_discard(file, 1, 2);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_uint_eq(th_file_pages_count(file), 2);
	ck_assert_uint_eq(reserved(), 2);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 2);
	th_file_scene_expect(file, BLOCK, 0, BLOCK);
}
END_TEST

START_TEST(a_file_deleted_before_writeback_costs_no_block)
{
	struct th_inode *inode = th_file_scene_make(&scene, "short-lived");
	uint64_t free_before;

	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	free_before = th_file_scene_info(&scene).blocks_free;
	th_file_scene_write(inode, 0, 'a', 10000);
	ck_assert_uint_eq(reserved(), 3);
	th_file_scene_unlink(&scene, "short-lived");
	th_inode_put(inode);
	ck_assert_uint_eq(reserved(), 0);
	ck_assert_uint_eq(th_file_scene_info(&scene).blocks_free, free_before);
}
END_TEST

START_TEST(pages_over_stored_blocks_do_not_count_twice)
{
	th_file_scene_write(file, 0, 'a', 2 * BLOCK);
	ck_assert_uint_eq(file->attr.blocks, 2);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(file->attr.blocks, 2);
	th_file_scene_write(file, BLOCK, 'b', 2 * BLOCK);
	ck_assert_uint_eq(file->file->fresh, 1);
	ck_assert_uint_eq(file->attr.blocks, 3);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(file->attr.blocks, 3);
}
END_TEST

START_TEST(inline_data_becomes_a_page)
{
	bool has_page = false;

	th_file_scene_write(file, 0, 'a', 100);
	th_file_scene_writeback(file);
	ck_assert(th_file_pages_maybe_inline(file));
	pthread_rwlock_wrlock(&file->lock);
	ck_assert_int_eq(th_file_pages_uninline(file, &has_page), 0);
	ck_assert(has_page);
	ck_assert_uint_eq(th_file_pages_count(file), 1);
	ck_assert_int_eq(th_file_pages_uninline(file, &has_page), 0);
	ck_assert(has_page);
	ck_assert_uint_eq(th_file_pages_count(file), 1);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_uint_eq(reserved(), 1);
	th_file_scene_expect(file, 0, 'a', 100);
}
END_TEST

START_TEST(a_stored_run_does_not_become_a_page)
{
	bool has_page = true;

	th_file_scene_write(file, 0, 'a', BLOCK);
	th_file_scene_writeback(file);
	pthread_rwlock_wrlock(&file->lock);
	ck_assert_int_eq(th_file_pages_uninline(file, &has_page), 0);
	pthread_rwlock_unlock(&file->lock);
	ck_assert(!has_page);
	ck_assert_uint_eq(th_file_pages_count(file), 0);
}
END_TEST

/* F1, F2: in pages, and in blocks that were stored in between. */
START_TEST(a_file_grows_over_zeros)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		th_file_scene_write(file, 0, 'a', 3 * BLOCK);
		if (pass)
			th_file_scene_writeback(file);
		th_file_scene_truncate(file, BLOCK + 50);
		ck_assert_uint_eq(th_file_pages_count(file), pass ? 0 : 2); /* freeing blocks writes back */
		th_file_scene_truncate(file, 3 * BLOCK);
		th_file_scene_expect(file, 0, 'a', BLOCK + 50);
		th_file_scene_expect(file, BLOCK + 50, 0, 2 * BLOCK - 50);
		th_file_scene_truncate(file, 0);
		th_file_scene_writeback(file);
	}
}
END_TEST

/* Block 0 is stored, 1 a hole, 2 a page over a stored block, 3 a page only, 4 past the end. */
START_TEST(a_read_combines_pages_extents_and_zeros)
{
	static const uint8_t expected[] = { 'a', 0, 'b', 'b', 0 };
	struct th_file_pages_read *read = malloc(sizeof(*read));
	uint8_t *buffer = th_disk_buffer(5 * BLOCK);

	th_file_scene_write(file, 0, 'a', BLOCK);
	th_file_scene_write(file, 2 * BLOCK, 'a', BLOCK);
	th_file_scene_writeback(file);
	th_file_scene_write(file, 2 * BLOCK, 'b', 2 * BLOCK);
	memset(buffer, 'x', 5 * BLOCK);
	pthread_rwlock_rdlock(&file->lock);
	ck_assert_int_eq(th_file_pages_read_begin(file, 0, 5, buffer, read), 0);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_ptr_nonnull(read->guard); /* block 0 is read from disk */
	ck_assert_int_eq(th_file_pages_read_end(read), 0);
	for (unsigned i = 0; i < 5 * BLOCK; i++)
		if (buffer[i] != expected[i / BLOCK])
			ck_abort_msg("byte %u is %02x, expected %02x", i, buffer[i], expected[i / BLOCK]);
	pthread_rwlock_rdlock(&file->lock);
	ck_assert_int_eq(th_file_pages_read_begin(file, 2, 2, buffer, read), 0);
	pthread_rwlock_unlock(&file->lock);
	ck_assert_ptr_null(read->guard); /* all of it is in memory */
	ck_assert_int_eq(th_file_pages_read_end(read), 0);
	ck_assert_uint_eq(buffer[0], 'b');
	free(buffer);
	free(read);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file_pages");
	TCase *cases = tcase_create("file_pages");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, blocks_of_a_size_are_rounded_up);
	tcase_add_test(cases, each_new_page_reserves_a_block);
	tcase_add_test(cases, a_file_deleted_before_writeback_costs_no_block);
	tcase_add_test(cases, pages_over_stored_blocks_do_not_count_twice);
	tcase_add_test(cases, inline_data_becomes_a_page);
	tcase_add_test(cases, a_stored_run_does_not_become_a_page);
	tcase_add_test(cases, a_file_grows_over_zeros);
	tcase_add_test(cases, a_read_combines_pages_extents_and_zeros);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
