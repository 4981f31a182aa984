/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for tests: from one printed seed, so that a failure can be played again.
 *
 *   TH_TEST_SEED=N    use this seed (else a fresh one each run)
 *   TH_TEST_ROUNDS=N  how long a random test goes on (else its own default)
 */
#ifndef TH_TESTS_SUPPORT_RANDOM_H
#define TH_TESTS_SUPPORT_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct th_random {
	uint64_t state;
};

/* The seed of this run; says on stdout how to repeat it. */
uint64_t th_test_seed(const char *test);
unsigned th_test_rounds(unsigned usual);

uint64_t th_random_next(struct th_random *random);
/* 0 <= x < limit; limit > 0. */
uint32_t th_random_below(struct th_random *random, uint32_t limit);
/* from <= x <= to */
uint32_t th_random_between(struct th_random *random, uint32_t from, uint32_t to);
bool th_random_percent(struct th_random *random, unsigned percent);
void th_random_fill(struct th_random *random, void *to, size_t size);

#endif
