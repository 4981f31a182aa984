/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE";

/* Returns the exponent of 2 that a unit stands for, or -1 if it is not a unit. */
static int unit_shift(const char *text)
{
	const char *unit = *text ? strchr(units, toupper((unsigned char)*text)) : NULL;

	if (!*text || !strcasecmp(text, "B"))
		return 0;
	if (!unit || (text[1] && strcasecmp(text + 1, "B") && strcasecmp(text + 1, "iB")))
		return -1;
	return 10 * (int)(unit - units + 1);
}

/* Parses the digits after the point, as a fraction of 2^shift. */
static uint64_t parse_fraction(const char **text, int shift)
{
	double value = 0, weight = 0.1;

	for (; isdigit((unsigned char)**text); (*text)++, weight /= 10)
		value += weight * (**text - '0');
	return (uint64_t)(value * (double)(UINT64_C(1) << shift) + 0.5);
}

int th_size_parse(const char *text, uint64_t *ret_bytes)
{
	const char *end = text, *digits;
	uint64_t whole = 0, fraction = 0;
	int shift;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*end); end++) {
		if (whole > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(*end - '0');
	}
	digits = *end == '.' ? end + 1 : NULL;
	if (digits)
		end = digits + strspn(digits, "0123456789");
	shift = unit_shift(end);
	if (shift < 0 || (digits && (end == digits || !shift)))
		return -EINVAL;
	if (digits)
		fraction = parse_fraction(&digits, shift);
	if (whole > (uint64_t)(INT64_MAX >> shift) || (whole << shift) > (uint64_t)INT64_MAX - fraction)
		return -ERANGE;
	*ret_bytes = (whole << shift) + fraction;
	return 0;
}

const char *th_size_format(uint64_t bytes, char *text)
{
	int unit = -1;
	double value = (double)bytes;

	for (; value >= 1024 && units[unit + 1]; unit++)
		value /= 1024;
	if (unit < 0)
		snprintf(text, TH_SIZE_TEXT, "%llu B", (unsigned long long)bytes);
	else
		snprintf(text, TH_SIZE_TEXT, "%.1f %ciB", value, units[unit]);
	return text;
}
