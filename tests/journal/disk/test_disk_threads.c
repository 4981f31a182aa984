/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of threads.  test_disk.c has the behaviour that it shares with every kind. */
#include <pthread.h>
#include <semaphore.h>

#include "tests/journal/disk/disks.h"

#define THREADS 8 /* POOL_THREADS */
#define DEPTH 1024 /* POOL_DEPTH */

/* Continuations that keep the threads of the pool until the gate opens. */
struct gate {
	sem_t entered, opened;
	pthread_t caller;
	bool was_late; /* the transfer was complete before it had its continuation */
};

static void down(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		;
}

static void hold_thread(struct th_future *future, void *arg)
{
	struct gate *gate = arg;

	(void)future;
	if (pthread_equal(pthread_self(), gate->caller)) {
		gate->was_late = true;
		return;
	}
	sem_post(&gate->entered);
	down(&gate->opened);
}

/* Keeps every thread of the pool busy. */
static void close_gate(struct gate *gate, struct th_disk *disk, struct th_future *futures, char *buf)
{
	*gate = (struct gate){ .caller = pthread_self() };
	sem_init(&gate->entered, 0, 0);
	sem_init(&gate->opened, 0, 0);
	for (int held = 0; held < THREADS; held += !gate->was_late) {
		th_disk_get(disk, (uint64_t)held, 1, buf + (size_t)held * TH_BLOCK_SIZE, &futures[held]);
		gate->was_late = false;
		th_future_then(&futures[held], hold_thread, gate);
		if (!gate->was_late)
			down(&gate->entered);
	}
}

static void open_gate(struct gate *gate)
{
	for (int i = 0; i < THREADS; i++)
		sem_post(&gate->opened);
}

START_TEST(full_queue_makes_the_caller_transfer)
{
	struct th_disk *disk = th_test_disk(TH_TEST_THREADS_BUFFERED);
	struct th_future *futures = calloc(DEPTH + 1, sizeof(*futures)), held[THREADS];
	char *buf = th_disk_buffer((THREADS + DEPTH + 1) * TH_BLOCK_SIZE), *rest = buf + THREADS * TH_BLOCK_SIZE;
	struct gate gate;

	close_gate(&gate, disk, held, buf);
	for (int i = 0; i < DEPTH; i++) {
		th_disk_get(disk, 0, 1, rest + (size_t)i * TH_BLOCK_SIZE, &futures[i]);
		th_check(!th_future_poll(&futures[i]));
	}
	th_disk_get(disk, 0, 1, rest + DEPTH * TH_BLOCK_SIZE, &futures[DEPTH]);
	ck_assert(th_future_poll(&futures[DEPTH]));
	ck_assert_int_eq(futures[DEPTH].result, 0);
	open_gate(&gate);
	for (int i = 0; i < DEPTH; i++)
		th_ok(th_future_wait(&futures[i]));
	th_disk_close(disk);
	free(futures);
	free(buf);
}
END_TEST

static void note_thread(struct th_future *future, void *arg)
{
	(void)future;
	*(pthread_t *)arg = pthread_self();
}

START_TEST(queued_transfers_run_on_the_pool)
{
	struct th_disk *disk = th_test_disk(TH_TEST_THREADS);
	struct th_future held[THREADS], future, flush;
	char *buf = th_disk_buffer((THREADS + 1) * TH_BLOCK_SIZE);
	pthread_t thread = pthread_self();
	struct gate gate;

	close_gate(&gate, disk, held, buf);
	th_disk_get(disk, 0, 1, buf + THREADS * TH_BLOCK_SIZE, &future);
	th_future_then(&future, note_thread, &thread);
	th_disk_flush(disk, &flush);
	ck_assert(!th_future_poll(&flush));
	open_gate(&gate);
	th_ok(th_future_wait(&flush));
	th_disk_close(disk); /* joins the pool */
	ck_assert(th_future_poll(&future));
	ck_assert(!pthread_equal(thread, pthread_self()));
	free(buf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_threads");
	TCase *tcase = tcase_create("disk_threads");

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, NULL, th_test_file_remove);
	tcase_add_test(tcase, full_queue_makes_the_caller_transfer);
	tcase_add_test(tcase, queued_transfers_run_on_the_pool);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
