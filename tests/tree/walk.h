/* SPDX-License-Identifier: Apache-2.0 */
/* Random walks with a cursor, checked step by step against the model. */
#ifndef TH_TESTS_TREE_WALK_H
#define TH_TESTS_TREE_WALK_H

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"

/* A range from two picked keys or around one of the model's entries; at times open above.  space: 2 * TH_KEY_MAX. */
struct th_range th_range_pick(const struct th_keys *keys, struct th_random *random, const struct th_model *model,
			      uint8_t *space);
/* `steps` calls of next, prev, seek and seek_end in random order, with changes of direction anywhere. */
void th_verify_walk(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range,
		    const struct th_keys *keys, struct th_random *random, unsigned steps);

#endif
