/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values for random tests: from a limited set, so that operations meet the same keys again, and of the shapes
 * that a prefix-compressing tree may get wrong: empty, short, of the greatest length, with long common prefixes, in
 * sequence, random, full of 0x00 and 0xff.
 */
#ifndef TH_TESTS_SUPPORT_KEYS_H
#define TH_TESTS_SUPPORT_KEYS_H

#include "tests/support/random.h"
#include "tree/thunderhead.h"

struct th_keys {
	uint64_t salt;
	uint32_t range; /* about how many different keys of each shape */
	uint32_t taken; /* bytes of TH_KEY_MAX that they must leave to a prefix */
};

/* One key, written to `space` (TH_KEY_MAX bytes). */
struct th_slice th_keys_pick(const struct th_keys *keys, struct th_random *random, uint8_t *space);

#define TH_KEYS_VALUE_MAX (96u << 10)
/* A size of a value: mostly small, often around TH_INLINE_MAX, at times up to TH_KEYS_VALUE_MAX. */
size_t th_keys_value_size(struct th_random *random);

#endif
