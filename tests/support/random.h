/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for tests, from one printed seed, so that a failure can be repeated.
 *
 *   TH_TEST_SEED=N    the seed; by default a new one in each run
 *   TH_TEST_ROUNDS=N  number of rounds of a random test; by default its own
 */
#ifndef TH_TESTS_SUPPORT_RANDOM_H
#define TH_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct th_random {
	uint64_t state;
};

/* Returns the seed of this run, and prints on stdout how to repeat it. */
uint64_t th_test_seed(const char *test);
unsigned th_test_rounds(unsigned usual);

uint64_t th_random_next(struct th_random *random);
/* Returns a number x with 0 <= x < limit; limit > 0. */
uint32_t th_random_below(struct th_random *random, uint32_t limit);
/* Returns a number x with from <= x <= to. */
uint32_t th_random_between(struct th_random *random, uint32_t from, uint32_t to);
bool th_random_percent(struct th_random *random, unsigned percent);
void th_random_fill(struct th_random *random, void *to, size_t size);

#endif
