/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: values that must be refused, clipping, and random clearing and adding, compared with an array of the disk
 * block of each block of the file.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/extent.h"
#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"
#include "tree/chunk.h"

#define FILE_BLOCKS 1500
#define FILE_ID 77

/* --- values --- */

struct value {
	struct th_extent_disk head;
	struct th_le64 checksums[TH_RUN_MAX + 1];
};

static struct value value_run(uint16_t blocks)
{
	struct value value = { .head = { .kind = TH_EXTENT_RUN } };

	value.head.blocks = th_le16(blocks);
	value.head.addr = th_le64(1000);
	value.head.birth = th_le64(5);
	for (unsigned i = 0; i < blocks && i < TH_RUN_MAX; i++)
		value.checksums[i] = th_le64(i);
	return value;
}

static int value_decode(uint64_t block, const struct value *value, size_t size)
{
	struct th_extent extent;
	const char *why;
	/* In memory of exactly that size, so that a sanitizer detects reads past it. */
	void *copy = malloc(size ? size : 1);
	int err;

	memcpy(copy, value, size);
	err = th_extent_decode(block, (struct th_slice){ copy, size }, &extent, &why);
	ck_assert_int_eq(!err, !why);
	free(copy);
	return err;
}

static size_t value_size(unsigned checksums)
{
	return sizeof(struct th_extent_disk) + checksums * sizeof(struct th_le64);
}

START_TEST(malformed_runs_are_refused)
{
	struct value value = value_run(3);

	ck_assert_int_eq(value_decode(9, &value, value_size(3)), 0);
	for (size_t size = 0; size < value_size(4); size++)
		ck_assert_int_eq(value_decode(9, &value, size), size == value_size(3) ? 0 : -EUCLEAN);
	ck_assert_int_eq(value_decode(TH_EXTENT_END - 3, &value, value_size(3)), 0);
	ck_assert_int_eq(value_decode(TH_EXTENT_END - 2, &value, value_size(3)), -EUCLEAN);
	ck_assert_int_eq(value_decode(UINT64_MAX, &value, value_size(3)), -EUCLEAN);
	value.head.compression = 1;
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
	value = value_run(3);
	value.head.reserved = th_le32(1);
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
	value = value_run(3);
	value.head.addr = th_le64(UINT64_MAX - 1);
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
	value.head.addr = th_le64(0);
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
	value = value_run(0);
	ck_assert_int_eq(value_decode(9, &value, value_size(0)), -EUCLEAN);
	value = value_run(TH_RUN_MAX + 1);
	ck_assert_int_eq(value_decode(9, &value, value_size(TH_RUN_MAX + 1)), -EUCLEAN);
	value = value_run(3);
	value.head.kind = TH_EXTENT_UNWRITTEN;
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
	ck_assert_int_eq(value_decode(9, &value, value_size(0)), 0);
	value.head.kind = 9;
	ck_assert_int_eq(value_decode(9, &value, value_size(3)), -EUCLEAN);
}
END_TEST

START_TEST(malformed_inline_data_is_refused)
{
	struct value value = { .head = { .kind = TH_EXTENT_INLINE } };

	ck_assert_int_eq(value_decode(0, &value, sizeof(value.head) + 100), 0);
	ck_assert_int_eq(value_decode(0, &value, sizeof(value.head)), 0);
	ck_assert_int_eq(value_decode(1, &value, sizeof(value.head) + 100), -EUCLEAN);
	value.head.blocks = th_le16(1);
	ck_assert_int_eq(value_decode(0, &value, sizeof(value.head) + 100), -EUCLEAN);
	value.head.blocks = th_le16(0);
	value.head.addr = th_le64(1);
	ck_assert_int_eq(value_decode(0, &value, sizeof(value.head) + 100), -EUCLEAN);
}
END_TEST

START_TEST(clipping_keeps_addresses_and_checksums_together)
{
	struct value value = value_run(10);
	struct th_extent extent;
	uint64_t checksum;
	const char *why;

	ck_assert_int_eq(th_extent_decode(100, (struct th_slice){ &value, value_size(10) }, &extent, &why), 0);
	th_extent_clip(&extent, 0, 1000);
	ck_assert_uint_eq(extent.blocks, 10);
	th_extent_clip(&extent, 103, 105);
	ck_assert_uint_eq(extent.block, 103);
	ck_assert_uint_eq(extent.blocks, 2);
	ck_assert_uint_eq(extent.run.addr, 1003);
	ck_assert_uint_eq(extent.run.blocks, 2);
	ck_assert_uint_eq(extent.run.birth, 5);
	th_extent_checksums(&extent, 1, 1, &checksum);
	ck_assert_uint_eq(checksum, 4);
}
END_TEST

/* --- clearing and adding --- */

static struct th_fs fs; /* only the members that extents use: the store and its live view */
static uint64_t map[FILE_BLOCKS]; /* the disk block of each, 0: hole */
static struct th_random rnd;

static void store_make(void)
{
	struct th_store_options options = { .checkpoint_interval_ms = 100 };
	struct th_format_options format = { .label = "extents" };
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_memory_new((64u << 20) >> TH_BLOCK_SHIFT, &disk), 0);
	ck_assert_int_eq(th_store_format(disk, &format), 0);
	ck_assert_int_eq(th_store_open(disk, &options, &fs.store), 0);
	fs.live = th_view_live(fs.store);
}

/* A new run of blocks, each filled with its own address. */
static struct th_extent run_make(struct th_txn *txn, uint64_t block, uint32_t blocks, struct th_le64 *checksums)
{
	struct th_extent extent = { .block = block, .kind = TH_EXTENT_RUN, .bytes = (uint8_t *)checksums };
	uint64_t sums[TH_RUN_MAX];
	static uint64_t hint;
	uint8_t *buffer;

	ck_assert_int_eq(th_chunk_alloc(txn, blocks, false, &hint, &extent.run), 0);
	extent.blocks = extent.run.blocks;
	extent.size = extent.blocks * sizeof(struct th_le64);
	buffer = th_disk_buffer((size_t)extent.blocks << TH_BLOCK_SHIFT);
	memset(buffer, 0, (size_t)extent.blocks << TH_BLOCK_SHIFT);
	for (uint32_t i = 0; i < extent.blocks; i++) {
		uint64_t addr = extent.run.addr + i;

		memcpy(buffer + ((size_t)i << TH_BLOCK_SHIFT), &addr, sizeof(addr));
		sums[i] = th_chunk_checksum(buffer + ((size_t)i << TH_BLOCK_SHIFT));
		checksums[i] = th_le64(sums[i]);
	}
	ck_assert_int_eq(th_chunk_write(txn, &extent.run, buffer, sums), 0);
	return extent;
}

static void clear(struct th_txn *txn, uint64_t from, uint64_t to, int64_t *blocks)
{
	uint64_t end = from;

	while (end < to)
		ck_assert_int_eq(
			th_extent_clear(&fs, txn, FILE_ID, end, to, 1 + th_random_below(&rnd, 5), &end, blocks), 0);
	ck_assert_uint_eq(end, to);
	memset(&map[from], 0, (to - from) * sizeof(map[0]));
}

static void compare(uint64_t from, uint64_t to)
{
	struct th_extents extents;
	struct th_extent extent;
	void *buffer = th_disk_buffer(TH_BLOCK_SIZE);
	uint64_t at = from;
	int err;

	ck_assert_int_eq(th_extents_open(&fs, fs.live, FILE_ID, from, to, &extents), 0);
	while (!(err = th_extents_next(&extents, &extent))) {
		uint64_t checksum;

		for (; at < extent.block; at++)
			ck_assert_uint_eq(map[at], 0);
		for (uint32_t i = 0; i < extent.blocks; i++, at++)
			ck_assert_uint_eq(map[at], extent.run.addr + i);
		th_extent_checksums(&extent, extent.blocks - 1, 1, &checksum);
		ck_assert_int_eq(th_chunk_read(fs.store, map[at - 1], 1, &checksum, buffer), 0);
	}
	ck_assert_int_eq(err, 1);
	for (; at < to; at++)
		ck_assert_uint_eq(map[at], 0);
	th_extents_close(&extents);
	free(buffer);
}

static int64_t mapped(void)
{
	int64_t count = 0;

	for (unsigned i = 0; i < FILE_BLOCKS; i++)
		count += map[i] != 0;
	return count;
}

START_TEST(random_replacements_match_a_map)
{
	int64_t blocks = 0;

	rnd.state = th_test_seed("extent/replace");
	store_make();
	for (unsigned round = 0; round < th_test_rounds(1500); round++) {
		uint64_t from = th_random_below(&rnd, FILE_BLOCKS);
		uint32_t limit = th_random_percent(&rnd, 70) ? 8 : TH_RUN_MAX;
		uint32_t length = 1 + th_random_below(&rnd, limit);
		struct th_le64 checksums[TH_RUN_MAX];
		struct th_extent extent;
		struct th_txn *txn;

		if (length > FILE_BLOCKS - from)
			length = FILE_BLOCKS - from;
		ck_assert_int_eq(th_txn_begin(fs.store, &txn), 0);
		clear(txn, from, from + length, &blocks);
		if (th_random_percent(&rnd, 75)) {
			extent = run_make(txn, from, length, checksums);
			ck_assert_int_eq(th_extent_put(&fs, txn, FILE_ID, &extent, &blocks), 0);
			for (uint32_t i = 0; i < extent.blocks; i++)
				map[from + i] = extent.run.addr + i;
		}
		ck_assert_int_eq(th_txn_commit(txn), 0);
		from = th_random_below(&rnd, FILE_BLOCKS);
		compare(from, from + th_random_below(&rnd, FILE_BLOCKS - from) + 1);
		ck_assert_int_eq(blocks, mapped());
	}
	compare(0, FILE_BLOCKS);
	ck_assert_int_eq(th_store_close(fs.store), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("extent");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, malformed_runs_are_refused);
	tcase_add_test(cases, malformed_inline_data_is_refused);
	tcase_add_test(cases, clipping_keeps_addresses_and_checksums_together);
	tcase_add_test(cases, random_replacements_match_a_map);
	tcase_set_timeout(cases, 300);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
