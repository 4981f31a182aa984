/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines about trouble, of any length: a line begins with a path and ends with the cause, so none may be cut.  They may
 * reach a terminal, and have names in them: characters that are not printable are escaped (printable.h).
 */
#ifndef TH_JOURNAL_BASE_REPORT_H
#define TH_JOURNAL_BASE_REPORT_H

#include <stdarg.h>

#define TH_REPORT_CUT 512 /* bytes with the final 0 that are left of a longer line if there is no memory */

/* Takes one line without a newline, which is valid during the call only. */
typedef void th_report_take(void *arg, const char *line);

/* Formats a line and passes it to take(arg, line).  Without memory for a line above TH_REPORT_CUT, its end is cut. */
void th_report_vformat(th_report_take *take, void *arg, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
void th_report_format(th_report_take *take, void *arg, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Prints "thunderhead: LINE" on standard error: for a caller without a th_report_take of its own. */
void th_report_to_stderr(void *arg, const char *line);
/* Formats a line and passes it to th_report_to_stderr(). */
void th_report_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
