/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static void write_byte(FILE *stream, unsigned char byte, enum th_record_form form)
{
	if (form == TH_RECORD_PRINT && byte >= ' ' && byte < 0x7f) {
		if (byte == '\\')
			putc_unlocked('\\', stream);
		putc_unlocked(byte, stream);
		return;
	}
	if (form == TH_RECORD_PRINT)
		putc_unlocked('\\', stream);
	putc_unlocked(digits[byte >> 4], stream);
	putc_unlocked(digits[byte & 15], stream);
}

void th_record_write(FILE *stream, struct th_slice bytes, enum th_record_form form)
{
	const unsigned char *at = bytes.data;

	for (size_t i = 0; i < bytes.size; i++)
		write_byte(stream, at[i], form);
}

static int digit_value(char c)
{
	const char *found;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	found = c ? strchr(digits, c) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* Returns the byte of two hexadecimal digits, or -1 if there are none. */
static int byte_value(const char *text, size_t size)
{
	int high = size >= 2 ? digit_value(text[0]) : -1, low = size >= 2 ? digit_value(text[1]) : -1;

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int th_record_parse(char *text, size_t *size, enum th_record_form form)
{
	size_t in = 0, out = 0;

	while (in < *size) {
		int byte;

		if (form == TH_RECORD_PRINT && text[in] != '\\') {
			text[out++] = text[in++];
			continue;
		}
		if (form == TH_RECORD_PRINT && ++in < *size && text[in] == '\\') {
			text[out++] = text[in++];
			continue;
		}
		byte = byte_value(text + in, *size - in);
		if (byte < 0)
			return -EINVAL;
		text[out++] = (char)byte;
		in += 2;
	}
	*size = out;
	return 0;
}
