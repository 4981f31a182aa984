/* SPDX-License-Identifier: Apache-2.0 */
/* A world: all that a store holds at one moment, its live tree and its snapshots, as models. */
#ifndef TH_TEST_WORLD_H
#define TH_TEST_WORLD_H

#include "tests/tree/fixture.h"

#define TH_WORLD_SNAPSHOTS 12

struct th_world_snapshot {
	struct th_snapshot info; /* generation and time are 0 if the call that made it never told */
	struct th_model *model;
};

struct th_world {
	struct th_model *live;
	struct th_world_snapshot snapshots[TH_WORLD_SNAPSHOTS]; /* oldest first */
	size_t count;
};

/* Models are shared with the copy: they must not be modified any more, but be replaced. */
struct th_world th_world_copy(const struct th_world *world);
void th_world_release(struct th_world *world);
void th_world_set_live(struct th_world *world, struct th_model *live);
/* Index of the snapshot of that name; count if there is none. */
size_t th_world_find(const struct th_world *world, const char *name);

/* These do the same to the store and then to the world; the store must succeed. */
void th_world_create(struct th_world *world, struct th_store *store, const char *name);
void th_world_delete(struct th_world *world, struct th_store *store, const char *name);
void th_world_rename(struct th_world *world, struct th_store *store, const char *from, const char *to);

/* Does the store hold this world?  Quick: by hash of the live tree, and the snapshots' ids and names. */
bool th_world_is(struct th_world *world, struct th_store *store, uint64_t live_hash);
/* Everything in the store is as in this world, else the test fails, saying how it differs. */
void th_world_verify(const struct th_world *world, struct th_store *store);

#endif
