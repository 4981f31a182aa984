/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes as people write them: 512M, 10G, 1048576; units are powers of 1024.
 */
#ifndef TH_TOOLS_SIZE_H
#define TH_TOOLS_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define TH_SIZE_TEXT 24

/* Bytes: a number, with or without a fraction, and one of K M G T P E, which "iB" or "B" may follow.  -EINVAL: no size;
 * -ERANGE: does not fit a file. */
int th_size_parse(const char *text, uint64_t *ret_bytes);
/* With a unit and one decimal where that says it better; fills and returns text[TH_SIZE_TEXT]. */
const char *th_size_format(uint64_t bytes, char *text);

#endif
