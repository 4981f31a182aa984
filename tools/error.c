/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "fs/format/error_text.h"
#include "journal/base/report.h"
#include "tools/command.h"

static void print_start(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "thunderhead: %s", line);
}

/* Prints the beginning of a line, without unprintable characters, and locks stderr. */
static void print_line(const char *line, va_list arguments)
{
	fflush(stdout);
	flockfile(stderr);
	th_report_vformat(print_start, NULL, line, arguments);
}

int th_error(int err, const char *what, ...)
{
	va_list arguments;

	va_start(arguments, what);
	print_line(what, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", th_error_text(err));
	funlockfile(stderr);
	return TH_EXIT_FAILED;
}

int th_error_line(const char *line, ...)
{
	va_list arguments;

	va_start(arguments, line);
	print_line(line, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
	return TH_EXIT_FAILED;
}
