/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a change of a file as a line of text or JSON. */
#ifndef TH_TOOLS_CHANGE_PRINT_H
#define TH_TOOLS_CHANGE_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "fs/format/change_record.h"

struct th_change_style {
	bool json;
	bool types; /* a column with the type, as in zfs diff -F */
	bool tabs; /* a tab between old and new path, instead of an arrow */
	bool raw; /* names are not escaped, and a zero byte follows each instead of a newline; a rename has two */
};

/* Returns 0 or -ENOMEM.  For errors of writing, see ferror(stream). */
int th_change_print(FILE *stream, const struct th_fs_change *change, const struct th_change_style *style);

#endif
