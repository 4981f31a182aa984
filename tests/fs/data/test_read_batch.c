/* SPDX-License-Identifier: Apache-2.0 */
/* Read batches: scattered extents in few transfers, limits, and wrong checksums. */
#include "fs/data/read_batch.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/disk/disk.h"
#include "tests/fs/data/file_scene.h"
#include "tests/support/suite.h"

#define BLOCK TH_BLOCK_SIZE
#define BLOCKS 64

static struct th_file_scene scene;
static struct th_inode *file;
static struct th_read_batch *batch;
static uint8_t *buffer;

/* Two writebacks, each of every other block: so neighbours in the file are not neighbours on disk.  A block of
 * another file lies between the two. */
static void setup(void)
{
	struct th_inode *between;

	th_file_scene_open(&scene, (16u << 20) / BLOCK, 0);
	file = th_file_scene_make(&scene, "file");
	between = th_file_scene_make(&scene, "between");
	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint64_t block = pass; block < BLOCKS; block += 2)
			th_file_scene_write(file, block * BLOCK, block, BLOCK);
		th_file_scene_writeback(file);
		th_file_scene_write(between, pass * BLOCK, 'b', BLOCK);
		th_file_scene_writeback(between);
	}
	th_inode_put(between);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	batch = malloc(sizeof(*batch));
	buffer = th_disk_buffer(BLOCKS * BLOCK);
	memset(buffer, 'x', BLOCKS * BLOCK);
	th_read_batch_init(batch, scene.fs->store);
}

static void teardown(void)
{
	free(buffer);
	free(batch);
	th_inode_put(file);
	th_file_scene_close(&scene);
}

/* Adds all extents of the file; *ret_addr is the disk block of its first one.  Returns their number. */
static unsigned add_file(uint64_t *ret_addr)
{
	struct th_extents extents;
	struct th_extent extent;
	unsigned count = 0;
	int err;

	ck_assert_int_eq(th_extents_open(scene.fs, scene.fs->live, file->id, 0, TH_EXTENT_END, &extents), 0);
	while (!(err = th_extents_next(&extents, &extent))) {
		if (!count++ && ret_addr)
			*ret_addr = extent.run.addr;
		ck_assert_int_eq(th_read_batch_add(batch, &extent, buffer + extent.block * BLOCK), 0);
	}
	ck_assert_int_eq(err, 1);
	th_extents_close(&extents);
	return count;
}

START_TEST(scattered_extents_are_read_with_a_transfer_for_each_writeback)
{
	uint64_t reads;

	ck_assert_uint_eq(add_file(NULL), BLOCKS);
	reads = th_file_scene_info(&scene).disk_reads;
	ck_assert_int_eq(th_read_batch_read(batch), 0);
	ck_assert_uint_eq(th_file_scene_info(&scene).disk_reads, reads + 2);
	for (unsigned i = 0; i < BLOCKS * BLOCK; i++)
		if (buffer[i] != i / BLOCK)
			ck_abort_msg("byte %u is %02x, expected %02x", i, buffer[i], i / BLOCK);
	ck_assert_uint_eq(batch->nparts, 0);
}
END_TEST

START_TEST(an_empty_batch_reads_nothing)
{
	uint64_t reads = th_file_scene_info(&scene).disk_reads;

	ck_assert_int_eq(th_read_batch_read(batch), 0);
	ck_assert_uint_eq(th_file_scene_info(&scene).disk_reads, reads);
}
END_TEST

START_TEST(more_blocks_than_a_run_has_are_refused)
{
	static struct th_le64 checksums[TH_RUN_MAX];
	struct th_extent extent = {
		.blocks = TH_RUN_MAX - 1,
		.kind = TH_EXTENT_RUN,
		.run = { .addr = 1000, .blocks = TH_RUN_MAX - 1 },
		.bytes = (const uint8_t *)checksums,
		.size = (TH_RUN_MAX - 1) * sizeof(checksums[0]),
	};

	ck_assert_int_eq(th_read_batch_add(batch, &extent, buffer), 0);
	extent.blocks = extent.run.blocks = 2;
	ck_assert_int_eq(th_read_batch_add(batch, &extent, buffer), -E2BIG);
	extent.blocks = extent.run.blocks = 1;
	ck_assert_int_eq(th_read_batch_add(batch, &extent, buffer), 0);
	ck_assert_int_eq(th_read_batch_add(batch, &extent, buffer), -E2BIG);
}
END_TEST

START_TEST(a_wrong_checksum_is_an_error)
{
	uint8_t *block = th_disk_buffer(BLOCK);
	uint64_t addr = 0;

	add_file(&addr);
	memset(block, 'y', BLOCK);
	ck_assert_int_eq(th_disk_write(scene.disk, addr, 1, block), 0);
	ck_assert_int_eq(th_read_batch_read(batch), -EBADMSG);
	memset(block, 0, BLOCK); /* as it was, for the checker */
	ck_assert_int_eq(th_disk_write(scene.disk, addr, 1, block), 0);
	free(block);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("read_batch");
	TCase *cases = tcase_create("read_batch");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, scattered_extents_are_read_with_a_transfer_for_each_writeback);
	tcase_add_test(cases, an_empty_batch_reads_nothing);
	tcase_add_test(cases, more_blocks_than_a_run_has_are_refused);
	tcase_add_test(cases, a_wrong_checksum_is_an_error);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
