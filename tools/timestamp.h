/* SPDX-License-Identifier: Apache-2.0 */
/* Times as the tool prints them. */
#ifndef TH_TOOLS_TIMESTAMP_H
#define TH_TOOLS_TIMESTAMP_H

#include <stdint.h>

#define TH_TIMESTAMP_TEXT 48

/* Formats a time, in nanoseconds since 1970 (UTC), in local time: "2026-01-31 13:45:00 +0100".  Fills and returns
 * text[TH_TIMESTAMP_TEXT]; it is empty if the time cannot be represented. */
const char *th_timestamp_format(uint64_t nanoseconds, char *text);
/* Formats a time as RFC 3339 in UTC, with nanoseconds: "2026-01-31T12:45:00.000000000Z".  Otherwise as
 * th_timestamp_format(). */
const char *th_timestamp_rfc3339(uint64_t nanoseconds, char *text);

#endif
