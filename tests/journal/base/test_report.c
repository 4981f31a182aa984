/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/report.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

static void copy_line(void *arg, const char *line)
{
	char **copy = arg;

	ck_assert_ptr_null(*copy);
	*copy = strdup(line);
}

START_TEST(line_of_any_length_is_whole)
{
	static const size_t sizes[] = { 0, 1, TH_REPORT_CUT - 10, TH_REPORT_CUT - 9, TH_REPORT_CUT - 8, 4096, 100000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *line = NULL, *name = malloc(sizes[i] + 1);

		memset(name, 'n', sizes[i]);
		name[sizes[i]] = 0;
		th_report_format(copy_line, &line, "%s: cause %d", name, 7);
		ck_assert_ptr_nonnull(line);
		ck_assert_uint_eq(strlen(line), sizes[i] + strlen(": cause 7"));
		ck_assert_int_eq(strncmp(line, name, sizes[i]), 0);
		ck_assert_str_eq(line + sizes[i], ": cause 7");
		free(line);
		free(name);
	}
}
END_TEST

START_TEST(line_has_printable_characters_only)
{
	char *line = NULL;

	th_report_format(copy_line, &line, "name %s", "\x1b]0;x\x07 \xc3\xbc\xff");
	ck_assert_str_eq(line, "name \\0033]0;x\\0007 \xc3\xbc\\0377");
	free(line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report");
	TCase *tcase = tcase_create("report");

	tcase_add_test(tcase, line_has_printable_characters_only);
	tcase_add_test(tcase, line_of_any_length_is_whole);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
