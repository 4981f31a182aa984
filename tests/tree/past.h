/* SPDX-License-Identifier: Apache-2.0 */
/* Past: a store with a random history, of which stages are kept as views and as models. */
#ifndef TH_TESTS_TREE_PAST_H
#define TH_TESTS_TREE_PAST_H

#include "tests/support/keys.h"
#include "tests/tree/fixture.h"

#define TH_PAST_STAGES 4
#define TH_PAST_WRITES 1500 /* in each stage but the second, which has few */

struct th_past {
	struct th_fixture fixture;
	struct th_random random;
	struct th_keys keys;
	struct th_model *live;
	struct th_view *views[TH_PAST_STAGES]; /* snapshots "stage-0" and "stage-2", and frozen views; NULL: closed */
	struct th_model *models[TH_PAST_STAGES];
	uint64_t stamp; /* of the next value */
};

/* Makes a store from a seed, with all stages and some writes after them. */
struct th_past *th_past_new(uint64_t seed);
/* Checks the store, and frees everything. */
void th_past_free(struct th_past *past);
/* Makes `count` random writes in one transaction. */
void th_past_write(struct th_past *past, unsigned count);
/* Picks a prefix under which the store has many keys, one, or none.  space: TH_KEY_MAX bytes. */
struct th_slice th_past_prefix(struct th_random *random, uint8_t *space);

/* Returns the part of a model below a prefix, with keys that lack the prefix.  The caller drops it. */
struct th_model *th_model_below(const struct th_model *model, struct th_slice prefix);

#endif
