/* SPDX-License-Identifier: Apache-2.0 */
/* The disk in memory.  test_disk.c has the behaviour that it shares with every kind. */
#include "tests/journal/disk/disks.h"

START_TEST(unwritten_blocks_use_no_memory)
{
	struct th_disk *disk;
	char *block = th_test_block(9), *other = th_test_block(0);
	uint64_t blocks = UINT64_C(1) << 24; /* 64 GiB */

	th_ok(th_disk_memory_new(blocks, &disk));
	th_ok(th_disk_write(disk, blocks - 1, 1, block));
	th_ok(th_disk_read(disk, blocks - 1, 1, other));
	ck_assert_mem_eq(block, other, TH_BLOCK_SIZE);
	th_disk_close(disk);
	free(block);
	free(other);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
	struct th_disk *disk;

	ck_assert_int_eq(th_disk_memory_new(0, &disk), -EINVAL);
	ck_assert_int_eq(th_disk_memory_new(UINT64_MAX, &disk), -EINVAL);
	ck_assert_int_eq(th_disk_memory_new((SIZE_MAX >> TH_BLOCK_SHIFT) + 1, &disk), -EINVAL);
}
END_TEST

START_TEST(transfers_are_complete_when_they_return)
{
	struct th_disk *disk = th_test_disk(TH_TEST_MEMORY);
	char *blocks = th_disk_buffer(3 * TH_BLOCK_SIZE), *found = th_disk_buffer(3 * TH_BLOCK_SIZE);
	struct iovec iov[] = { { blocks, TH_BLOCK_SIZE }, { blocks + TH_BLOCK_SIZE, 2 * TH_BLOCK_SIZE } };
	struct th_future future;

	for (int i = 0; i < 3; i++)
		memset(blocks + i * TH_BLOCK_SIZE, i + 1, TH_BLOCK_SIZE);
	th_disk_save(disk, 7, iov, 2, &future);
	ck_assert(th_future_poll(&future));
	th_disk_get(disk, 7, 3, found, &future);
	ck_assert(th_future_poll(&future));
	ck_assert_mem_eq(blocks, found, 3 * TH_BLOCK_SIZE);
	ck_assert_str_eq(disk->name, "memory");
	free(blocks);
	free(found);
	th_disk_close(disk);
}
END_TEST

START_TEST(discarded_blocks_give_their_pages_back)
{
	struct th_disk *disk = th_test_disk(TH_TEST_MEMORY);
	char *block = th_test_block(9);
	static const char zeros[TH_BLOCK_SIZE];

	th_ok(th_disk_write(disk, 5, 1, block));
	th_ok(th_disk_discard(disk, 5, 1));
	th_ok(th_disk_read(disk, 5, 1, block));
	ck_assert_mem_eq(block, zeros, TH_BLOCK_SIZE); /* as only a page that the kernel took away reads */
	free(block);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_memory");
	TCase *tcase = tcase_create("disk_memory");

	tcase_add_test(tcase, unwritten_blocks_use_no_memory);
	tcase_add_test(tcase, impossible_sizes_are_refused);
	tcase_add_test(tcase, transfers_are_complete_when_they_return);
	tcase_add_test(tcase, discarded_blocks_give_their_pages_back);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
