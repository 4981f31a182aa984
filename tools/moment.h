/* SPDX-License-Identifier: Apache-2.0 */
/* Moments (nanoseconds since the epoch) as people read them. */
#ifndef TH_TOOLS_MOMENT_H
#define TH_TOOLS_MOMENT_H

#include <stdint.h>

#define TH_MOMENT_TEXT 48

/* In local time, "2026-01-31 13:45:00 +0100"; fills and returns text[TH_MOMENT_TEXT]. */
const char *th_moment_format(uint64_t nanoseconds, char *text);

#endif
