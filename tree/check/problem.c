/* SPDX-License-Identifier: Apache-2.0 */
/* Problems that a check finds, and keys that cannot be read. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"
#include "tree/check/check.h"

void th_check_problem(struct th_check *check, const char *format, ...)
{
	char line[512];
	va_list args;

	check->result.problems++;
	if (!check->options.problem)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	check->options.problem(check->options.arg, line);
}

const char *th_check_key(struct th_slice key, char text[TH_CHECK_KEY_TEXT])
{
	const uint8_t *bytes = key.data;
	size_t n = 0;

	for (size_t i = 0; i < key.size; i++) {
		if (n + 8 > TH_CHECK_KEY_TEXT) {
			strcpy(text + n, "...");
			return text;
		}
		if (bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != '\\')
			text[n++] = (char)bytes[i];
		else
			n += (size_t)sprintf(text + n, "\\x%02x", bytes[i]);
	}
	text[n] = 0;
	return text;
}

int th_check_add_hole(struct th_check *check, struct th_slice from, struct th_slice to)
{
	struct th_check_hole *hole;
	int err = th_grow(check->holes, check->holes_capacity, check->holes_count + 1);

	if (err)
		return err;
	hole = &check->holes[check->holes_count++];
	th_key_set(&hole->from, from);
	hole->open = !to.data;
	if (to.data)
		th_key_set(&hole->to, to);
	return 0;
}
