/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/report.h"

#include <stdio.h>
#include <stdlib.h>

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
	take(arg, whole ? whole : line);
	free(whole);
}

void th_report_format(th_report_take *take, void *arg, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	th_report_vformat(take, arg, format, args);
	va_end(args);
}
