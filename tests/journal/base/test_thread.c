/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/thread.h"

#include <signal.h>

#include "tests/journal/suite.h"

static void *get_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return arg;
}

START_TEST(new_thread_blocks_all_signals)
{
	sigset_t mask;
	pthread_t thread;
	void *ret;

	sigemptyset(&mask);
	th_ok(th_thread_start(&thread, get_mask, &mask));
	th_ok(pthread_join(thread, &ret));
	ck_assert_ptr_eq(ret, &mask);
	ck_assert(sigismember(&mask, SIGINT) && sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD));
}
END_TEST

START_TEST(starting_a_thread_keeps_the_mask_of_the_caller)
{
	sigset_t before, after, unused;
	pthread_t thread;

	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	th_ok(th_thread_start(&thread, get_mask, &unused));
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert(sigismember(&after, SIGUSR1));
	ck_assert(!sigismember(&after, SIGINT));
}
END_TEST

static void count(void *arg)
{
	++*(int *)arg;
}

static void *wait_without_hook(void *arg)
{
	th_thread_waits();
	return arg;
}

START_TEST(wait_hook_is_of_its_thread_only)
{
	pthread_t thread;
	int calls = 0;

	th_thread_waits();
	th_thread_on_wait(count, &calls);
	th_thread_waits();
	ck_assert_int_eq(calls, 1);
	th_ok(th_thread_start(&thread, wait_without_hook, NULL));
	pthread_join(thread, NULL);
	ck_assert_int_eq(calls, 1);
	th_thread_on_wait(NULL, NULL);
	th_thread_waits();
	ck_assert_int_eq(calls, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread");
	TCase *tcase = tcase_create("thread");

	tcase_add_test(tcase, new_thread_blocks_all_signals);
	tcase_add_test(tcase, starting_a_thread_keeps_the_mask_of_the_caller);
	tcase_add_test(tcase, wait_hook_is_of_its_thread_only);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
