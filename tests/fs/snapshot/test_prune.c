/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/prune.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/random.h"
#include "tests/support/suite.h"

#define NS UINT64_C(1000000000)
#define MOST 200
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" /* its summer time is half an hour */

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

/* Parses "2026-03-29 01:30", UTC. */
static uint64_t moment(const char *text)
{
	struct tm tm = { 0 };

	ck_assert_ptr_nonnull(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return (uint64_t)timegm(&tm) * NS;
}

/* --- examples --- */

static const struct example {
	const char *what, *zone;
	unsigned keep[TH_PRUNE_COUNTED];
	const char *within;
	const char *times[12]; /* UTC, oldest first; "!" before a pinned one */
	const char *kept; /* a letter for each: k or - */
} examples[] = {
	{ "last", "UTC", { 2 }, NULL, { "2026-01-01 00:00", "2026-01-01 00:00", "2026-01-01 00:00" }, "-kk" },
	{ "more than there are", "UTC", { 9 }, NULL, { "2026-01-01 00:00", "2026-01-01 00:01" }, "kk" },
	{ "a rule of zero keeps nothing but the newest",
	  "UTC",
	  { 0 },
	  NULL,
	  { "2026-01-01 00:00", "2026-01-01 00:01" },
	  "-k" },
	{ "the newest of each hour",
	  "UTC",
	  { 0, 2 },
	  NULL,
	  { "2026-01-01 08:59", "2026-01-01 09:00", "2026-01-01 09:59", "2026-01-01 10:00", "2026-01-01 10:01" },
	  "--k-k" },
	{ "hours without snapshots do not count",
	  "UTC",
	  { 0, 2 },
	  NULL,
	  { "2020-01-01 00:10", "2020-01-01 00:20", "2026-01-01 10:00" },
	  "-kk" },
	{ "the hour that is there twice",
	  BERLIN,
	  { 0, 9 },
	  NULL,
	  { "2026-10-25 00:10", "2026-10-25 00:30", "2026-10-25 01:10", "2026-10-25 01:30", "2026-10-25 02:10" },
	  "-k-kk" },
	{ "the hour that is missing",
	  BERLIN,
	  { 0, 9 },
	  NULL,
	  { "2026-03-29 00:30", "2026-03-29 00:59", "2026-03-29 01:00", "2026-03-29 01:30" },
	  "-k-k" },
	{ "the half hour that is there twice",
	  LORD_HOWE,
	  { 0, 9 },
	  NULL,
	  { "2026-04-04 14:40", "2026-04-04 14:50", "2026-04-04 15:10", "2026-04-04 15:20", "2026-04-04 15:40" },
	  "-k-kk" },
	{ "days of local time",
	  BERLIN,
	  { 0, 0, 2 },
	  NULL,
	  { "2026-01-01 22:30", "2026-01-01 23:30", "2026-01-02 12:00", "2026-01-02 23:30" },
	  "--kk" },
	{ "a day of 25 hours is one day",
	  BERLIN,
	  { 0, 0, 9 },
	  NULL,
	  { "2026-10-24 21:59", "2026-10-24 22:00", "2026-10-25 22:59", "2026-10-25 23:00" },
	  "k-kk" },
	{ "the same on the other side of the world",
	  "XYZ12",
	  { 0, 0, 2 },
	  NULL,
	  { "2026-01-01 11:00", "2026-01-01 13:00", "2026-01-02 11:00", "2026-01-02 13:00" },
	  "--kk" },
	{ "weeks begin on Monday, also across a year",
	  "UTC",
	  { 0, 0, 0, 2 },
	  NULL,
	  { "2025-12-28 12:00", "2025-12-29 12:00", "2026-01-01 12:00", "2026-01-04 12:00", "2026-01-05 00:00" },
	  "---kk" },
	{ "months",
	  "UTC",
	  { 0, 0, 0, 0, 2 },
	  NULL,
	  { "2025-11-30 12:00", "2025-12-01 12:00", "2025-12-31 23:59", "2026-01-01 00:00", "2026-01-31 00:00" },
	  "--k-k" },
	{ "years",
	  "UTC",
	  { 0, 0, 0, 0, 0, 2 },
	  NULL,
	  { "2023-06-01 00:00", "2024-01-01 00:00", "2024-12-31 23:59", "2026-01-01 00:00" },
	  "--kk" },
	{ "rules add up",
	  "UTC",
	  { 1, 0, 2, 0, 2 },
	  NULL,
	  { "2025-12-31 12:00", "2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 11:00", "2026-01-03 12:00" },
	  "k-k-k" },
	{ "within", "UTC", { 0 }, "1d", { "2026-01-01 11:59", "2026-01-01 12:00", "2026-01-02 12:00" }, "-kk" },
	{ "within: after a long time all of it is old",
	  "UTC",
	  { 0 },
	  "1d",
	  { "2020-01-01 12:00", "2020-01-02 12:00" },
	  "kk" },
	{ "within: from the future",
	  "UTC",
	  { 0 },
	  "1d",
	  { "2026-01-01 11:59", "2026-01-01 12:00", "2026-01-02 12:00", "2999-01-01 00:00" },
	  "-kkk" },
	{ "pinned ones stay, and count",
	  "UTC",
	  { 0, 0, 1 },
	  NULL,
	  { "!2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 11:00", "!2026-01-03 12:00" },
	  "k--k" },
	{ "a clock that went back",
	  "UTC",
	  { 2 },
	  NULL,
	  { "2026-01-01 12:00", "2026-01-01 11:00", "2026-01-01 10:00" },
	  "kk-" },
};

START_TEST(policy_keeps)
{
	const struct example *example = &examples[_i];
	struct th_prune_policy policy = { .has_within = example->within };
	struct th_prune_snapshot list[12] = { 0 };
	size_t count = strlen(example->kept);
	char kept[13] = "";

	set_zone(example->zone);
	memcpy(policy.keep, example->keep, sizeof(policy.keep));
	if (example->within)
		ck_assert_int_eq(th_duration_parse(example->within, &policy.within), 0);
	for (size_t i = 0; i < count; i++) {
		list[i].pinned = example->times[i][0] == '!';
		list[i].created_ns = moment(example->times[i] + list[i].pinned);
	}
	ck_assert_int_eq(th_prune(&policy, list, count, moment("2026-12-31 00:00")), 0);
	for (size_t i = 0; i < count; i++)
		kept[i] = list[i].kept_by ? 'k' : '-';
	ck_assert_msg(!strcmp(kept, example->kept), "%s: %s instead of %s", example->what, kept, example->kept);
}
END_TEST

START_TEST(rules_are_named)
{
	struct th_prune_snapshot list[] = { { .created_ns = NS, .pinned = true }, { .created_ns = 2 * NS } };
	const struct th_prune_policy policy = { .keep = { [TH_PRUNE_HOURLY] = 1 } };

	ck_assert_int_eq(th_prune(&policy, list, 2, 3 * NS), 0);
	ck_assert_uint_eq(list[0].kept_by, 1u << TH_PRUNE_PINNED);
	ck_assert_uint_eq(list[1].kept_by, 1u << TH_PRUNE_HOURLY | 1u << TH_PRUNE_NEWEST);
	for (enum th_prune_rule rule = 0; rule < TH_PRUNE_RULES; rule++)
		ck_assert_ptr_nonnull(th_prune_rule_name(rule));
	ck_assert_int_eq(th_prune(&policy, NULL, 0, 0), 0);
}
END_TEST

/* --- random lists, beside properties --- */

static uint64_t seed;

static const char *const formats[TH_PRUNE_COUNTED] = { "%s", "%F %H %z", "%F", "%G %V", "%Y %m", "%Y" };

/* Fills text with the name of the period that strftime(3) finds. */
static void period(enum th_prune_rule rule, uint64_t ns, char text[64])
{
	time_t seconds = (time_t)(ns / NS);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, 64, formats[rule], &tm);
}

/* Returns whether snapshot x is newer than y. */
static bool newer(const struct th_prune_snapshot *x, const struct th_prune_snapshot *y)
{
	return x->created_ns > y->created_ns || (x->created_ns == y->created_ns && x > y);
}

/* Checks a counted rule: kept is the newest of its period, if fewer than the number of newer periods are kept. */
static void check_rule(const struct th_prune_snapshot *list, size_t count, enum th_prune_rule rule, unsigned number)
{
	for (size_t i = 0; i < count; i++) {
		char own[64], other[64];
		unsigned periods = 0;
		bool newest = true;

		period(rule, list[i].created_ns, own);
		for (size_t k = 0; k < count; k++) {
			if (list[k].branch != list[i].branch || !newer(&list[k], &list[i]))
				continue;
			period(rule, list[k].created_ns, other);
			newest &= rule == TH_PRUNE_LAST || strcmp(own, other) != 0;
			periods += list[k].kept_by >> rule & 1;
		}
		ck_assert_uint_eq(list[i].kept_by >> rule & 1, newest && periods < number);
	}
}

static size_t drop_unkept(struct th_prune_snapshot *list, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (list[i].kept_by)
			list[kept++] = list[i];
	}
	return kept;
}

START_TEST(properties_of_random_policies)
{
	static const char *const zones[] = { "UTC", BERLIN, LORD_HOWE, "XYZ12", "XYZ-14" };
	struct th_prune_snapshot list[MOST];
	struct th_prune_policy policy = { 0 };
	struct th_random random = { seed + (uint64_t)_i };
	size_t count = th_random_below(&random, MOST), kept;
	uint64_t now = moment("2026-03-20 00:00"), span = UINT64_C(1) << th_random_between(&random, 33, 58);

	set_zone(zones[_i % 5]);
	for (size_t i = 0; i < count; i++)
		list[i] = (struct th_prune_snapshot){ .branch = th_random_below(&random, 3),
						      .created_ns = now - th_random_next(&random) % span,
						      .pinned = th_random_below(&random, 20) == 0 };
	for (enum th_prune_rule rule = 0; rule < TH_PRUNE_COUNTED; rule++)
		policy.keep[rule] = th_random_below(&random, 6);
	policy.has_within = th_random_below(&random, 2);
	policy.within.seconds = th_random_next(&random) % (span / NS + 1);
	ck_assert_int_eq(th_prune(&policy, list, count, now), 0);
	for (enum th_prune_rule rule = 0; rule < TH_PRUNE_COUNTED; rule++)
		check_rule(list, count, rule, policy.keep[rule]);
	for (size_t i = 0; i < count; i++) {
		bool newest = true;

		for (size_t k = 0; k < count; k++)
			newest &= list[k].branch != list[i].branch || !newer(&list[k], &list[i]);
		ck_assert(list[i].kept_by || (!newest && !list[i].pinned));
	}
	/* A second run finds nothing more to delete. */
	kept = drop_unkept(list, count);
	ck_assert_int_eq(th_prune(&policy, list, kept, now), 0);
	ck_assert_uint_eq(drop_unkept(list, kept), kept);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("prune");
	TCase *tc = tcase_create("prune");

	seed = th_test_seed("prune");
	tcase_add_loop_test(tc, policy_keeps, 0, sizeof(examples) / sizeof(examples[0]));
	tcase_add_test(tc, rules_are_named);
	tcase_add_loop_test(tc, properties_of_random_policies, 0, 100);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
