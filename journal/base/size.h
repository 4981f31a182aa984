/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as users write and read them: 512M, 10G, 1048576.  Units are powers of 1024. */
#ifndef TH_JOURNAL_BASE_SIZE_H
#define TH_JOURNAL_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define TH_SIZE_TEXT 24

/* Parses a size: a number, with or without a fraction, and a unit, one of K M G T P E, which "iB" or "B" may follow.
 * Without a unit it is bytes, and has no fraction.  Returns 0, -EINVAL if the text is not a size, or -ERANGE if it is
 * above INT64_MAX, the largest size of a file. */
int th_size_parse(const char *text, uint64_t *ret_bytes);
/* Formats a size, from 1 KiB on with a unit and one decimal.  Fills and returns text[TH_SIZE_TEXT]. */
const char *th_size_format(uint64_t bytes, char *text);

#endif
