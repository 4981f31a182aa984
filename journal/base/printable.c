/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/printable.h"

#include <stdlib.h>
#include <string.h>

struct code_range {
	uint32_t first, last;
};

/* Characters that a terminal obeys, hides, or does not have. */
static const struct code_range unprintable[] = {
	{ 0x00, 0x1f }, /* C0 */
	{ 0x7f, 0x9f }, /* DEL, C1 */
	{ 0xad, 0xad }, /* soft hyphen */
	{ 0x061c, 0x061c }, /* Arabic letter mark */
	{ 0x180e, 0x180e }, /* Mongolian vowel separator */
	{ 0x200b, 0x200f }, /* zero width, direction marks */
	{ 0x2028, 0x202e }, /* line and paragraph separators, directions */
	{ 0x2060, 0x206f }, /* word joiner, invisible operators, isolates */
	{ 0xfdd0, 0xfdef }, /* no characters */
	{ 0xfeff, 0xfeff }, /* byte order mark */
	{ 0xfff0, 0xfffb }, /* annotations */
	{ 0xe0000, 0xe0fff }, /* tags */
};

unsigned th_utf8_length(const char *text, uint32_t *ret_code)
{
	static const struct {
		unsigned char first, last, second_min, second_max, length, bits;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1, 0x7f },       { 0xc2, 0xdf, 0x80, 0xbf, 2, 0x1f },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3, 0x0f }, { 0xe1, 0xec, 0x80, 0xbf, 3, 0x0f },
		{ 0xed, 0xed, 0x80, 0x9f, 3, 0x0f }, { 0xee, 0xef, 0x80, 0xbf, 3, 0x0f },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4, 0x07 }, { 0xf1, 0xf3, 0x80, 0xbf, 4, 0x07 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4, 0x07 },
	};
	const unsigned char *at = (const unsigned char *)text;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (at[0] < forms[i].first || at[0] > forms[i].last)
			continue;
		if (forms[i].length > 1 && (at[1] < forms[i].second_min || at[1] > forms[i].second_max))
			return 0;
		*ret_code = at[0] & forms[i].bits;
		for (unsigned n = 1; n < forms[i].length; n++) {
			if ((at[n] & 0xc0) != 0x80)
				return 0;
			*ret_code = *ret_code << 6 | (at[n] & 0x3f);
		}
		return forms[i].length;
	}
	return 0;
}

unsigned th_printable_length(const char *text)
{
	uint32_t code;
	unsigned length = th_utf8_length(text, &code);

	if (length && (code & 0xfffe) == 0xfffe)
		return 0; /* the last two of each plane are no characters */
	for (size_t i = 0; length && i < sizeof(unprintable) / sizeof(unprintable[0]); i++) {
		if (code >= unprintable[i].first && code <= unprintable[i].last)
			return 0;
	}
	return length;
}

bool th_is_printable(const char *text)
{
	unsigned length;

	while ((length = th_printable_length(text)))
		text += length;
	return !*text;
}

void th_escape_byte(unsigned char byte, char *ret)
{
	const char escaped[TH_ESCAPE_SIZE + 1] = {
		'\\', '0', (char)('0' + (byte >> 6)), (char)('0' + (byte >> 3 & 7)), (char)('0' + (byte & 7)),
	};

	memcpy(ret, escaped, sizeof(escaped));
}

char *th_printable_copy(const char *text)
{
	char *copy = calloc(strlen(text) + 1, TH_ESCAPE_SIZE), *out = copy;

	while (copy && *text) {
		unsigned length = th_printable_length(text);

		if (length) {
			memcpy(out, text, length);
			out += length;
			text += length;
		} else {
			th_escape_byte((unsigned char)*text++, out);
			out += TH_ESCAPE_SIZE;
		}
	}
	return copy;
}
