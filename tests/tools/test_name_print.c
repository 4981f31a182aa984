/* SPDX-License-Identifier: Apache-2.0 */
/* Names on a terminal, in other streams and in JSON. */
#include "tools/name_print.h"

#include <check.h>
#include <stdlib.h>

#include "tests/support/suite.h"

static const struct {
	const char *name, *word, *shell, *json;
} cases[] = {
	{ "/a/b-1_2.c", "/a/b-1_2.c", "/a/b-1_2.c", "{\"n\":\"/a/b-1_2.c\"}" },
	{ "/a b", "/a\\0040b", "'/a b'", "{\"n\":\"/a b\"}" },
	{ "it's $HOME", "it's\\0040$HOME", "'it'\\''s $HOME'", "{\"n\":\"it's $HOME\"}" },
	{ "~", "~", "'~'", "{\"n\":\"~\"}" },
	{ "", "", "''", "{\"n\":\"\"}" },
	{ "a\\b\n", "a\\0134b\\0012", "$'a\\\\b\\012'", "{\"n\":\"a\\\\b\\n\"}" },
	{ "\xc3\xbc", "\xc3\xbc", "\xc3\xbc", "{\"n\":\"\xc3\xbc\"}" },
	{ "\xc3\xbc b", "\xc3\xbc\\0040b", "'\xc3\xbc b'", "{\"n\":\"\xc3\xbc b\"}" },
	{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "{\"n\":\"\xf0\x9f\x98\x80\"}" },
	{ "\x1b[31m'", "\\0033[31m'", "$'\\033[31m\\''", "{\"n\":\"\\u001b[31m'\"}" },
	/* Valid UTF-8 that a terminal obeys. */
	{ "\xc2\x9b\x7f", "\\0302\\0233\\0177", "$'\\302\\233\\177'", "{\"n\":\"\\u009b\\u007f\"}" },
	{ "\xe2\x80\xae", "\\0342\\0200\\0256", "$'\\342\\200\\256'", "{\"n\":\"\\u202e\"}" },
	{ "\xf3\xa0\x81\x81", "\\0363\\0240\\0201\\0201", "$'\\363\\240\\201\\201'", "{\"n\":\"\\udb40\\udc41\"}" },
	/* Not UTF-8. */
	{ "\xff x", "\\0377\\0040x", "$'\\377 x'", "{\"n\":\"\\\\0377\\\\0040x\",\"n_escaped\":true}" },
	{ "\xc3\xbc\xc3", "\xc3\xbc\\0303", "$'\xc3\xbc\\303'", "{\"n\":\"\xc3\xbc\\\\0303\",\"n_escaped\":true}" },
};

static void expect(const char *name, enum th_name_form form, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	th_name_print_as(stream, name, form);
	fclose(stream);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(each_stream_has_its_form)
{
	expect(cases[_i].name, TH_NAME_WORD, cases[_i].word);
	expect(cases[_i].name, TH_NAME_SHELL, cases[_i].shell);
}
END_TEST

START_TEST(a_stream_that_is_no_terminal_gets_words)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	th_name_print(stream, "a b");
	fclose(stream);
	ck_assert_str_eq(text, "a\\0040b");
	free(text);
}
END_TEST

/* Quotes for the shell what was printed, and expects the name back. */
START_TEST(a_shell_reads_the_name_back)
{
	char *command = NULL, name[64] = "";
	size_t size, got;
	FILE *stream = open_memstream(&command, &size), *shell;

	fputs("printf %s ", stream);
	th_name_print_as(stream, cases[_i].name, TH_NAME_SHELL);
	fclose(stream);
	setenv("COMMAND", command, 1);
	shell = popen("exec bash -c \"$COMMAND\"", "r");
	got = fread(name, 1, sizeof(name) - 1, shell);
	ck_assert_int_eq(pclose(shell), 0);
	name[got] = 0;
	ck_assert_str_eq(name, cases[_i].name);
	free(command);
}
END_TEST

START_TEST(json_has_names_as_they_are_if_it_can)
{
	struct json_object *object = json_object_new_object();
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ck_assert_int_eq(th_name_to_json(object, "n", cases[_i].name), 0);
	th_json_print(stream, object, JSON_C_TO_STRING_PLAIN);
	fclose(stream);
	ck_assert_uint_eq(text[size - 1], '\n');
	text[size - 1] = 0;
	ck_assert_str_eq(text, cases[_i].json);
	free(text);
	json_object_put(object);
}
END_TEST

int main(void)
{
	const int count = sizeof(cases) / sizeof(cases[0]);
	Suite *suite = suite_create("name_print");
	TCase *tc = tcase_create("name_print");

	tcase_add_loop_test(tc, each_stream_has_its_form, 0, count);
	tcase_add_test(tc, a_stream_that_is_no_terminal_gets_words);
	tcase_add_loop_test(tc, a_shell_reads_the_name_back, 0, count);
	tcase_add_loop_test(tc, json_has_names_as_they_are_if_it_can, 0, count);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
