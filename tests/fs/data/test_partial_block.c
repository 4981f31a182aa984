/* SPDX-License-Identifier: Apache-2.0 */
/* Partial blocks: when they have to be read, and when a block that was read is used. */
#include "fs/data/partial_block.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file_pages.h"
#include "journal/disk/disk.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_file_scene scene;
static struct th_inode *file;
static struct th_partial_blocks partial;

/* A file of eight stored blocks of 'a'. */
static void setup(void)
{
	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	th_file_scene_write(file, 0, 'a', 8 * BLOCK);
	th_file_scene_writeback(file);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	partial = (struct th_partial_blocks){ .guard = NULL };
}

static void teardown(void)
{
	th_partial_blocks_release(&partial);
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static int find(uint64_t from, uint64_t to)
{
	int err;

	pthread_rwlock_wrlock(&file->lock);
	err = th_partial_blocks_find(&partial, file, from, to);
	pthread_rwlock_unlock(&file->lock);
	return err;
}

/* Retries until the partial blocks are known.  Returns the number of tries. */
static unsigned find_all(uint64_t from, uint64_t to)
{
	unsigned tries = 0;
	int err;

	do {
		err = find(from, to);
		tries++;
	} while (th_partial_blocks_retry(&partial, &err));
	ck_assert_int_eq(err, 0);
	return tries;
}

/* Expects the block to have `size` bytes of that value, then zeros. */
static void expect(uint64_t block, uint8_t value, size_t size)
{
	struct th_file_page *page = th_partial_blocks_take(&partial, block);

	ck_assert_ptr_nonnull(page);
	for (size_t i = 0; i < BLOCK; i++)
		if (page->data[i] != (i < size ? value : 0))
			ck_abort_msg("byte %zu is %02x", i, page->data[i]);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, block));
	th_page_tree_free(page);
}

START_TEST(whole_blocks_are_not_read)
{
	ck_assert_uint_eq(find_all(BLOCK, 3 * BLOCK), 1);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 1));
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 2));
}
END_TEST

START_TEST(both_partial_blocks_are_read)
{
	ck_assert_int_eq(find(BLOCK + 10, 3 * BLOCK + 10), -EAGAIN);
	ck_assert_uint_eq(find_all(BLOCK + 10, 3 * BLOCK + 10), 2);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 2));
	expect(1, 'a', BLOCK);
	expect(3, 'a', BLOCK);
}
END_TEST

START_TEST(a_change_inside_one_block_reads_it_once)
{
	ck_assert_uint_eq(find_all(BLOCK + 10, BLOCK + 20), 2);
	expect(1, 'a', BLOCK);
}
END_TEST

START_TEST(a_dirty_page_needs_no_read)
{
	th_file_scene_write(file, BLOCK, 'b', BLOCK);
	ck_assert_uint_eq(find_all(BLOCK + 10, BLOCK + 20), 1);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 1));
}
END_TEST

START_TEST(a_block_past_the_end_needs_no_read)
{
	ck_assert_uint_eq(find_all(8 * BLOCK + 10, 8 * BLOCK + 20), 1);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 8));
}
END_TEST

/* All bytes up to the end of the file change; the bytes past it are zeros (F1). */
START_TEST(a_change_up_to_the_end_needs_no_read)
{
	th_file_scene_truncate(file, 7 * BLOCK + 100);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(find_all(7 * BLOCK, 7 * BLOCK + 100), 1);
	ck_assert_ptr_null(th_partial_blocks_take(&partial, 7));
}
END_TEST

START_TEST(inline_data_is_known_without_a_read)
{
	th_file_scene_truncate(file, 0);
	th_file_scene_write(file, 0, 'i', 100);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(find_all(10, 20), 1);
	expect(0, 'i', 100);
}
END_TEST

START_TEST(a_block_that_was_replaced_is_read_again)
{
	int err = find(10, 20);

	ck_assert_int_eq(err, -EAGAIN);
	ck_assert(th_partial_blocks_retry(&partial, &err));
	ck_assert_int_eq(err, 0);
	th_file_scene_write(file, 0, 'b', BLOCK);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(find_all(10, 20), 2);
	expect(0, 'b', BLOCK);
}
END_TEST

START_TEST(a_wrong_checksum_is_an_error)
{
	uint8_t *block = th_disk_buffer(BLOCK);
	int err = find(10, 20);
	uint64_t addr = partial.first.addr;

	ck_assert_int_eq(err, -EAGAIN);
	memset(block, 'y', BLOCK);
	ck_assert_int_eq(th_disk_write(scene.disk, addr, 1, block), 0);
	ck_assert(!th_partial_blocks_retry(&partial, &err));
	ck_assert_int_eq(err, -EBADMSG);
	memset(block, 'a', BLOCK); /* as it was, for the checker */
	ck_assert_int_eq(th_disk_write(scene.disk, addr, 1, block), 0);
	free(block);
}
END_TEST

/* One partial block has to be read, but the lookup of the other needs a node first.  The retry forgets the first one,
 * so a writer may replace it in between. */
START_TEST(a_missing_node_forgets_the_blocks_to_be_read)
{
	const uint64_t to = 5 * BLOCK + 100;
	uint8_t *other = th_disk_buffer(BLOCK);
	int err = find(100, to);
	uint64_t addr = partial.first.addr;

	ck_assert_int_eq(err, -EAGAIN);
	err = -EINPROGRESS;
	ck_assert(th_partial_blocks_retry(&partial, &err));
	th_file_scene_write(file, 0, 'b', BLOCK);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	memset(other, 1, BLOCK);
	ck_assert_int_eq(th_disk_write(scene.disk, addr, 1, other), 0); /* the next owner of the block */
	ck_assert_uint_eq(find_all(100, to), 2);
	expect(0, 'b', BLOCK);
	expect(5, 'a', BLOCK);
	free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("partial_block");
	TCase *cases = tcase_create("partial_block");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, whole_blocks_are_not_read);
	tcase_add_test(cases, both_partial_blocks_are_read);
	tcase_add_test(cases, a_change_inside_one_block_reads_it_once);
	tcase_add_test(cases, a_dirty_page_needs_no_read);
	tcase_add_test(cases, a_block_past_the_end_needs_no_read);
	tcase_add_test(cases, a_change_up_to_the_end_needs_no_read);
	tcase_add_test(cases, inline_data_is_known_without_a_read);
	tcase_add_test(cases, a_block_that_was_replaced_is_read_again);
	tcase_add_test(cases, a_wrong_checksum_is_an_error);
	tcase_add_test(cases, a_missing_node_forgets_the_blocks_to_be_read);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
