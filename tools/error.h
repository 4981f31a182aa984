/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the tool: one line on stderr, `thunderhead: on what: why`. */
#ifndef TH_TOOLS_ERROR_H
#define TH_TOOLS_ERROR_H

/* Reports an error: a printf-like text, and the text of err, an errno of either sign (fs/format/error_text.h).  Returns
 * TH_EXIT_FAILED, so that a command can return it. */
int th_error(int err, const char *what, ...) __attribute__((format(printf, 2, 3)));
/* Reports an error whose text is complete.  Returns TH_EXIT_FAILED. */
int th_error_line(const char *line, ...) __attribute__((format(printf, 1, 2)));

#endif
