/* SPDX-License-Identifier: Apache-2.0 */
/* The disk on io_uring.  test_disk.c has the behaviour that it shares with every kind. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "tests/journal/disk/disks.h"

#define DEPTH 1024 /* URING_DEPTH */

static struct th_disk *disk;

static void setup(void)
{
	disk = th_test_disk(TH_TEST_URING);
}

static void teardown(void)
{
	th_disk_close(disk);
	th_test_file_remove();
}

static void note_thread(struct th_future *future, void *arg)
{
	(void)future;
	*(pthread_t *)arg = pthread_self();
}

START_TEST(waiting_thread_reaps_by_itself)
{
	char *buf = th_disk_buffer(2 * TH_BLOCK_SIZE);
	struct th_future first, second;
	pthread_t thread;

	for (int i = 0; i < 100; i++) {
		memset(&thread, 0, sizeof(thread));
		th_disk_get(disk, 0, 1, buf, &first);
		th_future_then_driven(&first, note_thread, &thread);
		th_disk_get(disk, 1, 1, buf + TH_BLOCK_SIZE, &second);
		th_ok(th_future_wait(&second));
		while (!th_future_poll(&first))
			th_disk_reap(disk, NULL);
		th_check(pthread_equal(thread, pthread_self()));
	}
	free(buf);
}
END_TEST

static void post(struct th_future *future, void *arg)
{
	(void)future;
	sem_post(arg);
}

/* No thread reaps, so all operations stay in use; the next transfer is complete when it returns. */
START_TEST(caller_transfers_when_all_operations_are_in_use)
{
	struct th_future *futures = calloc(DEPTH, sizeof(*futures)), one, flush;
	char *buf = th_disk_buffer(2 * TH_BLOCK_SIZE);
	sem_t done;

	sem_init(&done, 0, 0);
	for (int i = 0; i < DEPTH; i++) {
		th_disk_get(disk, 0, 1, buf, &futures[i]);
		th_future_then_driven(&futures[i], post, &done);
		th_check(!th_future_poll(&futures[i]));
	}
	th_disk_get(disk, 1, 1, buf + TH_BLOCK_SIZE, &one);
	ck_assert(th_future_poll(&one));
	ck_assert_int_eq(one.result, 0);
	th_disk_flush(disk, &flush);
	ck_assert(th_future_poll(&flush));
	for (int i = 0; i < DEPTH; i++) {
		while (!th_future_poll(&futures[i]))
			th_disk_reap(disk, NULL);
		th_ok(futures[i].result);
	}
	for (int i = 0; i < DEPTH; i++)
		th_ok(sem_trywait(&done));
	free(futures);
	free(buf);
}
END_TEST

#define READERS 16

struct reader {
	unsigned seed;
	pthread_t thread;
};

static void *read_some(void *arg)
{
	struct th_random random = { ((struct reader *)arg)->seed };
	char *buf = th_disk_buffer(8 * TH_BLOCK_SIZE);
	struct th_future futures[8];

	for (unsigned round = 0; round < th_test_rounds(200); round++) {
		for (int i = 0; i < 8; i++)
			th_disk_get(disk, th_random_below(&random, TH_TEST_DISK_BLOCKS), 1, buf + i * TH_BLOCK_SIZE,
				    &futures[i]);
		for (int i = 0; i < 8; i++)
			th_ok(th_future_wait(&futures[i]));
	}
	free(buf);
	return NULL;
}

/* The reaper completes the futures of others and passes the role on: no thread is left asleep. */
START_TEST(every_waiter_is_woken)
{
	char *data = th_disk_buffer(256 * TH_BLOCK_SIZE);
	struct reader readers[READERS];

	/* Reads of blocks that were never written complete at once, and no thread waits. */
	memset(data, 1, 256 * TH_BLOCK_SIZE);
	for (uint64_t addr = 0; addr < TH_TEST_DISK_BLOCKS; addr += 256)
		th_ok(th_disk_write(disk, addr, 256, data));
	free(data);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].seed = i + 1;
		th_ok(pthread_create(&readers[i].thread, NULL, read_some, &readers[i]));
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	ck_assert_uint_eq(disk->reads, READERS * th_test_rounds(200) * 8);
}
END_TEST

/* Only this kind of disk needs its waiters to reap. */
static bool uring_is_usable(void)
{
	struct th_disk *program;
	bool usable;

	if (th_disk_open("/proc/self/exe", TH_DISK_READ_ONLY, &program))
		return false;
	usable = program->ops->reap != NULL;
	th_disk_close(program);
	return usable;
}

int main(void)
{
	Suite *suite = suite_create("disk_uring");
	TCase *tcase = tcase_create("disk_uring");

	if (!uring_is_usable()) {
		puts("io_uring cannot be used here");
		return 77; /* skipped */
	}
	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, waiting_thread_reaps_by_itself);
	tcase_add_test(tcase, caller_transfers_when_all_operations_are_in_use);
	tcase_add_test(tcase, every_waiter_is_woken);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
