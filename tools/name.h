/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files as they are printed.  A name is any bytes but zero; a terminal, a line and a JSON string are not.
 */
#ifndef TH_TOOLS_NAME_H
#define TH_TOOLS_NAME_H

#include <json-c/json.h>
#include <stdio.h>

/* As zfs diff does: blanks, backslashes, control and non-ASCII bytes become a backslash and four octal digits. */
void th_name_print(FILE *stream, const char *name);
/* Adds member `key`: the name as it is if it is UTF-8.  Else printed as above, with a second member KEY_escaped: true.
 * 0 or -ENOMEM. */
int th_name_to_json(struct json_object *object, const char *key, const char *name);

#endif
