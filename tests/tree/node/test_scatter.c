/* SPDX-License-Identifier: Apache-2.0 */
/* Scattered nodes: their blocks are read in order, and maps that were damaged or made to deceive are refused. */
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tests/tree/fixture.h"
#include "tree/node/scatter.h"

#define BLOCKS 6

static const struct th_scatter sample = { .count = 3, .run = { { 40, 1 }, { 10, 3 }, { 30, 2 } } };
static struct th_ptr pointer = { .addr = 5, .birth = 77, .blocks = BLOCKS, .scattered = 1 };

/* A disk with the sample's map and blocks, each filled with its number in the node. */
static struct th_disk *new_disk(void)
{
	struct th_disk *disk;
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);
	static uint8_t node[BLOCKS * TH_BLOCK_SIZE];
	uint8_t number = 0;

	ck_assert_ptr_nonnull(block);
	th_ok(th_disk_memory_new(64, &disk));
	th_scatter_pack(&sample, pointer.birth, block);
	th_ok(th_disk_write(disk, pointer.addr, 1, block));
	for (unsigned i = 0; i < sample.count; i++)
		for (uint32_t j = 0; j < sample.run[i].blocks; j++) {
			memset(block, ++number, TH_BLOCK_SIZE);
			th_ok(th_disk_write(disk, sample.run[i].addr + j, 1, block));
			memcpy(node + (size_t)(number - 1) * TH_BLOCK_SIZE, block, TH_BLOCK_SIZE);
		}
	pointer.checksum = th_checksum(node, sizeof(node));
	free(block);
	return disk;
}

static void verify(const uint8_t *blocks)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_uint_eq(blocks[i * TH_BLOCK_SIZE + 17], i + 1);
}

START_TEST(blocks_are_read_in_the_order_of_the_map)
{
	struct th_disk *disk = new_disk();
	uint8_t *blocks = th_disk_buffer(BLOCKS * TH_BLOCK_SIZE);
	struct th_future future;

	ck_assert_ptr_nonnull(blocks);
	th_ok(th_node_blocks_read(disk, &pointer, blocks));
	verify(blocks);
	memset(blocks, 0, BLOCKS * TH_BLOCK_SIZE);
	th_node_blocks_get(disk, &pointer, blocks, &future);
	th_disk_reap(disk, &future);
	th_ok(th_future_wait(&future));
	verify(blocks);
	free(blocks);
	th_disk_close(disk);
}
END_TEST

/* Writes the map after a change, with a checksum that matches, and expects both ways of reading to refuse it. */
static void expect_refused(struct th_disk *disk, struct th_scatter_disk *map, int expected)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE), *blocks = th_disk_buffer(BLOCKS * TH_BLOCK_SIZE);
	struct th_future future;

	ck_assert_ptr_nonnull(block);
	ck_assert_ptr_nonnull(blocks);
	memset(block, 0, TH_BLOCK_SIZE);
	memcpy(block, map, sizeof(*map));
	th_ok(th_disk_write(disk, pointer.addr, 1, block));
	th_expect(th_node_blocks_read(disk, &pointer, blocks), expected);
	th_node_blocks_get(disk, &pointer, blocks, &future);
	th_disk_reap(disk, &future);
	th_expect(th_future_wait(&future), expected);
	free(block);
	free(blocks);
}

#define EXPECT_REFUSED(...)                                                                                            \
	do {                                                                                                           \
		struct th_scatter_disk map;                                                                            \
                                                                                                                       \
		memcpy(&map, good, sizeof(map));                                                                       \
		__VA_ARGS__;                                                                                           \
		map.checksum = th_le64(th_checksum(map.run, sizeof(map.run)));                                         \
		expect_refused(disk, &map, -EUCLEAN);                                                                  \
	} while (0)

START_TEST(maps_made_to_deceive_are_refused)
{
	struct th_disk *disk = new_disk();
	uint8_t good[TH_BLOCK_SIZE];
	struct th_scatter_disk torn;

	th_scatter_pack(&sample, pointer.birth, good);
	EXPECT_REFUSED(map.magic = th_le32(1));
	EXPECT_REFUSED(map.birth = th_le64(pointer.birth + 1));
	EXPECT_REFUSED(map.count = th_le32(0));
	EXPECT_REFUSED(map.count = th_le32(2));
	EXPECT_REFUSED(map.count = th_le32(TH_SCATTER_MAX + 1));
	EXPECT_REFUSED(map.count = th_le32(UINT32_MAX));
	EXPECT_REFUSED(map.run[0].addr = th_le64(0));
	EXPECT_REFUSED(map.run[0].addr = th_le64(64));
	EXPECT_REFUSED(map.run[0].addr = th_le64(UINT64_MAX));
	EXPECT_REFUSED(map.run[1].blocks = th_le32(4));
	EXPECT_REFUSED(map.run[1].blocks = th_le32(0));
	EXPECT_REFUSED(map.run[1].blocks = th_le32(UINT32_MAX));
	memcpy(&torn, good, sizeof(torn));
	torn.run[2].addr = th_le64(31);
	expect_refused(disk, &torn, -EBADMSG);
	th_disk_close(disk);
}
END_TEST

static int add_run(const struct th_run *run, void *arg)
{
	struct th_scatter *found = arg;

	ck_assert_uint_eq(run->birth, pointer.birth);
	found->run[found->count].addr = run->addr;
	found->run[found->count++].blocks = run->blocks;
	return 0;
}

START_TEST(every_run_and_the_map_are_freed)
{
	struct th_disk *disk = new_disk();
	struct th_scatter found = { 0 };
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	th_ok(th_node_each_run(disk, &pointer, add_run, &found));
	ck_assert_uint_eq(found.count, 4);
	ck_assert_uint_eq(found.run[0].addr, pointer.addr);
	ck_assert_uint_eq(found.run[0].blocks, 1);
	ck_assert_int_eq(memcmp(&found.run[1], &sample.run[0], 3 * sizeof(sample.run[0])), 0);
	/* Of a damaged map, the map alone. */
	ck_assert_ptr_nonnull(block);
	memset(block, 0xff, TH_BLOCK_SIZE);
	th_ok(th_disk_write(disk, pointer.addr, 1, block));
	found.count = 0;
	th_ok(th_node_each_run(disk, &pointer, add_run, &found));
	ck_assert_uint_eq(found.count, 1);
	free(block);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { blocks_are_read_in_the_order_of_the_map, maps_made_to_deceive_are_refused,
				       every_run_and_the_map_are_freed };

	return th_tests_run("scatter", tests, sizeof(tests) / sizeof(tests[0]));
}
