/* SPDX-License-Identifier: Apache-2.0 */
/* A change of a file, as a line of text or as JSON. */
#ifndef TH_TOOLS_CHANGE_PRINT_H
#define TH_TOOLS_CHANGE_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "fs/format/change_record.h"

struct th_change_style {
	bool json;
	bool types; /* a column with the type, as zfs diff -F has it */
	bool tabs; /* a tab between old and new path, not an arrow */
	bool raw; /* names as they are; each followed by a zero byte, a rename has two */
};

/* 0 or -ENOMEM; whether it could be written, the stream knows. */
int th_change_print(FILE *stream, const struct th_fs_change *change, const struct th_change_style *style);

#endif
