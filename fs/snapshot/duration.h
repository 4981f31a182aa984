/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations as users write them: numbers with units, such as "30d", "1y6mo" or "90min".
 *
 *   s   min   h   d   w   mo   y
 *
 * Days and longer units are of the calendar, in local time: a day before noon is noon, also where a change to summer
 * time lies between the two, and a month before 31 March is the last day of February.  "m" alone is refused, since some
 * programs take it for minutes and others for months.
 */
#ifndef TH_FS_SNAPSHOT_DURATION_H
#define TH_FS_SNAPSHOT_DURATION_H

#include <stdint.h>

struct th_duration {
	unsigned months, days;
	uint64_t seconds;
};

/* Parses a duration of at least one number with its unit.  Returns 0, -EINVAL, or -ERANGE if a number is above a
 * million. */
int th_duration_parse(const char *text, struct th_duration *ret);

/* Returns the moment that lies this long before another one, both in nanoseconds since 1970 (UTC); 0 if it is earlier
 * than that.  The local time zone (tzset(3)) decides on days and months. */
uint64_t th_duration_before(const struct th_duration *duration, uint64_t ns);

#endif
