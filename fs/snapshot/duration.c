/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUMBER_MAX 1000000
#define NS_PER_SECOND 1000000000u

static const struct unit {
	const char *name;
	unsigned months, days, seconds;
} units[] = {
	{ "s", 0, 0, 1 }, { "min", 0, 0, 60 }, { "h", 0, 0, 3600 }, { "d", 0, 1, 0 },
	{ "w", 0, 7, 0 }, { "mo", 1, 0, 0 },   { "y", 12, 0, 0 },
};

static const struct unit *find_unit(const char *name, size_t size)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) == size && !memcmp(units[i].name, name, size))
			return &units[i];
	}
	return NULL;
}

/* Adds one number with its unit.  Returns the text after it, or NULL with *ret_err. */
static const char *parse_part(const char *text, struct th_duration *duration, int *ret_err)
{
	const struct unit *unit;
	unsigned long number;
	size_t letters = 0;
	char *end;

	*ret_err = -EINVAL;
	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	number = strtoul(text, &end, 10);
	while (isalpha((unsigned char)end[letters]))
		letters++;
	unit = find_unit(end, letters);
	if (!unit)
		return NULL;
	if (errno || number > NUMBER_MAX) {
		*ret_err = -ERANGE;
		return NULL;
	}
	duration->months += (unsigned)number * unit->months;
	duration->days += (unsigned)number * unit->days;
	duration->seconds += (uint64_t)number * unit->seconds;
	return end + letters;
}

int th_duration_parse(const char *text, struct th_duration *ret)
{
	struct th_duration duration = { 0 };
	unsigned parts = 0;
	int err = -EINVAL;

	do {
		if (parts++ == sizeof(units) / sizeof(units[0]))
			return -EINVAL; /* no unit is needed twice, and the sums stay small */
		text = parse_part(text, &duration, &err);
	} while (text && *text);
	if (!text)
		return err;
	*ret = duration;
	return 0;
}

static int days_of_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month] + (month == 1 && leap);
}

/* Moves a time back by months; its day becomes the last one of a month that is too short for it. */
static void subtract_months(struct tm *tm, unsigned months)
{
	int count = tm->tm_year * 12 + tm->tm_mon - (int)months, last;

	tm->tm_year = count / 12;
	tm->tm_mon = count % 12;
	if (tm->tm_mon < 0) {
		tm->tm_mon += 12;
		tm->tm_year--;
	}
	last = days_of_month(tm->tm_year + 1900, tm->tm_mon);
	if (tm->tm_mday > last)
		tm->tm_mday = last;
}

uint64_t th_duration_before(const struct th_duration *duration, uint64_t ns)
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	struct tm tm;

	if ((duration->months || duration->days) && localtime_r(&seconds, &tm)) {
		subtract_months(&tm, duration->months);
		tm.tm_mday -= (int)duration->days;
		tm.tm_isdst = -1;
		seconds = mktime(&tm);
	}
	if (seconds < 0 || (uint64_t)seconds < duration->seconds)
		return 0;
	return ((uint64_t)seconds - duration->seconds) * NS_PER_SECOND + ns % NS_PER_SECOND;
}
