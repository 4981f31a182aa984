/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values as text: the bytes of one, on one line. */
#ifndef TH_TOOLS_RECORD_H
#define TH_TOOLS_RECORD_H

#include <stdio.h>

#include "tree/thunderhead.h"

enum th_record_form {
	TH_RECORD_BYTES, /* each byte is two hexadecimal digits */
	/* Printable ASCII is itself, a backslash is two, and any other byte is a backslash and two digits. */
	TH_RECORD_PRINT,
};

void th_record_write(FILE *stream, struct th_slice bytes, enum th_record_form form);
/* Turns the text of one key or value into its bytes, in place; *size becomes their number.  Returns 0, or -EINVAL if
 * the text does not have that form. */
int th_record_parse(char *text, size_t *size, enum th_record_form form);

#endif
