/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/duration.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/suite.h"

#define NS UINT64_C(1000000000)

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static const struct {
	const char *text;
	int err;
	struct th_duration duration;
} texts[] = {
	{ "0s", 0, { 0, 0, 0 } },       { "90s", 0, { 0, 0, 90 } },
	{ "5min", 0, { 0, 0, 300 } },   { "36h", 0, { 0, 0, 129600 } },
	{ "30d", 0, { 0, 30, 0 } },     { "2w", 0, { 0, 14, 0 } },
	{ "6mo", 0, { 6, 0, 0 } },      { "1y6mo3d2h", 0, { 18, 3, 7200 } },
	{ "1d1d", 0, { 0, 2, 0 } },     { "1000000y1000000y", 0, { 24000000, 0, 0 } },
	{ "1000001s", -ERANGE, { 0 } }, { "99999999999999999999d", -ERANGE, { 0 } },
	{ "", -EINVAL, { 0 } },         { "d", -EINVAL, { 0 } },
	{ "30", -EINVAL, { 0 } },       { "30m", -EINVAL, { 0 } },
	{ "30D", -EINVAL, { 0 } },      { "-1d", -EINVAL, { 0 } },
	{ "+1d", -EINVAL, { 0 } },      { " 1d", -EINVAL, { 0 } },
	{ "1 d", -EINVAL, { 0 } },      { "1d,", -EINVAL, { 0 } },
	{ "1d2", -EINVAL, { 0 } },      { "1s1s1s1s1s1s1s1s", -EINVAL, { 0 } },
};

START_TEST(durations_are_numbers_with_units)
{
	struct th_duration duration = { 7, 7, 7 };

	ck_assert_int_eq(th_duration_parse(texts[_i].text, &duration), texts[_i].err);
	if (texts[_i].err)
		ck_assert(duration.months == 7 && duration.days == 7 && duration.seconds == 7);
	else
		ck_assert(duration.months == texts[_i].duration.months && duration.days == texts[_i].duration.days &&
			  duration.seconds == texts[_i].duration.seconds);
}
END_TEST

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

/* Times are seconds since 1970; `date -d @N` shows them. */
static const struct {
	const char *zone, *duration;
	uint64_t from, before;
} moments[] = {
	{ "UTC", "1d", 1769863500, 1769863500 - 86400 },
	{ "UTC", "1mo", 1774958400, 1772280000 }, /* 2026-03-31 12:00, 2026-02-28 12:00 */
	{ "UTC", "1mo", 1711886400, 1709208000 }, /* 2024-03-31 12:00, 2024-02-29 12:00 */
	{ "UTC", "1y", 1709208000, 1677585600 }, /* 2024-02-29 12:00, 2023-02-28 12:00 */
	{ "UTC", "13mo", 1767225600, 1764547200 - 365 * UINT64_C(86400) }, /* 2026-01-01, 2024-12-01 */
	{ "UTC", "60y", 1769863500, 0 },
	{ "UTC", "1000000y", 1769863500, 0 },
	{ BERLIN, "1d", 1774810800, 1774810800 - 23 * 3600 }, /* 29 March 2026, 21:00 CEST: a day of 23 hours */
	{ BERLIN, "24h", 1774810800, 1774810800 - 24 * 3600 },
	{ BERLIN, "1d", 1792958400, 1792958400 - 25 * 3600 }, /* 25 October 2026, 21:00 CET: a day of 25 */
};

START_TEST(days_and_months_are_of_the_local_calendar)
{
	struct th_duration duration;

	set_zone(moments[_i].zone);
	ck_assert_int_eq(th_duration_parse(moments[_i].duration, &duration), 0);
	ck_assert_uint_eq(th_duration_before(&duration, moments[_i].from * NS) / NS, moments[_i].before);
}
END_TEST

START_TEST(nanoseconds_stay)
{
	struct th_duration duration = { .seconds = 1 };

	ck_assert_uint_eq(th_duration_before(&duration, 5 * NS + 7), 4 * NS + 7);
	ck_assert_uint_eq(th_duration_before(&duration, NS - 1), 0);
	ck_assert_uint_eq(th_duration_before(&(struct th_duration){ 0 }, UINT64_MAX), UINT64_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("duration");
	TCase *tc = tcase_create("duration");

	tcase_add_loop_test(tc, durations_are_numbers_with_units, 0, sizeof(texts) / sizeof(texts[0]));
	tcase_add_loop_test(tc, days_and_months_are_of_the_local_calendar, 0, sizeof(moments) / sizeof(moments[0]));
	tcase_add_test(tc, nanoseconds_stay);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
