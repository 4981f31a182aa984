/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"
#include "tools/record.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What writing `bytes` gives; the caller frees it. */
static char *written(struct th_slice bytes, enum th_record_form form)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(stream);
	th_record_write(stream, bytes, form);
	ck_assert_int_eq(fclose(stream), 0);
	return text;
}

START_TEST(every_byte_returns)
{
	enum th_record_form form = (enum th_record_form)_i;
	unsigned char bytes[512];
	char *text;
	size_t size;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	text = written((struct th_slice){ bytes, sizeof(bytes) }, form);
	size = strlen(text);
	ck_assert_uint_eq(strcspn(text, "\t\n"), size);
	ck_assert_int_eq(th_record_parse(text, &size, form), 0);
	ck_assert_uint_eq(size, sizeof(bytes));
	ck_assert_mem_eq(text, bytes, size);
	free(text);
}
END_TEST

START_TEST(forms)
{
	struct th_slice bytes = { "a\\ \n\xff", 5 };
	char *text = written(bytes, TH_RECORD_PRINT);

	ck_assert_str_eq(text, "a\\\\ \\0a\\ff");
	free(text);
	text = written(bytes, TH_RECORD_BYTES);
	ck_assert_str_eq(text, "615c200aff");
	free(text);
}
END_TEST

static const struct {
	const char *text;
	enum th_record_form form;
} malformed[] = {
	{ "\\", TH_RECORD_PRINT },  { "a\\0", TH_RECORD_PRINT },  { "\\xx", TH_RECORD_PRINT },
	{ "\\n", TH_RECORD_PRINT }, { "1", TH_RECORD_BYTES },     { "6g", TH_RECORD_BYTES },
	{ "616", TH_RECORD_BYTES }, { "61 62", TH_RECORD_BYTES },
};

START_TEST(malformed_text)
{
	char text[16];
	size_t size = strlen(malformed[_i].text);

	strcpy(text, malformed[_i].text);
	ck_assert_int_eq(th_record_parse(text, &size, malformed[_i].form), -EINVAL);
}
END_TEST

/* What a dump comes to: its records as key=value;, and then what ended it. */
static char *read_back(const char *text)
{
	FILE *in = fmemopen((char *)(uintptr_t)text, strlen(text), "r"), *out;
	struct th_slice key, value;
	struct th_dump dump;
	char *result = NULL;
	size_t size;
	int r;

	out = open_memstream(&result, &size);
	ck_assert(in && out);
	r = th_dump_open(&dump, in);
	while (r == 0 && (r = th_dump_next(&dump, &key, &value)) == 0)
		fprintf(out, "%.*s=%.*s;", (int)key.size, (const char *)key.data, (int)value.size,
			(const char *)value.data);
	if (r == 1)
		fputs("end", out);
	else
		fprintf(out, "line %lu: %s", dump.line, dump.fault ? dump.fault : strerror(-r));
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

START_TEST(reading_dumps)
{
	char *result = read_back(dumps[_i].text);

	ck_assert_str_eq(result, dumps[_i].result);
	free(result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("record");

	tcase_add_loop_test(tc, every_byte_returns, TH_RECORD_BYTES, TH_RECORD_PRINT + 1);
	tcase_add_test(tc, forms);
	tcase_add_loop_test(tc, malformed_text, 0, sizeof(malformed) / sizeof(malformed[0]));
	tcase_add_loop_test(tc, reading_dumps, 0, sizeof(dumps) / sizeof(dumps[0]));
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
