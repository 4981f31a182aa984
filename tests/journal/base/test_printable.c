/* SPDX-License-Identifier: Apache-2.0 */
/* Which characters reach a terminal, and how the bytes of others are escaped. */
#include "journal/base/printable.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tests/support/suite.h"

static const struct {
	const char *text, *copy;
} cases[] = {
	{ "", "" },
	{ "plain text, \\ and \"quotes\"", "plain text, \\ and \"quotes\"" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "a\x1b[2Jb", "a\\0033[2Jb" },
	{ "\n\t\x7f", "\\0012\\0011\\0177" },
	{ "\xc2\x9b", "\\0302\\0233" }, /* C1: a control sequence begins */
	{ "\xc2\xa0", "\xc2\xa0" },
	{ "\xe2\x80\xae", "\\0342\\0200\\0256" }, /* right to left */
	{ "\xe2\x80\x8b", "\\0342\\0200\\0213" }, /* no width */
	{ "\xef\xbb\xbf", "\\0357\\0273\\0277" },
	{ "\xf3\xa0\x81\x81", "\\0363\\0240\\0201\\0201" }, /* a tag */
	{ "\xef\xbf\xbe", "\\0357\\0277\\0276" }, /* no character */
	/* Not UTF-8: a lone byte, cut off, overlong, a surrogate, beyond the last character. */
	{ "\xff x", "\\0377 x" },
	{ "\xc3", "\\0303" },
	{ "\xe2\x82", "\\0342\\0202" },
	{ "\xc0\xaf", "\\0300\\0257" },
	{ "\xed\xa0\x80", "\\0355\\0240\\0200" },
	{ "\xf4\x90\x80\x80", "\\0364\\0220\\0200\\0200" },
};

START_TEST(other_characters_than_printable_ones_are_escaped)
{
	char *copy = th_printable_copy(cases[_i].text);

	ck_assert_str_eq(copy, cases[_i].copy);
	ck_assert_int_eq(th_is_printable(cases[_i].text), !strcmp(cases[_i].text, cases[_i].copy));
	ck_assert(th_is_printable(copy));
	free(copy);
}
END_TEST

START_TEST(each_character_has_its_code)
{
	uint32_t code;

	ck_assert_uint_eq(th_utf8_length("a", &code), 1);
	ck_assert_uint_eq(code, 'a');
	ck_assert_uint_eq(th_utf8_length("\xc3\xa4", &code), 2);
	ck_assert_uint_eq(code, 0xe4);
	ck_assert_uint_eq(th_utf8_length("\xe2\x82\xac", &code), 3);
	ck_assert_uint_eq(code, 0x20ac);
	ck_assert_uint_eq(th_utf8_length("\xf0\x9f\x98\x80", &code), 4);
	ck_assert_uint_eq(code, 0x1f600);
	ck_assert_uint_eq(th_utf8_length("\x1b", &code), 1);
	ck_assert_uint_eq(th_utf8_length("", &code), 0);
}
END_TEST

/* Undoes the escapes.  The text has no backslashes but those. */
static void unescape(const char *from, char *to)
{
	unsigned byte;

	while (*from) {
		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		ck_assert_int_eq(sscanf(from, "\\0%3o", &byte), 1);
		*to++ = (char)byte;
		from += TH_ESCAPE_SIZE;
	}
	*to = 0;
}

START_TEST(escapes_lose_nothing_and_let_no_control_byte_pass)
{
	struct th_random random = { th_test_seed("printable") };

	for (unsigned i = 0; i < th_test_rounds(20000); i++) {
		char text[33] = "", back[33], *copy;
		size_t size = th_random_below(&random, 33);

		for (size_t n = 0; n < size; n++) {
			text[n] = (char)(1 + th_random_below(&random, 255));
			if (text[n] == '\\')
				text[n] = '/';
		}
		copy = th_printable_copy(text);
		unescape(copy, back);
		ck_assert_str_eq(back, text);
		for (const char *at = copy; *at; at++)
			ck_assert((unsigned char)*at >= ' ' && *at != 0x7f);
		free(copy);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("printable");
	TCase *tc = tcase_create("printable");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, other_characters_than_printable_ones_are_escaped, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, each_character_has_its_code);
	tcase_add_test(tc, escapes_lose_nothing_and_let_no_control_byte_pass);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
