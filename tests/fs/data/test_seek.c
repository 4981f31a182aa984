/* SPDX-License-Identifier: Apache-2.0 */
/* SEEK_DATA and SEEK_HOLE over pages, runs, inline data and unwritten extents.  test_file.c compares them with a
 * model. */
#include "fs/data/seek.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/data/fallocate.h"
#include "fs/data/file.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_file_scene scene;
static struct th_inode *file;

static void setup(void)
{
	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
}

static void teardown(void)
{
	th_inode_put(file);
	th_file_scene_close(&scene);
}

static uint64_t seek(uint64_t off, int whence)
{
	uint64_t found;

	ck_assert_int_eq(th_file_seek(file, off, whence, &found), 0);
	return found;
}

static int seek_error(uint64_t off, int whence)
{
	uint64_t found;

	return th_file_seek(file, off, whence, &found);
}

START_TEST(other_kinds_of_seek_are_invalid)
{
	th_file_scene_write(file, 0, 'a', 10);
	ck_assert_int_eq(seek_error(0, SEEK_SET), -EINVAL);
}
END_TEST

START_TEST(offsets_at_or_past_the_end_are_refused)
{
	ck_assert_int_eq(seek_error(0, SEEK_DATA), -ENXIO);
	ck_assert_int_eq(seek_error(0, SEEK_HOLE), -ENXIO);
	th_file_scene_write(file, 0, 'a', 10);
	ck_assert_int_eq(seek_error(10, SEEK_DATA), -ENXIO);
	ck_assert_int_eq(seek_error(10, SEEK_HOLE), -ENXIO);
	ck_assert_uint_eq(seek(9, SEEK_DATA), 9);
	ck_assert_uint_eq(seek(9, SEEK_HOLE), 10);
}
END_TEST

/* Block 0 and 1 stored, 2 a hole, 3 a page, 4 a hole, 5 stored, 6 and 7 a hole. */
START_TEST(pages_and_runs_are_data)
{
	th_file_scene_write(file, 0, 'a', 2 * BLOCK);
	th_file_scene_write(file, 5 * BLOCK, 'a', BLOCK);
	th_file_scene_writeback(file);
	th_file_scene_write(file, 3 * BLOCK, 'b', BLOCK);
	th_file_scene_truncate(file, 8 * BLOCK);
	ck_assert_uint_eq(seek(100, SEEK_DATA), 100);
	ck_assert_uint_eq(seek(100, SEEK_HOLE), 2 * BLOCK);
	ck_assert_uint_eq(seek(2 * BLOCK, SEEK_DATA), 3 * BLOCK);
	ck_assert_uint_eq(seek(2 * BLOCK + 5, SEEK_HOLE), 2 * BLOCK + 5);
	ck_assert_uint_eq(seek(3 * BLOCK, SEEK_HOLE), 4 * BLOCK);
	ck_assert_uint_eq(seek(4 * BLOCK, SEEK_DATA), 5 * BLOCK);
	ck_assert_uint_eq(seek(5 * BLOCK, SEEK_HOLE), 6 * BLOCK);
	ck_assert_int_eq(seek_error(6 * BLOCK, SEEK_DATA), -ENXIO);
	ck_assert_uint_eq(seek(7 * BLOCK, SEEK_HOLE), 7 * BLOCK);
}
END_TEST

START_TEST(unwritten_extents_are_holes)
{
	ck_assert_int_eq(th_file_fallocate(file, 0, 0, 4 * BLOCK), 0);
	ck_assert_uint_eq(seek(0, SEEK_HOLE), 0);
	ck_assert_int_eq(seek_error(0, SEEK_DATA), -ENXIO);
	th_file_scene_write(file, 2 * BLOCK, 'a', BLOCK);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(seek(0, SEEK_DATA), 2 * BLOCK);
	ck_assert_uint_eq(seek(2 * BLOCK, SEEK_HOLE), 3 * BLOCK);
}
END_TEST

START_TEST(inline_data_is_data)
{
	th_file_scene_write(file, 0, 'a', 100);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(seek(50, SEEK_DATA), 50);
	ck_assert_uint_eq(seek(50, SEEK_HOLE), 100);
}
END_TEST

START_TEST(the_ends_of_the_largest_file_are_found)
{
	const uint64_t end = INT64_MAX;
	struct th_file_data data;

	th_file_scene_write(file, 0, 'a', 1);
	th_file_scene_write(file, end - 1, 'z', 1);
	ck_assert_int_eq(th_file_write(file, "z", 1, end, 0), -EFBIG);
	ck_assert_uint_eq(file->attr.size, end);
	for (int pass = 0; pass < 2; pass++) {
		ck_assert_int_eq(th_file_read(file, end - 2, 10, &data), 0);
		ck_assert_uint_eq(data.size, 2);
		ck_assert_int_eq(memcmp(data.data, "\0z", 2), 0);
		th_file_data_release(&data);
		ck_assert_uint_eq(seek(0, SEEK_HOLE), BLOCK);
		ck_assert_uint_eq(seek(BLOCK, SEEK_DATA), end & ~(uint64_t)(BLOCK - 1));
		ck_assert_uint_eq(file->attr.blocks, 2);
		th_file_scene_writeback(file);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seek");
	TCase *cases = tcase_create("seek");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, other_kinds_of_seek_are_invalid);
	tcase_add_test(cases, offsets_at_or_past_the_end_are_refused);
	tcase_add_test(cases, pages_and_runs_are_data);
	tcase_add_test(cases, unwritten_extents_are_holes);
	tcase_add_test(cases, inline_data_is_data);
	tcase_add_test(cases, the_ends_of_the_largest_file_are_found);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
