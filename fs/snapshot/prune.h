/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshots a policy keeps.
 *
 * A rule keeps the newest snapshot of each of the last N hours, days, weeks, months or years in which there are any, or
 * simply the last N snapshots.  Periods without a snapshot do not count, so a machine that was off for a year loses
 * nothing.  Periods are of local time; a week begins on Monday.  Where clocks are set back an hour, that hour is there
 * twice.
 *
 * A policy is applied to each branch by itself.  These always stay:
 *
 *   - a pinned snapshot: it has holds, or a branch begins from it
 *   - the newest snapshot of a branch
 *
 * They count for the rules as others do.  A snapshot that no rule keeps may be deleted.
 */
#ifndef TH_FS_SNAPSHOT_PRUNE_H
#define TH_FS_SNAPSHOT_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/snapshot/duration.h"

enum th_prune_rule {
	TH_PRUNE_LAST,
	TH_PRUNE_HOURLY,
	TH_PRUNE_DAILY,
	TH_PRUNE_WEEKLY,
	TH_PRUNE_MONTHLY,
	TH_PRUNE_YEARLY,
	TH_PRUNE_COUNTED, /* rules that have a number */
	TH_PRUNE_WITHIN = TH_PRUNE_COUNTED,
	TH_PRUNE_NEWEST,
	TH_PRUNE_PINNED,
	TH_PRUNE_RULES,
};

struct th_prune_policy {
	unsigned keep[TH_PRUNE_COUNTED]; /* of each rule; 0: none */
	/* Keeps each snapshot that is at most this much older than the newest one of its branch, of which those from
	 * the future do not count: a clock that was wrong once does not make all others old. */
	struct th_duration within;
	bool has_within;
};

struct th_prune_snapshot {
	uint64_t branch; /* id */
	uint64_t created_ns; /* since 1970, UTC */
	bool pinned;
	unsigned kept_by; /* in the answer: a bit for each rule; 0: it may be deleted */
};

/* Returns the word for a rule, as in "kept by: last, daily". */
const char *th_prune_rule_name(enum th_prune_rule rule);

/* Fills in kept_by of all snapshots, which are listed oldest first.  The local time zone (tzset(3)) decides on periods.
 *
 * now_ns: the present.  Returns 0 or -ENOMEM. */
int th_prune(const struct th_prune_policy *policy, struct th_prune_snapshot *list, size_t count, uint64_t now_ns);

#endif
