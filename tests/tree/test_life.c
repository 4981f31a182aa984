/* SPDX-License-Identifier: Apache-2.0 */
/* Random lives of a store with branches, snapshots and shared files.  At the end of each, no space is lost. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tests/tree/world.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

#define STEPS 40

struct life {
	struct th_fixture fixture;
	struct th_random random;
	struct th_world world;
	unsigned names;
};

static void pick_name(struct life *life, char *name)
{
	snprintf(name, 32, "file/%u", th_random_below(&life->random, 12));
}

/* Adds blocks to the file that it shares with a file of another tree, if there is one. */
static void share_file(struct life *life, struct th_txn *txn, struct th_extents *file)
{
	uint32_t all = (uint32_t)(life->world.count + life->world.nbranches);
	struct th_extents other;
	struct th_model *model;
	struct th_view *view =
		th_world_view(&life->world, life->fixture.store, th_random_below(&life->random, all), &model);
	const struct th_model_entry *entry = NULL;
	char name[32];

	pick_name(life, name);
	if (view)
		entry = th_model_get(model, th_slice_of(name));
	if (entry) {
		th_extents_unpack(entry->value, &other);
		file->extents[file->count] = other.extents[0];
		th_ok(th_chunk_share(txn, &other.extents[0].run, &file->extents[file->count].run));
		file->count++;
	}
	if (view)
		th_view_close(view);
}

static void step_file(struct life *life)
{
	struct th_model *model = th_model_copy(life->world.live);
	struct th_extents file = { .count = 1 }, old;
	uint8_t value[sizeof(file)];
	const struct th_model_entry *entry;
	struct th_txn *txn;
	uint64_t hint = 0;
	char name[32], snapshot_name[32];

	pick_name(life, name);
	th_ok(th_txn_begin(life->fixture.store, &txn));
	th_ok(th_extent_write(txn, &life->random, th_random_between(&life->random, 1, 20), false, &hint,
			      &file.extents[0]));
	if (th_random_percent(&life->random, 40))
		share_file(life, txn, &file);
	if (th_random_percent(&life->random, 15) && life->world.count + 2 < TH_WORLD_SNAPSHOTS) {
		snprintf(snapshot_name, sizeof(snapshot_name), "snapshot %u", life->names++);
		th_world_create(&life->world, life->fixture.store, snapshot_name);
	}
	entry = th_model_get(life->world.live, th_slice_of(name));
	if (entry) {
		th_extents_unpack(entry->value, &old);
		for (unsigned i = 0; i < old.count; i++)
			th_ok(th_chunk_drop(txn, &old.extents[i].run));
	}
	if (entry && th_random_percent(&life->random, 30)) {
		for (unsigned i = 0; i < file.count; i++)
			th_ok(th_chunk_drop(txn, &file.extents[i].run));
		th_ok(th_txn_delete(txn, th_slice_of(name)));
		th_model_delete(model, th_slice_of(name));
	} else {
		struct th_slice slice = { value, th_extents_pack(&file, value) };

		th_ok(th_txn_put(txn, th_slice_of(name), slice));
		th_model_put(model, th_slice_of(name), slice);
	}
	th_ok(th_txn_commit(txn));
	th_world_set_live(&life->world, model);
}

/* Writes values without runs, large ones among them. */
static void step_values(struct life *life)
{
	static const uint32_t sizes[] = { 10, 400, 3000, TH_INLINE_MAX + 1, 20000 };
	static uint8_t value[20000];
	struct th_model *model = th_model_copy(life->world.live);
	struct th_txn *txn;

	th_ok(th_txn_begin(life->fixture.store, &txn));
	for (unsigned i = th_random_between(&life->random, 1, 60); i > 0; i--) {
		char key[32];
		struct th_slice slice = { value, sizes[th_random_below(&life->random, 5)] };

		snprintf(key, sizeof(key), "key/%04u", th_random_below(&life->random, 500));
		th_value_make(value, slice.size, th_slice_of(key), th_random_next(&life->random));
		th_ok(th_txn_put(txn, th_slice_of(key), slice));
		th_model_put(model, th_slice_of(key), slice);
	}
	th_ok(th_txn_commit(txn));
	th_world_set_live(&life->world, model);
}

static const char *pick_snapshot(struct life *life)
{
	return life->world.snapshots[th_random_below(&life->random, (uint32_t)life->world.count)].info.name;
}

static void step_snapshot(struct life *life)
{
	char name[TH_SNAPSHOT_NAME_MAX + 1];

	if (life->world.count + 2 < TH_WORLD_SNAPSHOTS && th_random_percent(&life->random, 60)) {
		snprintf(name, sizeof(name), "snapshot %u", life->names++);
		th_world_create(&life->world, life->fixture.store, name);
	} else if (life->world.count) {
		strcpy(name, pick_snapshot(life));
		if (th_world_can_delete(&life->world, name) == 0)
			th_world_delete(&life->world, life->fixture.store, name);
	}
}

static void step_branch(struct life *life)
{
	struct th_world *world = &life->world;
	const struct th_world_branch *branch =
		&world->branches[th_random_below(&life->random, (uint32_t)world->nbranches)];
	uint32_t what = th_random_below(&life->random, 5);
	char name[TH_SNAPSHOT_NAME_MAX + 1];

	life->fixture.store->abandoned_nodes = th_random_between(&life->random, 1, 30);
	if (what == 0 && world->count && world->nbranches < 8) {
		snprintf(name, sizeof(name), "branch %u", life->names++);
		th_world_branch_create(world, life->fixture.store, name, pick_snapshot(life));
	} else if (what == 1 && world->count && world->nbranches < 12) {
		strcpy(name, pick_snapshot(life));
		th_world_rollback(world, life->fixture.store, name);
	} else if (branch->detached) {
		return;
	} else if (what == 2) {
		strcpy(name, branch->name);
		th_world_switch(world, &life->fixture, name);
	} else if (what == 3) {
		strcpy(name, branch->name);
		if (th_world_can_promote(world, name) == 0)
			th_world_promote(world, life->fixture.store, name);
	} else if (th_world_can_delete_branch(world, branch->name, true) == 0) {
		strcpy(name, branch->name);
		th_world_branch_delete(world, life->fixture.store, name, true);
	}
}

static void verify_world(struct life *life)
{
	struct th_world *world = &life->world;

	th_extents_commit(&life->fixture);
	th_world_verify(world, life->fixture.store);
	th_extents_verify(life->fixture.store, world->live);
	for (size_t i = 0; i < world->count; i++)
		th_extents_verify(life->fixture.store, world->snapshots[i].model);
	for (size_t i = 0; i < world->nbranches; i++)
		if (world->branches[i].head)
			th_extents_verify(life->fixture.store, world->branches[i].head);
}

/* Deletes one snapshot or branch that can be deleted.  Returns false if there is none. */
static bool delete_one(struct life *life)
{
	struct th_world *world = &life->world;
	char name[TH_SNAPSHOT_NAME_MAX + 1];

	for (size_t i = 0; i < world->count; i++)
		if (th_world_can_delete(world, world->snapshots[i].info.name) == 0) {
			strcpy(name, world->snapshots[i].info.name);
			th_world_delete(world, life->fixture.store, name);
			return true;
		}
	for (size_t i = 0; i < world->nbranches; i++)
		if (!world->branches[i].detached &&
		    th_world_can_delete_branch(world, world->branches[i].name, true) == 0) {
			strcpy(name, world->branches[i].name);
			th_world_branch_delete(world, life->fixture.store, name, true);
			return true;
		}
	return false;
}

/* Deletes all branches but the current one, and all snapshots.  Only the origin of the current branch, and of those
 * before it, may stand in the way; then the current branch is promoted. */
static void delete_all(struct life *life)
{
	struct th_world *world = &life->world;

	while (world->count || world->nbranches > 1) {
		size_t i = 0;

		if (delete_one(life))
			continue;
		while (world->branches[i].id != world->current)
			i++;
		th_world_promote(world, life->fixture.store, world->branches[i].name);
	}
}

static void empty(struct life *life)
{
	struct th_txn *txn;

	for (unsigned i = 0; i < 12; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file/%u", i);
		if (th_model_get(life->world.live, th_slice_of(name)))
			th_extents_drop(&life->fixture, name);
	}
	th_ok(th_txn_begin(life->fixture.store, &txn));
	th_ok(th_txn_delete_range(txn, (struct th_range){ th_slice_of("a"), th_slice_of("z") }));
	th_ok(th_txn_commit(txn));
	th_world_set_live(&life->world, th_model_new());
}

static void one_life(uint64_t seed, unsigned steps)
{
	struct life *life = calloc(1, sizeof(*life));
	uint64_t before;

	ck_assert_ptr_nonnull(life);
	life->random.state = seed;
	th_fixture_init(&life->fixture, 64, &options);
	th_world_init(&life->world);
	before = th_fixture_used(&life->fixture);
	for (unsigned i = 0; i < steps; i++) {
		uint32_t what = th_random_below(&life->random, 100);

		if (what < 45)
			step_file(life);
		else if (what < 60)
			step_values(life);
		else if (what < 80)
			step_snapshot(life);
		else
			step_branch(life);
		if (i % 8 == 7)
			verify_world(life);
	}
	for (size_t i = 0; i < life->world.nbranches; i++)
		if (!life->world.branches[i].detached) {
			th_world_switch(&life->world, &life->fixture, life->world.branches[i].name);
			break;
		}
	delete_all(life);
	verify_world(life);
	empty(life);
	verify_world(life);
	ck_assert_uint_eq(life->fixture.store->super.dead.pages, 0);
	ck_assert_uint_eq(life->fixture.store->super.strays.pages, 0);
	/* the checker found an owner for each block; nodes that are not full may take a few more */
	ck_assert_uint_le(th_fixture_used(&life->fixture), before + 6);
	th_world_release(&life->world);
	th_fixture_release(&life->fixture);
	free(life);
}

START_TEST(no_space_is_lost_in_random_lives)
{
	uint64_t seed = th_test_seed("branch_space");

	for (unsigned i = 0; i < th_test_rounds(12); i++) {
		printf("test_life: seed %" PRIu64 "\n", seed + i);
		fflush(stdout);
		one_life(seed + i, STEPS + 20 * (i % 4));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { no_space_is_lost_in_random_lives };

	return th_tests_run("life", tests, 1);
}
