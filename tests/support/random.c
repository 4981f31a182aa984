/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint64_t th_test_seed(const char *test)
{
	const char *given = getenv("TH_TEST_SEED");
	uint32_t fresh = 1;
	uint64_t seed;

	if (given && *given)
		seed = strtoull(given, NULL, 0);
	else
		seed = getrandom(&fresh, sizeof(fresh), 0) == (ssize_t)sizeof(fresh) ? fresh : 1;
	printf("%s: TH_TEST_SEED=%" PRIu64 "\n", test, seed);
	fflush(stdout);
	return seed;
}

unsigned th_test_rounds(unsigned usual)
{
	const char *given = getenv("TH_TEST_ROUNDS");

	return given && *given ? (unsigned)strtoul(given, NULL, 0) : usual;
}

/* splitmix64 (Steele, Lea and Flood 2014): every 64-bit state is good, so every seed is. */
uint64_t th_random_next(struct th_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t th_random_below(struct th_random *random, uint32_t limit)
{
	return (uint32_t)(((th_random_next(random) >> 32) * limit) >> 32);
}

uint32_t th_random_between(struct th_random *random, uint32_t from, uint32_t to)
{
	return from + th_random_below(random, to - from + 1);
}

bool th_random_percent(struct th_random *random, unsigned percent)
{
	return th_random_below(random, 100) < percent;
}

void th_random_fill(struct th_random *random, void *to, size_t size)
{
	uint8_t *bytes = to;

	while (size) {
		uint64_t x = th_random_next(random);
		size_t n = size < sizeof(x) ? size : sizeof(x);

		memcpy(bytes, &x, n);
		bytes += n;
		size -= n;
	}
}
