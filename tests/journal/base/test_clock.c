/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/clock.h"

#include "tests/journal/suite.h"

START_TEST(now_counts_from_1970)
{
	uint64_t before = (uint64_t)time(NULL), now = th_now_ns(), after;

	/* time() reads a coarser clock, which may lag by a tick. */
	after = (uint64_t)time(NULL) + 1;
	ck_assert_uint_ge(now / TH_NS_PER_S, before);
	ck_assert_uint_le(now / TH_NS_PER_S, after);
}
END_TEST

START_TEST(monotonic_time_never_goes_back)
{
	uint64_t last = th_monotonic_ns();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = th_monotonic_ns();

		th_check(now >= last);
		last = now;
	}
}
END_TEST

START_TEST(time_after_ms_is_that_far_away)
{
	static const uint64_t waits_ms[] = { 0, 1, 999, 1000, 1001, 86400000 };

	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		uint64_t before = th_monotonic_ns(), until, after;
		struct timespec time = th_clock_after_ms(CLOCK_MONOTONIC, waits_ms[i]);

		after = th_monotonic_ns();
		ck_assert_int_ge(time.tv_nsec, 0);
		ck_assert_int_lt(time.tv_nsec, (long)TH_NS_PER_S);
		until = (uint64_t)time.tv_sec * TH_NS_PER_S + (uint64_t)time.tv_nsec;
		ck_assert_uint_ge(until, before + waits_ms[i] * 1000000);
		ck_assert_uint_le(until, after + waits_ms[i] * 1000000);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase = tcase_create("clock");

	tcase_add_test(tcase, now_counts_from_1970);
	tcase_add_test(tcase, monotonic_time_never_goes_back);
	tcase_add_test(tcase, time_after_ms_is_that_far_away);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
