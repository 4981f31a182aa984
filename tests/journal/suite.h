/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the test programs of this folder. */
#ifndef TH_TESTS_JOURNAL_SUITE_H
#define TH_TESTS_JOURNAL_SUITE_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/disk/disk.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

/* Like ck_assert, which logs each time it passes: too slow for loops, and not for threads. */
#define th_check(condition)                                                                                            \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			ck_abort_msg("%s", #condition);                                                                \
	} while (0)

#define th_ok(expression)                                                                                              \
	do {                                                                                                           \
		int th_ok_error_ = (expression);                                                                       \
		if (th_ok_error_)                                                                                      \
			ck_abort_msg("%s: %s", #expression, strerror(abs(th_ok_error_)));                              \
	} while (0)

/* Returns an aligned block of equal bytes.  The caller frees it. */
static inline char *th_test_block(int byte)
{
	char *block = th_disk_buffer(TH_BLOCK_SIZE);

	th_check(block);
	memset(block, byte, TH_BLOCK_SIZE);
	return block;
}

#endif
