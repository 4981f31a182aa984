/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tool says when something cannot be done: one line, `thunderhead: what: why`.
 */
#ifndef TH_TOOLS_ERROR_H
#define TH_TOOLS_ERROR_H

/* Says `thunderhead: what: why`, as fs/explain.h has it; err is an errno, either sign.  Answers TH_EXIT_FAILED, so that
 * a command can return it. */
int th_error(int err, const char *what, ...) __attribute__((format(printf, 2, 3)));
/* The same, where the caller has the whole line already. */
int th_error_line(const char *line, ...) __attribute__((format(printf, 1, 2)));

#endif
