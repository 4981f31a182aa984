/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "journal/base/printable.h"

/* Passes a line on without unprintable characters.  Without memory for escapes, each of their bytes becomes '?'. */
static void take_printable(th_report_take *take, void *arg, char *line)
{
	char *copy;

	if (th_is_printable(line)) {
		take(arg, line);
		return;
	}
	copy = th_printable_copy(line);
	for (char *at = line; !copy && *at;) {
		unsigned length = th_printable_length(at);

		if (!length)
			*at = '?';
		at += length ? length : 1;
	}
	take(arg, copy ? copy : line);
	free(copy);
}

void th_report_vformat(th_report_take *take, void *arg, const char *format, va_list args)
{
	char line[TH_REPORT_CUT], *whole = NULL;
	va_list again;
	int size;

	va_copy(again, args);
	size = vsnprintf(line, sizeof(line), format, args);
	if (size >= (int)sizeof(line))
		whole = malloc((size_t)size + 1);
	if (whole)
		vsnprintf(whole, (size_t)size + 1, format, again);
	va_end(again);
	take_printable(take, arg, whole ? whole : line);
	free(whole);
}

void th_report_format(th_report_take *take, void *arg, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(take, arg, format, args);
	va_end(args);
}

void th_report_to_stderr(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "thunderhead: %s\n", line);
}

void th_report_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(th_report_to_stderr, NULL, format, args);
	va_end(args);
}
