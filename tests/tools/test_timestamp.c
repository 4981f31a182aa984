/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/timestamp.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/suite.h"

static const struct {
	const char *zone;
	uint64_t nanoseconds;
	const char *text;
} cases[] = {
	{ "UTC", 0, "1970-01-01 00:00:00 +0000" },
	{ "UTC", 999999999, "1970-01-01 00:00:00 +0000" },
	{ "UTC", UINT64_C(1769863500000000000), "2026-01-31 12:45:00 +0000" },
	{ "XYZ-5:30", UINT64_C(1769863500000000000), "2026-01-31 18:15:00 +0530" },
	{ "UTC", UINT64_MAX, "2554-07-21 23:34:33 +0000" },
};

START_TEST(times_are_shown_in_the_local_zone)
{
	char text[TH_TIMESTAMP_TEXT];

	setenv("TZ", cases[_i].zone, 1);
	tzset();
	ck_assert_str_eq(th_timestamp_format(cases[_i].nanoseconds, text), cases[_i].text);
}
END_TEST

START_TEST(rfc3339_is_utc_with_nanoseconds)
{
	char text[TH_TIMESTAMP_TEXT];

	setenv("TZ", "XYZ-5:30", 1);
	tzset();
	ck_assert_str_eq(th_timestamp_rfc3339(0, text), "1970-01-01T00:00:00.000000000Z");
	ck_assert_str_eq(th_timestamp_rfc3339(UINT64_C(1769863500000000042), text), "2026-01-31T12:45:00.000000042Z");
	ck_assert_str_eq(th_timestamp_rfc3339(UINT64_MAX, text), "2554-07-21T23:34:33.709551615Z");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("timestamp");
	TCase *tc = tcase_create("timestamp");

	tcase_add_loop_test(tc, times_are_shown_in_the_local_zone, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, rfc3339_is_utc_with_nanoseconds);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
