/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/error.h"

#include <check.h>
#include <errno.h>

#include "tests/support/suite.h"
#include "tests/tools/capture.h"
#include "tools/command.h"

static struct th_capture capture;

START_TEST(an_error_is_one_line_with_its_cause)
{
	int status;

	th_capture_begin(&capture);
	status = th_error(-ENOENT, "%s: key %d", "image", 7);
	ck_assert_str_eq(th_capture_end(&capture), "thunderhead: image: key 7: No such file or directory\n");
	ck_assert_int_eq(status, TH_EXIT_FAILED);
}
END_TEST

START_TEST(the_sign_of_an_error_does_not_matter)
{
	th_capture_begin(&capture);
	th_error(ENOENT, "x");
	ck_assert_str_eq(th_capture_end(&capture), "thunderhead: x: No such file or directory\n");
}
END_TEST

START_TEST(a_complete_line_is_printed_as_it_is_after_the_output_before_it)
{
	int status;

	th_capture_begin(&capture);
	fputs("output\n", stdout);
	status = th_error_line("%s: 100%% wrong", "image");
	ck_assert_str_eq(th_capture_end(&capture), "output\nthunderhead: image: 100% wrong\n");
	ck_assert_int_eq(status, TH_EXIT_FAILED);
}
END_TEST

START_TEST(names_in_a_line_reach_no_terminal_as_they_are)
{
	th_capture_begin(&capture);
	th_error(-ENOENT, "%s", "a\x1b[2J\xff \xc3\xbc");
	ck_assert_str_eq(th_capture_end(&capture),
			 "thunderhead: a\\0033[2J\\0377 \xc3\xbc: No such file or directory\n");
	th_capture_begin(&capture);
	th_error_line("%s", "two\nlines");
	ck_assert_str_eq(th_capture_end(&capture), "thunderhead: two\\0012lines\n");
	th_capture_begin(&capture);
	th_command_usage(&(struct th_command){ .name = "c" }, "%s", "\x1b");
	ck_assert_str_eq(th_capture_end(&capture), "thunderhead: c: \\0033 (see thunderhead c --help)\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("error");
	TCase *tc = tcase_create("error");

	tcase_add_test(tc, an_error_is_one_line_with_its_cause);
	tcase_add_test(tc, the_sign_of_an_error_does_not_matter);
	tcase_add_test(tc, a_complete_line_is_printed_as_it_is_after_the_output_before_it);
	tcase_add_test(tc, names_in_a_line_reach_no_terminal_as_they_are);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
