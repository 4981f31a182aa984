/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/prune.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

const char *th_prune_rule_name(enum th_prune_rule rule)
{
	static const char *const names[TH_PRUNE_RULES] = {
		[TH_PRUNE_LAST] = "last",     [TH_PRUNE_HOURLY] = "hourly",   [TH_PRUNE_DAILY] = "daily",
		[TH_PRUNE_WEEKLY] = "weekly", [TH_PRUNE_MONTHLY] = "monthly", [TH_PRUNE_YEARLY] = "yearly",
		[TH_PRUNE_WITHIN] = "within", [TH_PRUNE_NEWEST] = "newest",   [TH_PRUNE_PINNED] = "pinned",
	};

	return names[rule];
}

/* --- periods --- */

/* Days since 1 March of the year 0 in the Gregorian calendar: months then have their lengths in a fixed order. */
static int64_t day_number(const struct tm *tm)
{
	int64_t month = (tm->tm_mon + 10) % 12, year = tm->tm_year + 1900 - (tm->tm_mon < 2);

	return 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + tm->tm_mday - 1;
}

/* Fills in the number of the period that a time is in: two times are in the same one if both numbers are equal. */
static void period_of(enum th_prune_rule rule, uint64_t ns, int64_t ret[2])
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm = { 0 };
	int64_t day;

	localtime_r(&seconds, &tm); /* fails in the year 2^31 only, which 64 bits of nanoseconds do not reach */
	day = day_number(&tm);
	ret[1] = 0;
	switch (rule) {
	case TH_PRUNE_HOURLY:
		ret[0] = day * 24 + tm.tm_hour;
		ret[1] = tm.tm_gmtoff; /* the repeated hour differs in it alone */
		break;
	case TH_PRUNE_DAILY:
		ret[0] = day;
		break;
	case TH_PRUNE_WEEKLY:
		ret[0] = day - (tm.tm_wday + 6) % 7; /* its Monday */
		break;
	case TH_PRUNE_MONTHLY:
		ret[0] = tm.tm_year * (int64_t)12 + tm.tm_mon;
		break;
	default:
		ret[0] = tm.tm_year;
	}
}

/* --- rules, for the snapshots of one branch, newest first --- */

static void keep_last(unsigned number, struct th_prune_snapshot **list, size_t count)
{
	for (size_t i = 0; i < count && i < number; i++)
		list[i]->kept_by |= 1u << TH_PRUNE_LAST;
}

static void keep_periods(enum th_prune_rule rule, unsigned number, struct th_prune_snapshot **list, size_t count)
{
	int64_t period[2], last[2];

	for (size_t i = 0; i < count && number > 0; i++) {
		period_of(rule, list[i]->created_ns, period);
		if (i > 0 && period[0] == last[0] && period[1] == last[1])
			continue;
		list[i]->kept_by |= 1u << rule;
		last[0] = period[0];
		last[1] = period[1];
		number--;
	}
}

static void keep_within(const struct th_duration *within, struct th_prune_snapshot **list, size_t count,
			uint64_t now_ns)
{
	uint64_t since = now_ns;
	size_t newest = 0;

	while (newest < count && list[newest]->created_ns > now_ns)
		newest++;
	if (newest < count)
		since = th_duration_before(within, list[newest]->created_ns);
	for (size_t i = 0; i < count && list[i]->created_ns >= since; i++)
		list[i]->kept_by |= 1u << TH_PRUNE_WITHIN;
}

static void keep_of_branch(const struct th_prune_policy *policy, struct th_prune_snapshot **list, size_t count,
			   uint64_t now_ns)
{
	list[0]->kept_by |= 1u << TH_PRUNE_NEWEST;
	keep_last(policy->keep[TH_PRUNE_LAST], list, count);
	for (enum th_prune_rule rule = TH_PRUNE_HOURLY; rule < TH_PRUNE_COUNTED; rule++)
		keep_periods(rule, policy->keep[rule], list, count);
	if (policy->has_within)
		keep_within(&policy->within, list, count, now_ns);
}

/* --- all branches --- */

/* Orders by branch, and within one by time, the newest first; of the same time, the one later in the list. */
static int compare(const void *a, const void *b)
{
	const struct th_prune_snapshot *x = *(struct th_prune_snapshot *const *)a;
	const struct th_prune_snapshot *y = *(struct th_prune_snapshot *const *)b;

	if (x->branch != y->branch)
		return x->branch < y->branch ? -1 : 1;
	if (x->created_ns != y->created_ns)
		return x->created_ns > y->created_ns ? -1 : 1;
	return x > y ? -1 : x < y;
}

int th_prune(const struct th_prune_policy *policy, struct th_prune_snapshot *list, size_t count, uint64_t now_ns)
{
	struct th_prune_snapshot **order = calloc(count + 1, sizeof(struct th_prune_snapshot *));
	size_t end;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		list[i].kept_by = list[i].pinned ? 1u << TH_PRUNE_PINNED : 0;
		order[i] = &list[i];
	}
	qsort(order, count, sizeof(struct th_prune_snapshot *), compare);
	for (size_t at = 0; at < count; at = end) {
		for (end = at + 1; end < count && order[end]->branch == order[at]->branch; end++)
			;
		keep_of_branch(policy, order + at, end - at, now_ns);
	}
	free(order);
	return 0;
}
