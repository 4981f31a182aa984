/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/timestamp.h"

#include <time.h>

const char *th_timestamp_format(uint64_t nanoseconds, char *text)
{
	time_t seconds = (time_t)(nanoseconds / 1000000000);
	struct tm local;

	if (!localtime_r(&seconds, &local) || !strftime(text, TH_TIMESTAMP_TEXT, "%Y-%m-%d %H:%M:%S %z", &local))
		text[0] = 0;
	return text;
}
