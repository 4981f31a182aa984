/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing names of files, snapshots and labels.  A name may have any byte but zero; a terminal, a line of text and a JSON
 * string may not.
 */
#ifndef TH_TOOLS_NAME_PRINT_H
#define TH_TOOLS_NAME_PRINT_H

#include <json-c/json.h>
#include <stdio.h>

/* Prints a name as zfs diff does: blanks, backslashes, control and non-ASCII bytes become a backslash and four octal
 * digits. */
void th_name_print(FILE *stream, const char *name);
/* Adds the name to a JSON object as the member `key`.  A name that is not UTF-8 is escaped as above, and a second member
 * KEY_escaped is true.  Returns 0 or -ENOMEM. */
int th_name_to_json(struct json_object *object, const char *key, const char *name);

#endif
