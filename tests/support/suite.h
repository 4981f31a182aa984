/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a test program. */
#ifndef TH_TESTS_SUPPORT_SUITE_H
#define TH_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Runs the suite, each test in a process of its own if Check can.  Returns the exit status for main. */
static inline int th_suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
