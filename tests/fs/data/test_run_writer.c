/* SPDX-License-Identifier: Apache-2.0 */
/* The run writer, through writeback: how pages become extents. */
#include "fs/data/run_writer.h"

#include <check.h>

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

START_TEST(appends_join_the_extent_before)
{
	struct th_extent extents[16];

	for (uint64_t i = 0; i < 64; i++) {
		th_file_scene_write(file, i * BLOCK, i + 1, BLOCK);
		th_file_scene_writeback(file);
	}
	ck_assert_uint_le(th_file_scene_extents(file, extents, 16), 8);
	ck_assert_uint_eq(file->attr.blocks, 64);
	for (uint64_t i = 0; i < 64; i++)
		th_file_scene_expect(file, i * BLOCK, i + 1, BLOCK);
}
END_TEST

START_TEST(a_file_is_cut_into_runs)
{
	const uint64_t blocks = 2 * TH_RUN_MAX + 10;
	struct th_extent extents[16];
	unsigned count;
	uint64_t at = 0;

	for (uint64_t i = blocks; i-- > 0;) /* backwards, so that no sequential write is stored early */
		th_file_scene_write(file, i * BLOCK, 1 + i % 255, BLOCK);
	th_file_scene_writeback(file);
	count = th_file_scene_extents(file, extents, 16);
	ck_assert_uint_eq(count, 3);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_eq(extents[i].block, at);
		ck_assert_uint_le(extents[i].blocks, TH_RUN_MAX);
		at += extents[i].blocks;
	}
	ck_assert_uint_eq(at, blocks);
	for (uint64_t i = 0; i < blocks; i++)
		th_file_scene_expect(file, i * BLOCK, 1 + i % 255, BLOCK);
}
END_TEST

START_TEST(pages_with_a_gap_become_two_extents)
{
	struct th_extent extents[4];

	th_file_scene_write(file, 0, 'a', 2 * BLOCK);
	th_file_scene_write(file, 3 * BLOCK, 'b', BLOCK);
	th_file_scene_writeback(file);
	ck_assert_uint_eq(th_file_scene_extents(file, extents, 4), 2);
	ck_assert_uint_eq(extents[0].blocks, 2);
	ck_assert_uint_eq(extents[1].block, 3);
	ck_assert_uint_eq(extents[1].run.addr, extents[0].run.addr + 2); /* one transfer */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_writer");
	TCase *cases = tcase_create("run_writer");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, appends_join_the_extent_before);
	tcase_add_test(cases, a_file_is_cut_into_runs);
	tcase_add_test(cases, pages_with_a_gap_become_two_extents);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
