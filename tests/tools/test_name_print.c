/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/name_print.h"

#include <check.h>
#include <stdlib.h>

#include "tests/support/suite.h"

static const struct {
	const char *name, *printed, *json;
} cases[] = {
	{ "/a/b", "/a/b", "{\"n\":\"/a/b\"}" },
	{ "/a b", "/a\\0040b", "{\"n\":\"/a b\"}" },
	{ "a\\b\n", "a\\0134b\\0012", "{\"n\":\"a\\\\b\\n\"}" },
	{ "\xc3\xbc", "\\0303\\0274", "{\"n\":\"\xc3\xbc\"}" },
	{ "\xf0\x9f\x98\x80", "\\0360\\0237\\0230\\0200", "{\"n\":\"\xf0\x9f\x98\x80\"}" },
	/* Not UTF-8: a lone byte, cut off, overlong, a surrogate, beyond the last character. */
	{ "\xff x", "\\0377\\0040x", "{\"n\":\"\\\\0377\\\\0040x\",\"n_escaped\":true}" },
	{ "\xc3", "\\0303", "{\"n\":\"\\\\0303\",\"n_escaped\":true}" },
	{ "\xc0\xaf", "\\0300\\0257", "{\"n\":\"\\\\0300\\\\0257\",\"n_escaped\":true}" },
	{ "\xed\xa0\x80", "\\0355\\0240\\0200", "{\"n\":\"\\\\0355\\\\0240\\\\0200\",\"n_escaped\":true}" },
	{ "\xf4\x90\x80\x80", "\\0364\\0220\\0200\\0200",
	  "{\"n\":\"\\\\0364\\\\0220\\\\0200\\\\0200\",\"n_escaped\":true}" },
};

START_TEST(special_bytes_are_printed_as_octal_digits)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	th_name_print(stream, cases[_i].name);
	fclose(stream);
	ck_assert_str_eq(text, cases[_i].printed);
	free(text);
}
END_TEST

START_TEST(names_that_are_not_utf8_are_escaped_in_json)
{
	struct json_object *object = json_object_new_object();

	ck_assert_int_eq(th_name_to_json(object, "n", cases[_i].name), 0);
	ck_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE), cases[_i].json);
	json_object_put(object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("name_print");
	TCase *tc = tcase_create("name_print");

	tcase_add_loop_test(tc, special_bytes_are_printed_as_octal_digits, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(tc, names_that_are_not_utf8_are_escaped_in_json, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
