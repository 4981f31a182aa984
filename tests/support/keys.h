/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values for random tests.  The keys are of a limited set, so that operations use the same keys again.  Their
 * shapes are those in which a tree with compressed prefixes may fail: empty, short, of the maximum length, with long
 * common prefixes, in sequence, random, full of 0x00 and 0xff.
 */
#ifndef TH_TESTS_SUPPORT_KEYS_H
#define TH_TESTS_SUPPORT_KEYS_H

#include "tests/support/random.h"
#include "tree/thunderhead.h"

struct th_keys {
	uint64_t salt;
	uint32_t range; /* number of different keys of each shape, about */
	uint32_t taken; /* bytes of TH_KEY_MAX that keys leave for a prefix */
};

/* Returns a random key in `space`, TH_KEY_MAX bytes. */
struct th_slice th_keys_pick(const struct th_keys *keys, struct th_random *random, uint8_t *space);

#define TH_KEYS_VALUE_MAX (96u << 10)
/* Returns a random size of a value: mostly small, often near TH_INLINE_MAX, sometimes up to TH_KEYS_VALUE_MAX. */
size_t th_keys_value_size(struct th_random *random);

#endif
