/* SPDX-License-Identifier: Apache-2.0 */
/* Faults and crash images of the disk for tests, against the guarantees D2 and D3 of disk.h. */
#include "tests/journal/suite.h"

#define DISK_BLOCKS 64u
#define SECTOR_SIZE 512u
#define SECTORS (TH_BLOCK_SIZE / SECTOR_SIZE)

static struct th_disk *open_disk(void)
{
	struct th_disk *memory, *disk;

	th_ok(th_disk_memory_new(DISK_BLOCKS, &memory));
	th_ok(th_disk_fault_new(memory, &disk));
	return disk;
}

static void check_content(struct th_disk *disk, uint64_t addr, int byte)
{
	char *want = th_test_block(byte), *found = th_test_block(0);

	th_ok(th_disk_read(disk, addr, 1, found));
	th_check(memcmp(want, found, TH_BLOCK_SIZE) == 0);
	free(want);
	free(found);
}

START_TEST(error_fails_one_transfer_without_effect)
{
	struct th_disk *disk = open_disk();
	char *block = th_test_block(1);

	th_disk_fault_arm(disk, TH_FAULT_ERROR, 2);
	th_ok(th_disk_write(disk, 0, 1, block));
	th_ok(th_disk_sync(disk));
	ck_assert_int_eq(th_disk_write(disk, 1, 1, block), -EIO);
	th_ok(th_disk_write(disk, 2, 1, block));
	check_content(disk, 0, 1);
	check_content(disk, 1, 0);
	check_content(disk, 2, 1);
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 0);
	ck_assert_int_eq(th_disk_read(disk, 0, 1, block), -EIO);
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 0);
	ck_assert_int_eq(th_disk_sync(disk), -EIO);
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 0);
	th_disk_fault_arm(disk, TH_FAULT_NONE, 0);
	th_ok(th_disk_sync(disk));
	free(block);
	th_disk_close(disk);
}
END_TEST

START_TEST(tear_writes_the_first_half)
{
	struct th_disk *disk = open_disk();
	char *blocks = th_disk_buffer(4 * TH_BLOCK_SIZE), *found = th_test_block(0);

	memset(blocks, 3, 4 * TH_BLOCK_SIZE);
	th_disk_fault_arm(disk, TH_FAULT_TEAR, 0);
	ck_assert_int_eq(th_disk_write(disk, 8, 4, blocks), -EIO);
	check_content(disk, 9, 3);
	check_content(disk, 10, 0);
	th_disk_fault_arm(disk, TH_FAULT_TEAR, 0);
	ck_assert_int_eq(th_disk_write(disk, 20, 1, blocks), -EIO);
	th_ok(th_disk_read(disk, 20, 1, found));
	ck_assert_int_eq(found[TH_BLOCK_SIZE / 2 - 1], 3);
	ck_assert_int_eq(found[TH_BLOCK_SIZE / 2], 0);
	free(blocks);
	free(found);
	th_disk_close(disk);
}
END_TEST

START_TEST(drop_succeeds_without_effect)
{
	struct th_disk *disk = open_disk();
	char *block = th_test_block(4);

	th_disk_fault_arm(disk, TH_FAULT_DROP, 1);
	th_ok(th_disk_write(disk, 0, 1, block));
	th_ok(th_disk_sync(disk));
	th_ok(th_disk_write(disk, 1, 1, block));
	check_content(disk, 0, 4);
	check_content(disk, 1, 0);
	free(block);
	th_disk_close(disk);
}
END_TEST

static unsigned bits_unlike(const char *block, int byte)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < TH_BLOCK_SIZE; i++)
		bits += (unsigned)__builtin_popcount((unsigned char)(block[i] ^ byte));
	return bits;
}

START_TEST(flip_changes_one_bit)
{
	struct th_disk *disk = open_disk();
	char *block = th_test_block(5), *found = th_test_block(0);

	th_disk_fault_arm(disk, TH_FAULT_FLIP, 0);
	th_ok(th_disk_write(disk, 0, 1, block));
	ck_assert_uint_eq(bits_unlike(block, 5), 0);
	th_ok(th_disk_read(disk, 0, 1, found));
	ck_assert_uint_eq(bits_unlike(found, 5), 1);
	th_ok(th_disk_write(disk, 0, 1, block));
	th_disk_fault_arm(disk, TH_FAULT_FLIP, 0);
	th_ok(th_disk_sync(disk));
	th_ok(th_disk_read(disk, 0, 1, found));
	ck_assert_uint_eq(bits_unlike(found, 5), 1);
	check_content(disk, 0, 5);
	free(block);
	free(found);
	th_disk_close(disk);
}
END_TEST

START_TEST(cut_fails_everything_afterwards)
{
	struct th_disk *disk = open_disk();
	char *block = th_test_block(6);

	th_disk_fault_arm(disk, TH_FAULT_CUT, 1);
	th_ok(th_disk_read(disk, 0, 1, block));
	th_ok(th_disk_write(disk, 0, 1, block));
	th_ok(th_disk_read(disk, 0, 1, block));
	ck_assert_int_eq(th_disk_sync(disk), -EIO);
	ck_assert_int_eq(th_disk_write(disk, 0, 1, block), -EIO);
	ck_assert_int_eq(th_disk_read(disk, 0, 1, block), -EIO);
	ck_assert_uint_eq(th_disk_fault_events(disk), 1);
	free(block);
	th_disk_close(disk);
}
END_TEST

/* --- crash images --- */

#define EVENTS 60u

/* The saves, discards and flushes that were done. */
struct history {
	struct th_disk *disk;
	uint64_t nevents;
	bool flush[EVENTS], discard[EVENTS];
	uint32_t addr[EVENTS], blocks[EVENTS];
};

/* Does a save, a discard or a flush.  Save number n fills its sectors with n + 1. */
static void random_event(struct history *history, struct th_random *random)
{
	uint64_t n = history->nevents++;
	char *buf;

	history->flush[n] = th_random_percent(random, 20);
	if (history->flush[n]) {
		th_ok(th_disk_sync(history->disk));
		return;
	}
	history->addr[n] = th_random_below(random, DISK_BLOCKS - 4);
	history->blocks[n] = 1 + th_random_below(random, 4);
	history->discard[n] = th_random_percent(random, 20);
	if (history->discard[n]) {
		th_ok(th_disk_discard(history->disk, history->addr[n], history->blocks[n]));
		return;
	}
	buf = th_disk_buffer((size_t)history->blocks[n] * TH_BLOCK_SIZE);
	memset(buf, (int)n + 1, (size_t)history->blocks[n] * TH_BLOCK_SIZE);
	th_ok(th_disk_write(history->disk, history->addr[n], history->blocks[n], buf));
	free(buf);
}

static bool event_covers(const struct history *history, uint64_t n, uint64_t addr)
{
	return !history->flush[n] && addr >= history->addr[n] && addr < history->addr[n] + history->blocks[n];
}

/* Returns whether a crash after nevents may leave `value` in a sector of this block.  By D2 and D3 that is the newest
 * save that a flush covers, or any later one; a discard is like a save of zeros (D4). */
static bool value_is_legal(const struct history *history, uint64_t nevents, uint64_t addr, unsigned value)
{
	uint64_t covered = nevents;

	while (covered > 0 && !history->flush[covered - 1])
		covered--;
	for (uint64_t n = nevents; n-- > 0;) {
		if (!event_covers(history, n, addr))
			continue;
		if (value == (history->discard[n] ? 0 : n + 1))
			return true;
		if (n < covered)
			return false;
	}
	return value == 0;
}

/* Checks every sector.  Returns how many differ from a disk that lost nothing. */
static unsigned check_image(const struct history *history, uint64_t nevents, struct th_disk *image)
{
	char *block = th_test_block(0);
	unsigned lost = 0;

	for (uint64_t addr = 0; addr < DISK_BLOCKS; addr++) {
		uint64_t newest = nevents;

		while (newest > 0 && !event_covers(history, newest - 1, addr))
			newest--;
		th_ok(th_disk_read(image, addr, 1, block));
		for (unsigned i = 0; i < SECTORS; i++) {
			const char *sector = block + i * SECTOR_SIZE;

			th_check(memcmp(sector, sector + 1, SECTOR_SIZE - 1) == 0);
			th_check(value_is_legal(history, nevents, addr, (unsigned char)*sector));
			lost += (unsigned char)*sector != (newest && history->discard[newest - 1] ? 0 : newest);
		}
	}
	free(block);
	return lost;
}

START_TEST(crash_images_keep_flushed_saves_and_lose_others)
{
	struct history history = { .disk = open_disk() };
	struct th_random random = { th_test_seed("crash_images_keep_flushed_saves_and_lose_others") };
	unsigned lossy = 0, whole = 0;

	while (history.nevents < EVENTS)
		random_event(&history, &random);
	ck_assert_uint_eq(th_disk_fault_events(history.disk), EVENTS);
	for (uint64_t nevents = 0; nevents <= EVENTS; nevents++) {
		for (uint64_t seed = 0; seed < 8; seed++) {
			struct th_disk *image;

			th_ok(th_disk_fault_crash_image(history.disk, nevents, seed, &image));
			if (check_image(&history, nevents, image))
				lossy++;
			else
				whole++;
			th_disk_close(image);
		}
	}
	ck_assert_uint_gt(lossy, 50);
	ck_assert_uint_gt(whole, 0);
	th_disk_close(history.disk);
}
END_TEST

START_TEST(discards_are_recorded_and_not_counted_by_faults)
{
	struct th_disk *disk = open_disk(), *image;
	char *block = th_test_block(7);
	bool old = false, zero = false;

	ck_assert(disk->sparse);
	th_ok(th_disk_write(disk, 3, 1, block));
	th_ok(th_disk_sync(disk));
	th_disk_fault_arm(disk, TH_FAULT_ERROR, 0);
	th_ok(th_disk_discard(disk, 3, 1));
	ck_assert_int_eq(th_disk_sync(disk), -EIO);
	ck_assert_uint_eq(th_disk_fault_events(disk), 3);
	check_content(disk, 3, 0);
	for (uint64_t seed = 0; seed < 20; seed++) {
		th_ok(th_disk_fault_crash_image(disk, 3, seed, &image));
		th_ok(th_disk_read(image, 3, 1, block));
		old |= *block == 7;
		zero |= *block == 0;
		th_disk_close(image);
	}
	ck_assert(old && zero);
	th_ok(th_disk_sync(disk));
	th_ok(th_disk_fault_crash_image(disk, 4, 1, &image));
	check_content(image, 3, 0);
	th_disk_close(image);
	th_disk_fault_arm(disk, TH_FAULT_CUT, 0);
	ck_assert_int_eq(th_disk_sync(disk), -EIO);
	ck_assert_int_eq(th_disk_discard(disk, 3, 1), -EIO);
	free(block);
	th_disk_close(disk);
}
END_TEST

START_TEST(reset_keeps_content_as_base_of_images)
{
	struct th_disk *disk = open_disk(), *image;
	char *block = th_test_block(7);

	th_ok(th_disk_write(disk, 3, 1, block));
	th_ok(th_disk_fault_reset(disk));
	ck_assert_uint_eq(th_disk_fault_events(disk), 0);
	th_ok(th_disk_write(disk, 4, 1, block));
	th_ok(th_disk_fault_crash_image(disk, 0, 1, &image));
	check_content(image, 3, 7);
	check_content(image, 4, 0);
	th_disk_close(image);
	th_disk_close(disk);
	free(block);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_fault");
	TCase *tcase = tcase_create("disk_fault");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, error_fails_one_transfer_without_effect);
	tcase_add_test(tcase, tear_writes_the_first_half);
	tcase_add_test(tcase, drop_succeeds_without_effect);
	tcase_add_test(tcase, flip_changes_one_bit);
	tcase_add_test(tcase, cut_fails_everything_afterwards);
	tcase_add_test(tcase, crash_images_keep_flushed_saves_and_lose_others);
	tcase_add_test(tcase, discards_are_recorded_and_not_counted_by_faults);
	tcase_add_test(tcase, reset_keeps_content_as_base_of_images);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
