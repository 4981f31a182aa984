/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

/* Returns the records of a dump as key=value; and then its end or error; the caller frees the text. */
static char *read_back(const char *text)
{
	FILE *in = fmemopen((char *)(uintptr_t)text, strlen(text), "r"), *out;
	struct th_slice key, value;
	struct th_dump dump;
	char *result = NULL;
	size_t size;
	int ret;

	out = open_memstream(&result, &size);
	ck_assert(in && out);
	ret = th_dump_open(&dump, in);
	while (ret == 0 && (ret = th_dump_next(&dump, &key, &value)) == 0)
		fprintf(out, "%.*s=%.*s;", (int)key.size, (const char *)key.data, (int)value.size,
			(const char *)value.data);
	if (ret == 1)
		fputs("end", out);
	else
		fprintf(out, "line %lu: %s", dump.line, dump.fault ? dump.fault : strerror(-ret));
	th_dump_release(&dump);
	fclose(in);
	fclose(out);
	return result;
}

static const struct {
	const char *text, *result;
} dumps[] = {
	{ "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n a\n 1\n b\\0a\n \nDATA=END\n", "a=1;b\n=;end" },
	{ "VERSION=3\nformat=bytevalue\ntype=hash\nmapsize=1048576\nHEADER=END\n 61\n 62\nDATA=END\n", "a=b;end" },
	{ "VERSION=3\nHEADER=END\nDATA=END\n", "end" },
	{ "VERSION=3\nformat=print\nHEADER=END\nDATA=END", "end" },
	{ "VERSION=3\nformat=print\nHEADER=END\n a\n 1\nDATA=END", "a=1;end" },
	{ "", "line 1: the dump ends too early" },
	{ "text\n", "line 1: not the header of a dump (VERSION=3)" },
	{ "VERSION=4\nHEADER=END\n", "line 1: not version 3 of the format" },
	{ "VERSION=3\nformat=xml\n", "line 2: neither of the formats print and bytevalue" },
	{ "VERSION=3\ntype=recno\n", "line 2: neither of the types btree and hash" },
	{ "VERSION=3\nduplicates=1\n", "line 2: a dump where one key may have several values" },
	{ "VERSION=3\nkeys=0\n", "line 2: a dump without keys" },
	{ "VERSION=3\n a\n", "line 2: no header line" },
	{ "VERSION=3\nHEADER=END\n 61\nDATA=END\n", "line 4: a key without a value" },
	{ "VERSION=3\nHEADER=END\n 61\n 62\n", "a=b;line 5: the dump ends too early" },
	{ "VERSION=3\nHEADER=END\n61\n 62\n", "line 3: does not begin with a blank" },
	{ "VERSION=3\nHEADER=END\n 6\n 62\n", "line 3: not pairs of hexadecimal digits" },
	{ "VERSION=3\nformat=print\nHEADER=END\n a\n \\\n", "line 5: a backslash without two digits" },
	{ "VERSION=3\nHEADER=END\nDATA=END\nVERSION=3\n", "line 4: a second dump" },
};

START_TEST(records_and_errors_of_a_dump_are_found)
{
	char *result = read_back(dumps[_i].text);

	ck_assert_str_eq(result, dumps[_i].result);
	free(result);
}
END_TEST

/* Returns a dump whose key and value have lines of these sizes, blank included. */
static char *dump_of(size_t key_line, size_t value_line)
{
	static const char head[] = "VERSION=3\nformat=print\nHEADER=END\n ";
	char *text = malloc(sizeof(head) + key_line + value_line + 16), *at = stpcpy(text, head);

	memset(at, 'k', key_line - 1);
	at = stpcpy(at + key_line - 1, "\n ");
	memset(at, 'v', value_line - 1);
	strcpy(at + value_line - 1, "\nDATA=END\n");
	return text;
}

static void expect_end(size_t key_line, size_t value_line, const char *end)
{
	char *text = dump_of(key_line, value_line), *result = read_back(text);
	size_t size = strlen(result), expected = strlen(end);

	ck_assert_uint_ge(size, expected);
	ck_assert_str_eq(result + size - expected, end);
	free(result);
	free(text);
}

START_TEST(lines_have_a_limit)
{
	const size_t key = 1 + 3 * (size_t)TH_KEY_MAX, value = 1 + 3 * (size_t)TH_VALUE_MAX;

	expect_end(key, 2, "=v;end");
	expect_end(key + 1, 2, "line 4: longer than any record");
	expect_end(2, value, "v;end");
	expect_end(2, value + 1, "line 5: longer than any record");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dump");
	TCase *tc = tcase_create("dump");

	tcase_add_loop_test(tc, records_and_errors_of_a_dump_are_found, 0, sizeof(dumps) / sizeof(dumps[0]));
	tcase_add_test(tc, lines_have_a_limit);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
