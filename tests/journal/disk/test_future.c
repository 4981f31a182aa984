/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>

#include "journal/base/thread.h"
#include "tests/journal/suite.h"

static void count(struct th_future *future, void *arg)
{
	th_check(th_future_poll(future));
	++*(_Atomic int *)arg;
}

static void count_and_free(struct th_future *future, void *arg)
{
	count(future, arg);
	free(future);
}

START_TEST(result_stays_after_completion)
{
	struct th_future future;

	th_future_init(&future, NULL, NULL);
	ck_assert(!th_future_poll(&future));
	th_future_complete(&future, -EIO);
	ck_assert(th_future_poll(&future));
	ck_assert_int_eq(th_future_wait(&future), -EIO);
	ck_assert_int_eq(th_future_wait(&future), -EIO);
}
END_TEST

START_TEST(continuation_runs_once_left_before_or_after_completion)
{
	_Atomic int calls = 0;
	struct th_future *future = malloc(sizeof(*future));

	th_future_init(future, NULL, NULL);
	th_future_then(future, count_and_free, &calls);
	ck_assert_int_eq(calls, 0);
	th_future_complete(future, 0);
	ck_assert_int_eq(calls, 1);

	future = malloc(sizeof(*future));
	th_future_init(future, NULL, NULL);
	th_future_complete(future, 0);
	th_future_then(future, count_and_free, &calls);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void drive_thrice(struct th_future *future)
{
	int *drives = future->owner;

	if (++*drives == 3)
		th_future_complete(future, 7);
}

static void attended(struct th_future *future)
{
	++*(int *)future->owner;
}

START_TEST(waiter_drives_until_complete)
{
	struct th_future future;
	int drives = 0;

	th_future_init(&future, drive_thrice, &drives);
	ck_assert_int_eq(th_future_wait(&future), 7);
	ck_assert_int_eq(drives, 3);
}
END_TEST

START_TEST(owner_is_notified_of_a_continuation_before_completion)
{
	_Atomic int calls = 0;
	struct th_future future;
	int attends = 0;

	th_future_init(&future, drive_thrice, &attends);
	future.attend = attended;
	th_future_then(&future, count, &calls);
	ck_assert_int_eq(attends, 1);
	ck_assert_int_eq(calls, 0);
	th_future_complete(&future, 0);
	ck_assert_int_eq(calls, 1);

	th_future_init(&future, drive_thrice, &attends);
	future.attend = attended;
	th_future_complete(&future, 0);
	th_future_then(&future, count, &calls);
	ck_assert_int_eq(attends, 1);
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(driven_continuation_does_not_notify_the_owner)
{
	_Atomic int calls = 0;
	struct th_future future;
	int attends = 0;

	th_future_init(&future, drive_thrice, &attends);
	future.attend = attended;
	ck_assert(!th_future_then_driven(&future, count, &calls));
	th_future_complete(&future, 0);
	ck_assert_int_eq(calls, 1);

	th_future_init(&future, drive_thrice, &attends);
	future.attend = attended;
	th_future_complete(&future, 0);
	ck_assert(th_future_then_driven(&future, count, &calls));
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(attends, 0);
}
END_TEST

#define RACES 4000

struct race {
	struct th_future *_Atomic offered;
	_Atomic int calls;
};

static void *complete_offered(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < RACES; i++) {
		struct th_future *future;

		while (!(future = atomic_exchange(&race->offered, NULL)))
			sched_yield();
		th_future_complete(future, i);
	}
	return NULL;
}

/* Waiting, completing and leaving continuations meet in every order.  The waiter's future is on its stack and gone as
 * soon as it is complete. */
START_TEST(completion_and_waiting_race_safely)
{
	struct race race = { .offered = NULL };
	pthread_t thread;
	int continuations = 0;

	th_ok(pthread_create(&thread, NULL, complete_offered, &race));
	for (int i = 0; i < RACES; i++) {
		if (i % 2) {
			struct th_future *future = malloc(sizeof(*future));

			th_future_init(future, NULL, NULL);
			race.offered = future;
			th_future_then(future, count_and_free, &race.calls);
			continuations++;
			while (race.calls != continuations)
				sched_yield();
		} else {
			struct th_future future;

			th_future_init(&future, NULL, NULL);
			race.offered = &future;
			th_check(th_future_wait(&future) == i);
		}
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(race.calls, RACES / 2);
}
END_TEST

static void complete_it(struct th_future *future)
{
	th_future_complete(future, 0);
}

static void count_wait(void *arg)
{
	++*(int *)arg;
}

/* A thread passes its role on in the hook, so the hook must run before every wait, and only then. */
START_TEST(wait_hook_runs_before_a_wait_only)
{
	struct th_future future;
	int calls = 0;

	th_thread_on_wait(count_wait, &calls);
	th_future_init(&future, NULL, NULL);
	th_future_complete(&future, 0);
	ck_assert_int_eq(th_future_wait(&future), 0);
	th_future_await(&future);
	ck_assert_int_eq(calls, 0);
	th_future_init(&future, complete_it, NULL);
	ck_assert_int_eq(th_future_wait(&future), 0);
	ck_assert_int_eq(calls, 1);
	th_thread_on_wait(NULL, NULL);
	th_future_init(&future, complete_it, NULL);
	ck_assert_int_eq(th_future_wait(&future), 0);
	ck_assert_int_eq(calls, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("future");
	TCase *tcase = tcase_create("future");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, result_stays_after_completion);
	tcase_add_test(tcase, continuation_runs_once_left_before_or_after_completion);
	tcase_add_test(tcase, waiter_drives_until_complete);
	tcase_add_test(tcase, owner_is_notified_of_a_continuation_before_completion);
	tcase_add_test(tcase, driven_continuation_does_not_notify_the_owner);
	tcase_add_test(tcase, completion_and_waiting_race_safely);
	tcase_add_test(tcase, wait_hook_runs_before_a_wait_only);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
