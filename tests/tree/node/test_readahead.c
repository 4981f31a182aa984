/* SPDX-License-Identifier: Apache-2.0 */
/* Readahead: reads near one another come from memory, scattered reads do not, and old data is never returned. */
#include "tree/node/readahead.h"

#include <stdlib.h>

#include "tests/tree/fixture.h"

#define DISK_BLOCKS 65536u

static struct th_disk *disk;
static struct th_readahead *ahead;
static char *block;

static void write_block(uint64_t addr, uint64_t what)
{
	memset(block, 0, TH_BLOCK_SIZE);
	memcpy(block, &addr, sizeof(addr));
	memcpy(block + sizeof(addr), &what, sizeof(what));
	th_ok(th_disk_write(disk, addr, 1, block));
}

/* Reads as a reader does, from a region or from the disk.  Returns true if it was a region. */
static bool read_block(uint64_t addr, uint64_t what)
{
	uint64_t found[2];
	bool from_region = th_readahead_read(ahead, addr, 1, block);

	if (!from_region)
		th_ok(th_disk_read(disk, addr, 1, block));
	memcpy(found, block, sizeof(found));
	ck_assert_uint_eq(found[0], addr);
	if (found[1] != what) {
		ck_assert(from_region);
		th_readahead_forget(ahead, addr);
		return read_block(addr, what);
	}
	return from_region;
}

static void begin(void)
{
	th_ok(th_disk_memory_new(DISK_BLOCKS, &disk));
	th_ok(th_readahead_new(disk, &ahead));
	block = th_disk_buffer(TH_BLOCK_SIZE);
	for (uint64_t addr = 0; addr < 4096; addr++)
		write_block(addr, 1);
}

static void end(void)
{
	free(block);
	th_readahead_free(ahead);
	th_disk_close(disk);
}

START_TEST(near_reads_come_from_memory)
{
	struct th_random random = { .state = 1 };
	uint64_t before;

	begin();
	before = disk->reads;
	for (int i = 0; i < 1000; i++)
		read_block(1000 + th_random_below(&random, 256), 1);
	ck_assert_uint_le(disk->reads - before, 20);
	end();
}
END_TEST

START_TEST(scattered_reads_are_not_extended)
{
	uint64_t before;

	begin();
	before = disk->bytes_read;
	for (uint64_t i = 1; i < 100; i++) {
		write_block(i * 600, i);
		ck_assert(!read_block(i * 600, i));
	}
	ck_assert_uint_eq(disk->bytes_read - before, 99 * TH_BLOCK_SIZE);
	end();
}
END_TEST

START_TEST(written_data_is_never_hidden)
{
	struct th_random random = { .state = 1 };
	uint64_t what[512];

	begin();
	for (int i = 0; i < 512; i++)
		what[i] = 1;
	for (uint64_t i = 2; i < 5000; i++) {
		uint64_t at = th_random_below(&random, 512);

		if (i % 3 == 0) {
			what[at] = i;
			write_block(at + 1, i);
		} else {
			read_block(at + 1, what[at]);
		}
	}
	end();
}
END_TEST

static void jump_about(uint64_t times)
{
	for (uint64_t i = 0; i < times; i++)
		ck_assert(!read_block(2000 + i % 100 * 600, 1));
}

START_TEST(an_idle_region_frees_its_memory)
{
	begin();
	for (uint64_t i = 0; i < 100; i++)
		write_block(2000 + i * 600, 1);
	for (int i = 0; i < 100; i++)
		read_block(1000, 1);
	ck_assert(read_block(1001, 1));
	jump_about(500);
	ck_assert(read_block(1001, 1));
	jump_about(2000);
	ck_assert(!read_block(1001, 1));
	for (int i = 0; i < 100; i++)
		read_block(1000, 1);
	ck_assert(read_block(1001, 1));
	end();
}
END_TEST

/* Neither a region past the end of the disk is read, nor two regions for one read. */
START_TEST(reads_stay_within_one_region)
{
	char *two = th_disk_buffer(2 * TH_BLOCK_SIZE);
	struct th_readahead *small;
	struct th_disk *odd;

	th_ok(th_disk_memory_new(TH_READAHEAD_BLOCKS + 10, &odd));
	th_ok(th_readahead_new(odd, &small));
	for (int i = 0; i < 10; i++) {
		ck_assert(!th_readahead_read(small, TH_READAHEAD_BLOCKS + 1, 1, two));
		ck_assert(!th_readahead_read(small, TH_READAHEAD_BLOCKS - 1, 2, two));
	}
	ck_assert_uint_eq(odd->reads, 0);
	th_readahead_free(small);
	th_disk_close(odd);
	free(two);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { near_reads_come_from_memory, scattered_reads_are_not_extended,
				       written_data_is_never_hidden, an_idle_region_frees_its_memory,
				       reads_stay_within_one_region };

	return th_tests_run("readahead", tests, sizeof(tests) / sizeof(tests[0]));
}
