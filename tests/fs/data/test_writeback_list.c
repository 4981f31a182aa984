/* SPDX-License-Identifier: Apache-2.0 */
/* Writeback of the dirty list: all of it, its limit, and room on a full disk. */
#include "fs/data/writeback_list.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/data/writeback.h"
#include "fs/inode/dirty_list.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_file_scene scene;

static void setup(void)
{
	th_file_scene_open(&scene, (96u << 20) / BLOCK, 16u << 20);
}

static void teardown(void)
{
	th_file_scene_close(&scene);
}

/* Makes file number i with `size` bytes, and keeps no reference. */
static void make_dirty(unsigned i, size_t size)
{
	struct th_inode *inode;
	char name[16];

	snprintf(name, sizeof(name), "file%u", i);
	inode = th_file_scene_make(&scene, name);
	th_file_scene_write(inode, 0, 1 + i % 255, size);
	th_inode_put(inode);
}

START_TEST(all_inodes_are_clean_afterwards)
{
	const unsigned count = 2 * TH_WRITEBACK_INODES_MAX + 10;
	struct th_inode *inode;

	for (unsigned i = 0; i < count; i++)
		make_dirty(i, BLOCK + 1);
	ck_assert_uint_eq(th_dirty_count(scene.fs), count);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 2 * count);
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_uint_eq(th_dirty_count(scene.fs), 0);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 0);
	ck_assert_uint_eq(th_file_scene_info(&scene).blocks_reserved, 0);
	inode = th_file_scene_find(&scene, "file7");
	ck_assert(!th_writeback_needed(inode));
	th_file_scene_expect(inode, 0, 8, BLOCK + 1);
	th_inode_put(inode);
}
END_TEST

/* A file without names will be deleted with its last reference, so a few pages of it are not worth writing. */
START_TEST(few_pages_of_an_orphan_are_not_written)
{
	struct th_inode *small = th_file_scene_make(&scene, "small"), *large = th_file_scene_make(&scene, "large");

	th_file_scene_write(small, 0, 'a', 3 * BLOCK);
	th_file_scene_write(large, 0, 'a', 200 * BLOCK);
	th_file_scene_unlink(&scene, "small");
	th_file_scene_unlink(&scene, "large");
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_uint_eq(th_file_pages_count(small), 3);
	ck_assert_uint_eq(th_file_pages_count(large), 0);
	th_file_scene_expect(small, 0, 'a', 3 * BLOCK);
	th_inode_put(small);
	th_inode_put(large);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 0);
}
END_TEST

/* A quarter of a cache of 16 MiB, whatever the interval of checkpoints. */
START_TEST(dirty_pages_stay_below_their_limit)
{
	const int64_t limit = (4 << 20) / BLOCK;
	int64_t most = 0;

	for (unsigned i = 0; i < 300; i++) {
		make_dirty(i, 16 * BLOCK);
		if (th_dirty_pages(scene.fs) > most)
			most = th_dirty_pages(scene.fs);
	}
	ck_assert_int_le(most, limit);
	ck_assert_int_gt(most, limit / 2);
}
END_TEST

START_TEST(relieving_below_the_limit_writes_nothing)
{
	make_dirty(0, BLOCK + 1);
	ck_assert_int_eq(th_writeback_relieve(scene.fs), 0);
	ck_assert_int_eq(th_dirty_pages(scene.fs), 2);
}
END_TEST

START_TEST(retries_are_limited_while_freed_space_waits)
{
	struct th_inode *inode = th_file_scene_make(&scene, "file");

	th_file_scene_write(inode, 0, 'a', 256 * BLOCK);
	th_file_scene_check(&scene);
	th_file_scene_truncate(inode, 0);
	ck_assert(th_writeback_make_room(scene.fs, 0));
	ck_assert_uint_ge(th_file_scene_info(&scene).blocks_waiting, 256);
	ck_assert(th_writeback_make_room(scene.fs, 1));
	ck_assert(!th_writeback_make_room(scene.fs, 3));
	th_inode_put(inode);
}
END_TEST

START_TEST(a_retry_without_freed_space_is_not_worthwhile)
{
	ck_assert(th_writeback_make_room(scene.fs, 0)); /* the first checkpoint finds out */
	ck_assert(th_writeback_make_room(scene.fs, 1) == !!th_file_scene_info(&scene).blocks_waiting);
	ck_assert(!th_writeback_make_room(scene.fs, 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writeback_list");
	TCase *cases = tcase_create("writeback_list");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, all_inodes_are_clean_afterwards);
	tcase_add_test(cases, few_pages_of_an_orphan_are_not_written);
	tcase_add_test(cases, dirty_pages_stay_below_their_limit);
	tcase_add_test(cases, relieving_below_the_limit_writes_nothing);
	tcase_add_test(cases, retries_are_limited_while_freed_space_waits);
	tcase_add_test(cases, a_retry_without_freed_space_is_not_worthwhile);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
