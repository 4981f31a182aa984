/* SPDX-License-Identifier: Apache-2.0 */
/* The non-owning disk. */
#include <pthread.h>
#include <unistd.h>

#include "tests/journal/disk/disks.h"

START_TEST(closing_leaves_the_lent_disk_open)
{
	struct th_disk *disk = th_test_disk(_i), *lent = th_disk_lend(disk);
	char *block = th_test_block(5), *found = th_test_block(0);

	ck_assert_ptr_nonnull(lent);
	ck_assert_uint_eq(lent->blocks, disk->blocks);
	ck_assert_str_eq(lent->name, disk->name);
	th_ok(th_disk_write(lent, 3, 1, block));
	th_ok(th_disk_sync(lent));
	th_disk_close(lent);
	th_ok(th_disk_read(disk, 3, 1, found));
	ck_assert_mem_eq(block, found, TH_BLOCK_SIZE);
	ck_assert_uint_eq(disk->writes, 1);
	ck_assert_uint_eq(disk->flushes, 1);
	free(block);
	free(found);
	th_disk_close(disk);
}
END_TEST

static void complete_end(struct th_future *future, void *end)
{
	th_future_complete(end, future->result);
}

/* The lent disk may be one that completes such a transfer only when it is reaped. */
START_TEST(reaping_reaps_the_lent_disk)
{
	struct th_disk *disk = th_test_disk(_i), *lent = th_disk_lend(disk);
	struct th_future future, end;
	char *block = th_test_block(0);

	th_future_init(&end, NULL, NULL);
	th_disk_get(lent, 0, 1, block, &future);
	th_future_then_driven(&future, complete_end, &end);
	th_disk_reap(lent, &end);
	ck_assert(th_future_poll(&end));
	ck_assert_int_eq(end.result, 0);
	free(block);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

START_TEST(watching_watches_the_lent_disk)
{
	struct th_disk *disk = th_test_disk(_i), *lent = th_disk_lend(disk);
	struct th_future future, end;
	char *block = th_test_block(0);

	th_future_init(&end, NULL, NULL);
	th_disk_watch(lent, true);
	th_disk_get(lent, 0, 1, block, &future);
	th_future_then_driven(&future, complete_end, &end);
	ck_assert_int_eq(th_future_wait(&end), 0);
	th_disk_watch(lent, false);
	free(block);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

/* --- a disk that completes everything by itself must not be driven by reaping it: that would recurse --- */

static unsigned drives;

static void drive_by_reaping(struct th_future *future)
{
	ck_assert_uint_lt(drives++, 1);
	th_disk_reap(future->owner, future);
	drives--;
}

START_TEST(discards_reach_the_lent_disk)
{
	struct th_disk *disk, *lent;
	char *block = th_test_block(3);

	th_ok(th_disk_memory_new(16, &disk));
	lent = th_disk_lend(disk);
	ck_assert_ptr_nonnull(lent);
	ck_assert(lent->sparse);
	th_ok(th_disk_write(lent, 2, 1, block));
	th_ok(th_disk_discard(lent, 2, 1));
	th_ok(th_disk_read(disk, 2, 1, block));
	ck_assert_int_eq(*block, 0);
	ck_assert_uint_eq(disk->discards, 1);
	free(block);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

static void *complete_later(void *arg)
{
	usleep(20000); /* so that the other thread waits; if it does not, the test passes without a check */
	th_future_complete(arg, 7);
	return NULL;
}

START_TEST(reaping_a_disk_without_reap_only_waits)
{
	struct th_disk *disk, *lent;
	struct th_future future;
	pthread_t thread;

	drives = 0;
	th_ok(th_disk_memory_new(16, &disk));
	lent = th_disk_lend(disk);
	ck_assert_ptr_nonnull(lent);
	th_future_init(&future, drive_by_reaping, lent);
	th_ok(pthread_create(&thread, NULL, complete_later, &future));
	ck_assert_int_eq(th_future_wait(&future), 7);
	pthread_join(thread, NULL);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_lend");
	TCase *tcase = tcase_create("disk_lend");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, NULL, th_test_file_remove);
	tcase_add_loop_test(tcase, closing_leaves_the_lent_disk_open, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, reaping_reaps_the_lent_disk, 0, TH_TEST_DISK_KINDS);
	tcase_add_loop_test(tcase, watching_watches_the_lent_disk, 0, TH_TEST_DISK_KINDS);
	tcase_add_test(tcase, discards_reach_the_lent_disk);
	tcase_add_test(tcase, reaping_a_disk_without_reap_only_waits);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
