/* SPDX-License-Identifier: Apache-2.0 */
/* Diffs of views against the differences of models. */
#ifndef TH_TESTS_TREE_DIFFERENCES_H
#define TH_TESTS_TREE_DIFFERENCES_H

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"

/* Verifies that the diff of the views, forward and backward, equals the difference of the models. */
void th_verify_diff(struct th_view *from, const struct th_model *from_model, struct th_view *to,
		    const struct th_model *to_model, const struct th_range *range);
/* Verifies the same in `steps` calls of next, prev, seek and seek_end in random order. */
void th_verify_diff_walk(struct th_view *from, const struct th_model *from_model, struct th_view *to,
			 const struct th_model *to_model, const struct th_range *range, const struct th_keys *keys,
			 struct th_random *random, unsigned steps);

#endif
