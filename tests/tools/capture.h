/* SPDX-License-Identifier: Apache-2.0 */
/* Catches the output of functions that print to stdout or stderr. */
#ifndef TH_TESTS_TOOLS_CAPTURE_H
#define TH_TESTS_TOOLS_CAPTURE_H

#include <check.h>
#include <stdio.h>
#include <unistd.h>

/* Redirects stdout and stderr to a file, until th_capture_end. */
struct th_capture {
	FILE *file;
	int out, err; /* the former streams */
	char text[8192];
};

static inline void th_capture_begin(struct th_capture *capture)
{
	fflush(stdout);
	capture->file = tmpfile();
	ck_assert_ptr_nonnull(capture->file);
	capture->out = dup(STDOUT_FILENO);
	capture->err = dup(STDERR_FILENO);
	dup2(fileno(capture->file), STDOUT_FILENO);
	dup2(fileno(capture->file), STDERR_FILENO);
}

/* Returns the output, which is valid until the next use. */
static inline const char *th_capture_end(struct th_capture *capture)
{
	size_t size;

	fflush(stdout);
	dup2(capture->out, STDOUT_FILENO);
	dup2(capture->err, STDERR_FILENO);
	close(capture->out);
	close(capture->err);
	rewind(capture->file);
	size = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
	capture->text[size] = 0;
	fclose(capture->file);
	return capture->text;
}

#endif
