/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/timestamp.h"

#include <stdio.h>
#include <time.h>

const char *th_timestamp_format(uint64_t nanoseconds, char *text)
{
	time_t seconds = (time_t)(nanoseconds / 1000000000);
	struct tm local;

	if (!localtime_r(&seconds, &local) || !strftime(text, TH_TIMESTAMP_TEXT, "%Y-%m-%d %H:%M:%S %z", &local))
		text[0] = 0;
	return text;
}

const char *th_timestamp_rfc3339(uint64_t nanoseconds, char *text)
{
	time_t seconds = (time_t)(nanoseconds / 1000000000);
	struct tm utc;
	size_t size;

	text[0] = 0;
	if (gmtime_r(&seconds, &utc) && (size = strftime(text, TH_TIMESTAMP_TEXT, "%Y-%m-%dT%H:%M:%S", &utc)))
		snprintf(text + size, TH_TIMESTAMP_TEXT - size, ".%09uZ", (unsigned)(nanoseconds % 1000000000));
	return text;
}
