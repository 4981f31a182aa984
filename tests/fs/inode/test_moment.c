/* SPDX-License-Identifier: Apache-2.0 */
/* Moments: changes and the taking of a state exclude each other. */
#include "fs/inode/moment.h"

#include <check.h>

#include "tests/support/suite.h"

static struct th_fs fs;
static _Atomic bool began, changed;

static void *change(void *arg)
{
	(void)arg;
	began = true;
	th_moment_enter(&fs);
	changed = true;
	th_moment_leave(&fs);
	return NULL;
}

START_TEST(a_change_waits_for_the_end_of_a_moment)
{
	pthread_t thread;

	th_moment_init(&fs);
	th_moment_begin(&fs);
	ck_assert_int_eq(pthread_create(&thread, NULL, change, NULL), 0);
	while (!began)
		sched_yield();
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert(!changed);
		sched_yield();
	}
	th_moment_end(&fs);
	pthread_join(thread, NULL);
	ck_assert(changed);
	th_moment_release(&fs);
}
END_TEST

START_TEST(changes_do_not_wait_for_each_other)
{
	pthread_t thread;

	th_moment_init(&fs);
	th_moment_enter(&fs);
	ck_assert_int_eq(pthread_create(&thread, NULL, change, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert(changed);
	th_moment_leave(&fs);
	th_moment_release(&fs);
}
END_TEST

START_TEST(quiet_is_set_and_ended)
{
	th_moment_init(&fs);
	th_moment_set_quiet(&fs, true);
	ck_assert(fs.quiet);
	th_moment_set_quiet(&fs, false);
	ck_assert(!fs.quiet);
	th_moment_release(&fs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("moment");
	TCase *cases = tcase_create("moment");

	tcase_add_test(cases, a_change_waits_for_the_end_of_a_moment);
	tcase_add_test(cases, changes_do_not_wait_for_each_other);
	tcase_add_test(cases, quiet_is_set_and_ended);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
