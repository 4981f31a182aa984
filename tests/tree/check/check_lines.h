/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the lines that a check reports, for tests of them. */
#ifndef TH_TESTS_TREE_CHECK_CHECK_LINES_H
#define TH_TESTS_TREE_CHECK_CHECK_LINES_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#define TH_CHECK_LINES_MAX 40

struct th_check_lines {
	char text[TH_CHECK_LINES_MAX][512];
	unsigned count; /* of all lines; only the first ones are kept */
};

/* A th_report_line; arg: struct th_check_lines. */
static inline void th_check_lines_take(void *arg, const char *line)
{
	struct th_check_lines *lines = arg;

	if (lines->count < TH_CHECK_LINES_MAX)
		snprintf(lines->text[lines->count], sizeof(lines->text[0]), "%s", line);
	lines->count++;
}

/* Fails the test unless a line has this text in it. */
static inline void th_check_lines_expect(const struct th_check_lines *lines, const char *text)
{
	for (unsigned i = 0; i < lines->count && i < TH_CHECK_LINES_MAX; i++)
		if (strstr(lines->text[i], text))
			return;
	ck_abort_msg("expected a report of '%s', found %u lines, first '%s'", text, lines->count,
		     lines->count ? lines->text[0] : "");
}

#endif
