/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/size.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/support/suite.h"

static const struct {
	const char *text;
	int err;
	uint64_t bytes;
} cases[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "512B", 0, 512 },
	{ "512M", 0, UINT64_C(512) << 20 },
	{ "10G", 0, UINT64_C(10) << 30 },
	{ "10g", 0, UINT64_C(10) << 30 },
	{ "10GiB", 0, UINT64_C(10) << 30 },
	{ "10gb", 0, UINT64_C(10) << 30 },
	{ "1.5K", 0, 1536 },
	{ "0.25T", 0, UINT64_C(1) << 38 },
	{ "7E", 0, UINT64_C(7) << 60 },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", -ERANGE, 0 },
	{ "8E", -ERANGE, 0 },
	{ "99999999999999999999999", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ "G", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1 G", -EINVAL, 0 },
	{ "1.5", -EINVAL, 0 },
	{ "1.G", -EINVAL, 0 },
	{ "1x", -EINVAL, 0 },
	{ "1GG", -EINVAL, 0 },
	{ "1GiBs", -EINVAL, 0 },
	{ "1e9", -EINVAL, 0 },
};

START_TEST(a_size_is_a_number_and_a_unit)
{
	uint64_t bytes = 0;

	ck_assert_msg(th_size_parse(cases[_i].text, &bytes) == cases[_i].err, "'%s'", cases[_i].text);
	if (!cases[_i].err)
		ck_assert_uint_eq(bytes, cases[_i].bytes);
}
END_TEST

START_TEST(large_sizes_have_a_unit_and_one_decimal)
{
	char text[TH_SIZE_TEXT];

	ck_assert_str_eq(th_size_format(0, text), "0 B");
	ck_assert_str_eq(th_size_format(1023, text), "1023 B");
	ck_assert_str_eq(th_size_format(1536, text), "1.5 KiB");
	ck_assert_str_eq(th_size_format(UINT64_C(10) << 30, text), "10.0 GiB");
	ck_assert_str_eq(th_size_format(UINT64_MAX, text), "16.0 EiB");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("size");
	TCase *tc = tcase_create("size");

	tcase_add_loop_test(tc, a_size_is_a_number_and_a_unit, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, large_sizes_have_a_unit_and_one_decimal);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
