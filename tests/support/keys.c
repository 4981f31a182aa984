/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/keys.h"

#include <stdio.h>
#include <string.h>

static size_t key_short(struct th_random *random, uint8_t *space)
{
	static const uint8_t alphabet[] = { 0x00, 0x01, 'a', 'b', 0xfe, 0xff };
	size_t size = th_random_below(random, 5);

	for (size_t i = 0; i < size; i++)
		space[i] = alphabet[th_random_below(random, sizeof(alphabet))];
	return size;
}

static size_t key_sequential(uint32_t number, uint8_t *space)
{
	space[0] = 's';
	for (int i = 0; i < 4; i++)
		space[1 + i] = (uint8_t)(number >> (24 - 8 * i));
	return 5;
}

static size_t key_prefixed(uint32_t number, struct th_random *random, uint8_t *space)
{
	static const uint16_t prefixes[] = { 60, 255, 500, 900, TH_KEY_MAX - 8 };
	size_t prefix = prefixes[th_random_below(random, 5)];
	char digits[9];

	memset(space, 'p', prefix);
	snprintf(digits, sizeof(digits), "%08x", number);
	memcpy(space + prefix, digits, 8);
	return prefix + 8;
}

static size_t key_path(uint32_t number, uint8_t *space)
{
	return (size_t)snprintf((char *)space, TH_KEY_MAX, "home/user%u/dir%u/file-%u.txt", number % 3, number / 3 % 7,
				number);
}

static size_t key_random(const struct th_keys *keys, uint32_t number, uint8_t *space)
{
	struct th_random fixed = { .state = keys->salt + number };
	size_t size = number % 16 ? 16 : th_random_below(&fixed, TH_KEY_MAX + 1);

	th_random_fill(&fixed, space, size);
	return size;
}

/* Runs of 0xff and 0x00: a prefix of 0xff has no successor; a run of 0x00 is the successor of the shorter one. */
static size_t key_edge(struct th_random *random, uint8_t *space)
{
	size_t size = th_random_percent(random, 30) ? TH_KEY_MAX : th_random_below(random, 8);

	memset(space, th_random_percent(random, 50) ? 0xff : 0x00, size);
	if (size && th_random_percent(random, 30))
		space[size - 1] = (uint8_t)th_random_below(random, 256);
	return size;
}

struct th_slice th_keys_pick(const struct th_keys *keys, struct th_random *random, uint8_t *space)
{
	uint32_t number = th_random_below(random, keys->range), shape = th_random_below(random, 100);
	size_t size;

	if (shape < 5)
		size = key_short(random, space);
	else if (shape < 35)
		size = key_sequential(number, space);
	else if (shape < 50)
		size = key_prefixed(number, random, space);
	else if (shape < 75)
		size = key_path(number, space);
	else if (shape < 97)
		size = key_random(keys, number, space);
	else
		size = key_edge(random, space);
	if (size > TH_KEY_MAX - keys->taken)
		size = TH_KEY_MAX - keys->taken;
	return (struct th_slice){ space, size };
}

size_t th_keys_value_size(struct th_random *random)
{
	uint32_t shape = th_random_below(random, 1000);

	if (shape < 600)
		return th_random_below(random, 64);
	if (shape < 800)
		return th_random_below(random, 1000);
	if (shape < 900)
		return th_random_between(random, TH_INLINE_MAX - 2, TH_INLINE_MAX + 2);
	if (shape < 995)
		return th_random_below(random, 8193);
	return th_random_below(random, TH_KEYS_VALUE_MAX + 1);
}
