/* SPDX-License-Identifier: Apache-2.0 */
/* Random walks with a cursor, compared with the model at each step. */
#ifndef TH_TESTS_TREE_WALK_H
#define TH_TESTS_TREE_WALK_H

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"

/* Returns a random range: between two picked keys, or around an entry of the model; sometimes without upper bound.
 * space: 2 * TH_KEY_MAX bytes, which must live as long as the range. */
struct th_range th_range_pick(const struct th_keys *keys, struct th_random *random, const struct th_model *model,
			      uint8_t *space);
/* Verifies `steps` calls of next, prev, seek and seek_end in random order, with changes of direction anywhere. */
void th_verify_walk(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range,
		    const struct th_keys *keys, struct th_random *random, unsigned steps);

#endif
