/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing names of files, snapshots, labels and images.  A name may have any byte but zero; a terminal, a line of text
 * and a JSON string may not (journal/base/printable.h).
 *
 *   a terminal       as ls(1) does: quoted for a shell if need be, so that it can be pasted: 'two words', $'\033[m'
 *   other streams    blanks, backslashes and unprintable bytes as a backslash, a 0 and three octal digits, so that
 *                    a name is one word, and printf %b gives it back
 *   JSON             as it is if it is UTF-8; otherwise as for other streams, and a member KEY_escaped is true
 *
 * Messages are printed by tools/error.h, which escapes unprintable characters in the whole line.
 */
#ifndef TH_TOOLS_NAME_PRINT_H
#define TH_TOOLS_NAME_PRINT_H

#include <json-c/json.h>
#include <stdio.h>

enum th_name_form {
	TH_NAME_SHELL, /* for a terminal */
	TH_NAME_WORD, /* for other streams */
};

/* Prints a name in the form that the stream needs. */
void th_name_print(FILE *stream, const char *name);
void th_name_print_as(FILE *stream, const char *name, enum th_name_form form);
/* Adds the name to a JSON object as the member `key`, and perhaps KEY_escaped.  Returns 0 or -ENOMEM. */
int th_name_to_json(struct json_object *object, const char *key, const char *name);
/* Prints JSON and a newline.  flags: JSON_C_TO_STRING_*.  Unprintable characters in its strings become \u escapes. */
void th_json_print(FILE *stream, struct json_object *object, int flags);

#endif
