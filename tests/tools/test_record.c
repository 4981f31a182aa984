/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/record.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"

/* Returns the text of these bytes; the caller frees it. */
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

START_TEST(every_byte_survives_writing_and_parsing)
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

START_TEST(bytes_are_written_in_both_forms)
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

START_TEST(malformed_text_is_refused)
{
	char text[16];
	size_t size = strlen(malformed[_i].text);

	strcpy(text, malformed[_i].text);
	ck_assert_int_eq(th_record_parse(text, &size, malformed[_i].form), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("record");

	tcase_add_loop_test(tc, every_byte_survives_writing_and_parsing, TH_RECORD_BYTES, TH_RECORD_PRINT + 1);
	tcase_add_test(tc, bytes_are_written_in_both_forms);
	tcase_add_loop_test(tc, malformed_text_is_refused, 0, sizeof(malformed) / sizeof(malformed[0]));
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
