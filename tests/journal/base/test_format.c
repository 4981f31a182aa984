/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/format.h"

#include "tests/journal/suite.h"

START_TEST(integers_are_stored_little_endian)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct th_le16 two = th_le16(0x0201);
	struct th_le32 four = th_le32(0x04030201);
	struct th_le64 eight = th_le64(UINT64_C(0x0807060504030201));

	ck_assert_mem_eq(&two, bytes, sizeof(two));
	ck_assert_mem_eq(&four, bytes, sizeof(four));
	ck_assert_mem_eq(&eight, bytes, sizeof(eight));
	ck_assert_uint_eq(th_get_le16(two), 0x0201);
	ck_assert_uint_eq(th_get_le32(four), 0x04030201);
	ck_assert_uint_eq(th_get_le64(eight), UINT64_C(0x0807060504030201));
}
END_TEST

START_TEST(integers_need_no_alignment)
{
	struct {
		uint8_t byte;
		struct th_le64 number;
	} odd = { .number = th_le64(UINT64_MAX - 1) };

	ck_assert_uint_eq(sizeof(odd), 9);
	ck_assert_uint_eq(th_get_le64(odd.number), UINT64_MAX - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format");
	TCase *tcase = tcase_create("format");

	tcase_add_test(tcase, integers_are_stored_little_endian);
	tcase_add_test(tcase, integers_need_no_alignment);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
