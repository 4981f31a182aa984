/* SPDX-License-Identifier: Apache-2.0 */
/* Reports and the read-only state. */
#include "fs/inode/context.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"

static char reported[1024];

static void keep_report(void *arg, const char *line)
{
	ck_assert_ptr_eq(arg, reported);
	snprintf(reported, sizeof(reported), "%s", line);
}

START_TEST(report_passes_one_whole_line)
{
	struct th_fs fs = { .options = { .report = keep_report, .report_arg = reported } };
	char longest[600];

	th_fs_report(&fs, "inode %d: %s", 7, "text");
	ck_assert_str_eq(reported, "inode 7: text");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	th_fs_report(&fs, "%s", longest);
	ck_assert_uint_eq(strlen(reported), 599);
}
END_TEST

START_TEST(only_a_read_only_filesystem_is_not_writable)
{
	struct th_fs fs = { .read_only = false };

	ck_assert_int_eq(th_fs_writable(&fs), 0);
	fs.read_only = true;
	ck_assert_int_eq(th_fs_writable(&fs), -EROFS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("context");
	TCase *tcase = tcase_create("context");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, report_passes_one_whole_line);
	tcase_add_test(tcase, only_a_read_only_filesystem_is_not_writable);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
