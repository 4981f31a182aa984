/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that a terminal shows as it is.  Names of files, snapshots and labels may have any byte but zero; written to a
 * terminal or a log, they could move the cursor, change the title, or look like another name.
 *
 * A character is printable if it is valid UTF-8 and neither a control character (C0, DEL, C1), nor invisible, nor one
 * that changes the direction or the lines of the text.  The bytes of others are escaped, each as a backslash, a 0 and
 * three octal digits: printf %b turns them back.
 */
#ifndef TH_JOURNAL_BASE_PRINTABLE_H
#define TH_JOURNAL_BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TH_ESCAPE_SIZE 5 /* characters of an escaped byte: "\0ooo" */

/* Returns the length in bytes of the UTF-8 character at the beginning of the string, and the character in *ret_code; 0
 * at the end of the string, or if there is no valid one.  Overlong forms and surrogates are not valid. */
unsigned th_utf8_length(const char *text, uint32_t *ret_code);
/* Returns the length in bytes of the printable character at the beginning of the string, or 0 if there is none. */
unsigned th_printable_length(const char *text);
bool th_is_printable(const char *text);
/* Writes an escaped byte and a final 0 to TH_ESCAPE_SIZE + 1 bytes. */
void th_escape_byte(unsigned char byte, char *ret);
/* Returns a copy with all bytes escaped that are not of printable characters, for free(), or NULL without memory. */
char *th_printable_copy(const char *text);

#endif
