/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/place.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "tests/support/suite.h"

START_TEST(the_core_of_a_bound_thread_is_found)
{
	struct th_place_watch watch = { 0 };
	cpu_set_t allowed, one;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (int core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(core, &one);
		ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
		ck_assert_int_eq(th_place_core_of(&watch, gettid()), core);
	}
	ck_assert_int_eq(watch.tid, gettid());
	th_place_watch_release(&watch);
	ck_assert_int_eq(watch.tid, 0);
	th_place_watch_release(&watch);
}
END_TEST

static void *end_at_once(void *arg)
{
	*(pid_t *)arg = gettid();
	return NULL;
}

START_TEST(a_thread_that_has_ended_has_no_core)
{
	struct th_place_watch watch = { 0 };
	pthread_t thread;
	pid_t tid;

	ck_assert_int_eq(pthread_create(&thread, NULL, end_at_once, &tid), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(th_place_core_of(&watch, tid), -1);
	ck_assert_int_ge(th_place_core_of(&watch, gettid()), 0);
	th_place_watch_release(&watch);
}
END_TEST

START_TEST(the_trial_says_whether_a_thread_may_leave_sched_idle)
{
	bool first = false, second = false;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, th_place_try, &first), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, th_place_try, &second), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(first, second);
	ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER); /* it did not touch this thread */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *tc = tcase_create("place");

	tcase_add_test(tc, the_core_of_a_bound_thread_is_found);
	tcase_add_test(tc, a_thread_that_has_ended_has_no_core);
	tcase_add_test(tc, the_trial_says_whether_a_thread_may_leave_sched_idle);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
