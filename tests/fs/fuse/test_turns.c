/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that take turns: how many are at work, while that number is changed. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>

#include "fs/fuse/turns.h"
#include "tests/support/suite.h"

#define THREADS 4
#define ROUNDS 200

static struct th_turns turns;
static _Atomic unsigned at_work, most_at_work;
static _Atomic unsigned rounds[THREADS];
static _Atomic unsigned ended;

static void *work(void *arg)
{
	_Atomic unsigned *mine = arg;
	bool turn = false;

	while (th_turns_take(&turns, &turn)) {
		unsigned now = atomic_fetch_add(&at_work, 1) + 1;
		unsigned most = atomic_load(&most_at_work);

		if (!turn)
			abort(); /* ck_assert is not for threads */
		while (now > most && !atomic_compare_exchange_weak(&most_at_work, &most, now))
			;
		sched_yield();
		atomic_fetch_sub(&at_work, 1);
		atomic_fetch_add(mine, 1);
	}
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static unsigned sum(void)
{
	unsigned all = 0;

	for (int i = 0; i < THREADS; i++)
		all += atomic_load(&rounds[i]);
	return all;
}

/* Until so many have gone on from where they are now. */
static void wait_for(unsigned threads)
{
	unsigned before[THREADS], gone;

	for (int i = 0; i < THREADS; i++)
		before[i] = atomic_load(&rounds[i]);
	do {
		gone = 0;
		sched_yield();
		for (int i = 0; i < THREADS; i++)
			gone += atomic_load(&rounds[i]) > before[i] + 1;
	} while (gone < threads);
}

/* Whoever has a turn too many gives it up before the first of them is through twice. */
static void wait_for_parking(void)
{
	while (atomic_load(&turns.taken) > atomic_load(&turns.open))
		sched_yield();
	while (atomic_load(&at_work) > atomic_load(&turns.open))
		sched_yield();
}

START_TEST(as_many_as_are_open)
{
	pthread_t thread[THREADS];

	th_turns_init(&turns);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &rounds[i]), 0);
	wait_for(THREADS);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned open = 1 + round % 2, before;

		th_turns_open(&turns, open);
		wait_for_parking();
		atomic_store(&most_at_work, 0);
		before = sum();
		while (sum() < before + 20)
			sched_yield();
		ck_assert_uint_le(atomic_load(&most_at_work), open);
		if (round % 8 == 0) {
			th_turns_open(&turns, TH_TURNS_ALL);
			wait_for(THREADS);
		}
	}
	th_turns_open(&turns, 1);
	th_turns_end(&turns);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_uint_eq(atomic_load(&ended), THREADS);
	th_turns_release(&turns);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns");
	TCase *tcase = tcase_create("turns");

	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, as_many_as_are_open);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
