/* SPDX-License-Identifier: Apache-2.0 */
/* World: the whole state of a store at one moment, its branches and its snapshots, as models. */
#ifndef TH_TESTS_TREE_WORLD_H
#define TH_TESTS_TREE_WORLD_H

#include "tests/tree/fixture.h"

#define TH_WORLD_SNAPSHOTS 12
#define TH_WORLD_BRANCHES 16 /* detached ones too: at most one for each snapshot */
#define TH_WORLD_NAMED 4
#define TH_WORLD_TAGS 3 /* tags of holds: "tag 0" and so on */

struct th_world_snapshot {
	struct th_snapshot info; /* generation and time are 0 if the call that made it did not return them */
	struct th_model *model;
	unsigned tags; /* a bit for each of its holds */
};

struct th_world_branch {
	uint64_t id, origin;
	bool detached;
	char name[40];
	struct th_model *head; /* NULL: it is the current one, or has none */
};

struct th_world {
	struct th_model *live;
	struct th_world_snapshot snapshots[TH_WORLD_SNAPSHOTS]; /* oldest first */
	size_t count;
	struct th_world_branch branches[TH_WORLD_BRANCHES]; /* oldest first */
	size_t nbranches;
	uint64_t current, next_branch, next_snapshot;
};

/* Begins with the world of an empty store. */
void th_world_init(struct th_world *world);
/* Returns a copy, which shares the models: from now on a model is replaced, not modified. */
struct th_world th_world_copy(const struct th_world *world);
void th_world_release(struct th_world *world);
void th_world_set_live(struct th_world *world, struct th_model *live);
/* Returns the index of the snapshot with that name; count if there is none. */
size_t th_world_find(const struct th_world *world, const char *name);
/* Returns the branch with that name; NULL if there is none, or it is detached. */
struct th_world_branch *th_world_branch(struct th_world *world, const char *name);

/* Returns the text of a tag. */
const char *th_world_tag(unsigned tag);

/* Return the result that the store must return. */
int th_world_can_delete(struct th_world *world, const char *name);
int th_world_can_hold(const struct th_world *world, const char *name, unsigned tag);
int th_world_can_release(const struct th_world *world, const char *name, unsigned tag);
int th_world_can_delete_branch(struct th_world *world, const char *name, bool snapshots);
int th_world_can_promote(struct th_world *world, const char *name);
/* Make the change that the store must have made. */
void th_world_note_create(struct th_world *world, const char *name);
void th_world_note_delete(struct th_world *world, const char *name);
void th_world_note_hold(struct th_world *world, const char *name, unsigned tag);
void th_world_note_release(struct th_world *world, const char *name, unsigned tag);
void th_world_note_branch(struct th_world *world, const char *name, const char *snapshot);
void th_world_note_branch_deleted(struct th_world *world, const char *name);
void th_world_note_switch(struct th_world *world, const char *name);
void th_world_note_promote(struct th_world *world, const char *name);
void th_world_note_rollback(struct th_world *world, const char *snapshot);

/* Make the change in the store, which must succeed, and then in the world. */
void th_world_create(struct th_world *world, struct th_store *store, const char *name);
void th_world_delete(struct th_world *world, struct th_store *store, const char *name);
void th_world_rename(struct th_world *world, struct th_store *store, const char *from, const char *to);
void th_world_hold(struct th_world *world, struct th_store *store, const char *name, unsigned tag);
void th_world_unhold(struct th_world *world, struct th_store *store, const char *name, unsigned tag);
void th_world_branch_create(struct th_world *world, struct th_store *store, const char *name, const char *snapshot);
void th_world_branch_delete(struct th_world *world, struct th_store *store, const char *name, bool snapshots);
void th_world_branch_rename(struct th_world *world, struct th_store *store, const char *from, const char *to);
void th_world_promote(struct th_world *world, struct th_store *store, const char *name);
void th_world_rollback(struct th_world *world, struct th_store *store, const char *snapshot);
/* Adapts the next branch id after a rollback.  If deleted snapshots were not reclaimed yet, the rollback may have made
 * an invisible branch for them, which took an id. */
void th_world_note_ids(struct th_world *world, struct th_store *store);
/* Opens the store again, on another branch. */
void th_world_switch(struct th_world *world, struct th_fixture *fixture, const char *name);

/* Opens a view of number `at` of the snapshots, followed by the branches that are not detached.  *ret: its model, which
 * the world keeps.  Returns NULL, and no model, after the last one. */
struct th_view *th_world_view(struct th_world *world, struct th_store *store, size_t at, struct th_model **ret);

/* Is the store in this state?  A quick test: by hash of the live tree, ids and names of snapshots and branches, and
 * holds. */
bool th_world_is(struct th_world *world, struct th_store *store, uint64_t live_hash);
/* Verifies that everything in the store equals the world.  A failure shows the difference. */
void th_world_verify(const struct th_world *world, struct th_store *store);

#endif
