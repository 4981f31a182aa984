/* SPDX-License-Identifier: Apache-2.0 */
/* A space for tests. */
#ifndef TH_TESTS_JOURNAL_SPACE_NEW_SPACE_H
#define TH_TESTS_JOURNAL_SPACE_NEW_SPACE_H

#include "journal/space/space.h"
#include "tests/journal/suite.h"

#define TH_TEST_FIXED 8u /* blocks claimed at the start, and as many at the end */

/* Makes a space as a store has it, with both ends claimed.  The caller frees it. */
static inline struct th_space *th_test_space(uint64_t blocks)
{
	struct th_space *space;

	th_ok(th_space_new(blocks, &space));
	th_ok(th_space_claim(space, 0, TH_TEST_FIXED));
	th_ok(th_space_claim(space, blocks - TH_TEST_FIXED, TH_TEST_FIXED));
	return space;
}

#endif
