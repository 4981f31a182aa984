/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference model with many threads.  Each owner writes the keys of one range and keeps a model of them after each
 * of its transactions.  Other threads create and delete snapshots, keep frozen views, and read ranges that they have
 * locked.  Each of these must see, for each owner, the model after one of its transactions: one not older than the last
 * one merged when the view was requested, and not newer than the last one merged when the call returned.
 *
 * So at the end of a round the content of each snapshot is known.  Between rounds one thread creates, switches and
 * deletes branches, rolls back, opens the store again, and compares everything that can be read with the models.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/keys.h"
#include "tests/tree/differences.h"
#include "tests/tree/world.h"
#include "tree/state/state.h"

enum { OWNERS = 3, TURNS = 20, OTHERS = 3 };

/* The models of one owner's keys in this round. */
struct owner {
	char prefix[2]; /* its keys are from the first one to before the second one */
	struct th_model
		*model[TURNS + 1]; /* [n]: after n transactions; only the owner uses it until all threads have ended */
	uint64_t hash[TURNS + 1];
	_Atomic unsigned prepared, merged; /* numbers of transactions whose commit was called, and has returned */
};

/* A snapshot of this round, and the number of transactions of each owner in it. */
struct taken {
	uint64_t id;
	unsigned at[OWNERS];
};

struct crowd {
	struct th_fixture fixture;
	struct th_world world; /* in a round, only the keeper uses it */
	struct th_random random;
	struct th_keys keys;
	struct owner owners[OWNERS];
	struct taken taken[TH_WORLD_SNAPSHOTS];
	size_t ntaken;
	_Atomic unsigned busy; /* owners that still run */
};

struct member {
	pthread_t thread;
	struct crowd *crowd;
	struct owner *owner;
	struct th_random random;
	uint8_t space[2 * (TH_KEY_MAX + 1)], value[TH_KEYS_VALUE_MAX];
};

static struct th_range owner_range(const struct owner *owner)
{
	return (struct th_range){ { &owner->prefix[0], 1 }, { &owner->prefix[1], 1 } };
}

/* --- owners --- */

/* Picks one of the owner's keys: its letter, followed by any key. */
static struct th_slice pick_key(struct member *member, uint8_t *space)
{
	struct th_slice key = th_keys_pick(&member->crowd->keys, &member->random, space + 1);

	space[0] = (uint8_t)member->owner->prefix[0];
	return (struct th_slice){ space, key.size < TH_KEY_MAX ? key.size + 1 : TH_KEY_MAX };
}

static void put(struct member *member, struct th_txn *txn, struct th_model *model)
{
	struct th_slice key = pick_key(member, member->space);
	struct th_slice value = { member->value, th_keys_value_size(&member->random) };

	th_value_make(member->value, value.size, key, th_random_next(&member->random));
	th_ok(th_txn_put(txn, key, value));
	th_model_put(model, key, value);
}

static void delete_some(struct member *member, struct th_txn *txn, struct th_model *model)
{
	struct th_slice a = pick_key(member, member->space), b = pick_key(member, member->space + TH_KEY_MAX + 1);
	struct th_range range = th_model_compare(a, b) < 0 ? (struct th_range){ a, b } : (struct th_range){ b, a };
	size_t from, to;

	th_model_bounds(model, &range, &from, &to);
	if (to - from > 40) {
		th_ok(th_txn_delete(txn, a));
		th_model_delete(model, a);
	} else {
		th_ok(th_txn_delete_range(txn, range));
		th_model_delete_range(model, range);
	}
}

static void refer(struct member *member, struct th_txn *txn, struct th_model *model)
{
	struct th_slice key = pick_key(member, member->space);
	int32_t delta = (int32_t)th_random_below(&member->random, 7) - 3;

	th_ok(th_txn_ref(txn, key, delta));
	th_model_ref(model, key, delta);
}

static void owner_step(struct member *member, struct th_txn *txn, struct th_model *model)
{
	unsigned what = th_random_below(&member->random, 100);

	if (what < 65)
		put(member, txn, model);
	else if (what < 80)
		delete_some(member, txn, model);
	else if (what < 92)
		refer(member, txn, model);
	else
		th_verify_txn_get(txn, model, pick_key(member, member->space));
}

static void owner_turn(struct member *member)
{
	struct owner *owner = member->owner;
	struct th_range range = owner_range(owner);
	unsigned last = owner->prepared, count = th_random_between(&member->random, 1, 80);
	struct th_model *model = th_model_copy(owner->model[last]);
	struct th_txn *txn;

	th_ok(th_txn_begin(member->crowd->fixture.store, &txn));
	th_ok(th_txn_lock(txn, &range, TH_LOCK_EXCLUSIVE, TH_LOCK_WAIT));
	while (count--)
		owner_step(member, txn, model);
	if (th_random_percent(&member->random, 15)) {
		th_txn_rollback(txn);
		th_model_unref(model);
		return;
	}
	owner->model[last + 1] = model;
	owner->hash[last + 1] = th_model_hash(model);
	owner->prepared = last + 1;
	th_ok(th_txn_commit(txn));
	owner->merged = last + 1;
}

static void *owner_main(void *arg)
{
	struct member *member = arg;
	struct th_store *store = member->crowd->fixture.store;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		owner_turn(member);
		if (th_random_percent(&member->random, 15))
			th_ok(th_store_sync(store));
		if (th_random_percent(&member->random, 10))
			th_ok(th_store_checkpoint(store));
	}
	member->crowd->busy--;
	return NULL;
}

/* --- readers --- */

static uint64_t range_hash(struct th_view *view, const struct th_range *range)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	uint64_t hash = 0;
	int err;

	th_ok(th_cursor_open(view, range, &cursor));
	while ((err = th_cursor_next(cursor, &entry)) == 0)
		hash = th_model_hash_entry(hash, entry.key, entry.value, entry.refs);
	th_expect(err, 1);
	th_cursor_close(cursor);
	return hash;
}

static void note_merged(struct crowd *crowd, unsigned merged[OWNERS])
{
	for (unsigned i = 0; i < OWNERS; i++)
		merged[i] = crowd->owners[i].merged;
}

static void note_prepared(struct crowd *crowd, unsigned prepared[OWNERS])
{
	for (unsigned i = 0; i < OWNERS; i++)
		prepared[i] = crowd->owners[i].prepared;
}

/* Finds the number of transactions of each owner that the view has, from `first` to `last`. */
static void find_moment(struct crowd *crowd, struct th_view *view, const unsigned first[OWNERS],
			const unsigned last[OWNERS], unsigned at[OWNERS])
{
	for (unsigned i = 0; i < OWNERS; i++) {
		const struct owner *owner = &crowd->owners[i];
		struct th_range range = owner_range(owner);
		uint64_t hash = range_hash(view, &range);

		at[i] = last[i];
		while (at[i] > first[i] && owner->hash[at[i]] != hash)
			at[i]--;
		th_true(owner->hash[at[i]] == hash);
	}
}

static void *freezer_main(void *arg)
{
	struct member *member = arg;
	struct crowd *crowd = member->crowd;
	unsigned first[OWNERS], last[OWNERS], at[OWNERS];

	while (crowd->busy) {
		struct th_view *view;

		note_merged(crowd, first);
		th_ok(th_view_freeze(crowd->fixture.store, &view));
		note_prepared(crowd, last);
		find_moment(crowd, view, first, last, at);
		find_moment(crowd, view, at, at, at); /* it does not change */
		th_view_close(view);
	}
	return NULL;
}

/* With a shared lock on an owner's range, no transaction changes it. */
static void *auditor_main(void *arg)
{
	struct member *member = arg;
	struct crowd *crowd = member->crowd;
	struct th_locker *locker;

	th_ok(th_locker_new(crowd->fixture.store, &locker));
	while (crowd->busy) {
		struct owner *owner = &crowd->owners[th_random_below(&member->random, OWNERS)];
		struct th_range range = owner_range(owner);

		th_ok(th_locker_lock(locker, &range, TH_LOCK_SHARED, TH_LOCK_WAIT));
		th_true(range_hash(th_view_live(crowd->fixture.store), &range) == owner->hash[owner->prepared]);
		th_locker_unlock(locker);
	}
	th_locker_free(locker);
	return NULL;
}

static void take_snapshot(struct member *member)
{
	struct crowd *crowd = member->crowd;
	struct th_world *world = &crowd->world;
	struct taken *taken = &crowd->taken[crowd->ntaken];
	unsigned first[OWNERS], last[OWNERS];
	struct th_view *view;
	char name[24];

	snprintf(name, sizeof(name), "snapshot-%u", (unsigned)world->next_snapshot);
	note_merged(crowd, first);
	th_world_create(world, crowd->fixture.store, name);
	note_prepared(crowd, last);
	taken->id = world->snapshots[world->count - 1].info.id;
	th_ok(th_view_snapshot(crowd->fixture.store, taken->id, &view));
	find_moment(crowd, view, first, last, taken->at);
	th_view_close(view);
	crowd->ntaken++;
}

static bool delete_snapshot(struct crowd *crowd, struct th_random *random)
{
	struct th_world *world = &crowd->world;
	char name[TH_SNAPSHOT_NAME_MAX + 1];

	if (!world->count)
		return false;
	strcpy(name, world->snapshots[th_random_below(random, (uint32_t)world->count)].info.name);
	if (th_world_can_delete(world, name) < 0)
		return false;
	th_world_delete(world, crowd->fixture.store, name);
	return true;
}

static void *keeper_main(void *arg)
{
	struct member *member = arg;
	struct crowd *crowd = member->crowd;

	while (crowd->busy) {
		if (crowd->ntaken < TH_WORLD_SNAPSHOTS && crowd->world.count < TH_WORLD_SNAPSHOTS)
			take_snapshot(member);
		if (th_random_percent(&member->random, 40) || crowd->world.count == TH_WORLD_SNAPSHOTS)
			delete_snapshot(crowd, &member->random);
		if (crowd->ntaken == TH_WORLD_SNAPSHOTS || crowd->world.count == TH_WORLD_SNAPSHOTS)
			break;
	}
	return NULL;
}

/* --- a round --- */

static void add_entries(struct th_model *to, const struct th_model *from, const struct th_range *range)
{
	size_t at, end;

	th_model_bounds(from, range, &at, &end);
	for (; at < end; at++) {
		const struct th_model_entry *entry = from->entries[at];

		if (entry->present)
			th_model_put(to, entry->key, entry->value);
		th_model_ref(to, entry->key, entry->refs);
	}
}

/* Returns the model after a number of transactions of each owner. */
static struct th_model *model_at(const struct crowd *crowd, const unsigned at[OWNERS])
{
	struct th_model *model = th_model_new();

	for (unsigned i = 0; i < OWNERS; i++)
		add_entries(model, crowd->owners[i].model[at[i]], NULL);
	return model;
}

static void round_begin(struct crowd *crowd)
{
	for (unsigned i = 0; i < OWNERS; i++) {
		struct owner *owner = &crowd->owners[i];
		struct th_range range;

		*owner = (struct owner){ .prefix = { (char)('B' + 2 * i), (char)('C' + 2 * i) } };
		range = owner_range(owner);
		owner->model[0] = th_model_new();
		add_entries(owner->model[0], crowd->world.live, &range);
		owner->hash[0] = th_model_hash(owner->model[0]);
	}
	crowd->ntaken = 0;
	crowd->busy = OWNERS;
}

/* Adds the writes of the round, and its snapshots, to the world. */
static void round_end(struct crowd *crowd)
{
	struct th_world *world = &crowd->world;
	unsigned merged[OWNERS];

	note_merged(crowd, merged);
	th_world_set_live(world, model_at(crowd, merged));
	for (size_t i = 0; i < world->count; i++)
		for (size_t j = 0; j < crowd->ntaken; j++)
			if (world->snapshots[i].info.id == crowd->taken[j].id) {
				th_model_unref(world->snapshots[i].model);
				world->snapshots[i].model = model_at(crowd, crowd->taken[j].at);
			}
	for (unsigned i = 0; i < OWNERS; i++)
		for (unsigned j = 0; j <= crowd->owners[i].prepared; j++)
			th_model_unref(crowd->owners[i].model[j]);
}

static void run_round(struct crowd *crowd)
{
	static void *(*const others[OTHERS])(void *) = { keeper_main, freezer_main, auditor_main };
	struct member *members = calloc(OWNERS + OTHERS, sizeof(*members));

	ck_assert_ptr_nonnull(members);
	round_begin(crowd);
	for (unsigned i = 0; i < OWNERS + OTHERS; i++) {
		struct member *member = &members[i];

		member->crowd = crowd;
		member->owner = i < OWNERS ? &crowd->owners[i] : NULL;
		member->random.state = th_random_next(&crowd->random);
		ck_assert_int_eq(
			pthread_create(&member->thread, NULL, i < OWNERS ? owner_main : others[i - OWNERS], member), 0);
	}
	for (unsigned i = 0; i < OWNERS + OTHERS; i++)
		pthread_join(members[i].thread, NULL);
	free(members);
	round_end(crowd);
}

/* --- between rounds --- */

static const char *pick_snapshot(struct crowd *crowd)
{
	const struct th_world *world = &crowd->world;

	if (!world->count)
		return NULL;
	return world->snapshots[th_random_below(&crowd->random, (uint32_t)world->count)].info.name;
}

static void make_branch(struct crowd *crowd)
{
	const char *snapshot = pick_snapshot(crowd);
	char name[16];

	snprintf(name, sizeof(name), "branch-%u", th_random_below(&crowd->random, TH_WORLD_NAMED));
	if (snapshot && !th_world_branch(&crowd->world, name) && crowd->world.nbranches < TH_WORLD_BRANCHES)
		th_world_branch_create(&crowd->world, crowd->fixture.store, name, snapshot);
}

/* Picks a branch that is not detached. */
static const char *pick_branch(struct crowd *crowd)
{
	const struct th_world_branch *branch;

	do
		branch = &crowd->world.branches[th_random_below(&crowd->random, (uint32_t)crowd->world.nbranches)];
	while (branch->detached);
	return branch->name;
}

static void delete_branch(struct crowd *crowd)
{
	char name[40];

	strcpy(name, pick_branch(crowd));
	if (th_world_can_delete_branch(&crowd->world, name, true) == 0)
		th_world_branch_delete(&crowd->world, crowd->fixture.store, name, true);
}

static void switch_branch(struct crowd *crowd)
{
	char name[40];

	th_world_switch(&crowd->world, &crowd->fixture, strcpy(name, pick_branch(crowd)));
	crowd->fixture.store->abandoned_nodes = th_random_between(&crowd->random, 1, 100);
}

static void roll_back(struct crowd *crowd)
{
	const char *snapshot = pick_snapshot(crowd);
	char name[TH_SNAPSHOT_NAME_MAX + 1];

	if (snapshot && crowd->world.nbranches + 1 < TH_WORLD_BRANCHES)
		th_world_rollback(&crowd->world, crowd->fixture.store, strcpy(name, snapshot));
}

/* Verifies the diff of two random views. */
static void compare_two(struct crowd *crowd)
{
	struct th_world *world = &crowd->world;
	uint32_t count = (uint32_t)(world->count + world->nbranches);
	struct th_model *models[2];
	struct th_view *views[2];

	for (unsigned i = 0; i < 2; i++) {
		views[i] =
			th_world_view(world, crowd->fixture.store, th_random_below(&crowd->random, count), &models[i]);
		if (views[i])
			continue;
		th_ok(th_view_freeze(crowd->fixture.store, &views[i]));
		models[i] = world->live;
	}
	th_verify_diff(views[0], models[0], views[1], models[1], NULL);
	th_verify_diff(views[1], models[1], views[0], models[0], NULL);
	th_view_close(views[0]);
	th_view_close(views[1]);
}

static void look_at_all(struct crowd *crowd)
{
	th_world_verify(&crowd->world, crowd->fixture.store);
	for (unsigned i = 0; i < 4; i++)
		compare_two(crowd);
}

static void between_rounds(struct crowd *crowd)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned what = th_random_below(&crowd->random, 10);

		if (what < 3)
			make_branch(crowd);
		else if (what < 4)
			delete_branch(crowd);
		else if (what < 6)
			switch_branch(crowd);
		else if (what < 8)
			roll_back(crowd);
		else
			delete_snapshot(crowd, &crowd->random);
	}
	while (crowd->world.count > TH_WORLD_SNAPSHOTS / 2 && delete_snapshot(crowd, &crowd->random))
		;
}

static void crowd_options(struct crowd *crowd)
{
	crowd->fixture.options.cache_bytes = th_random_percent(&crowd->random, 70) ? 256u << 10 : 0;
	crowd->fixture.options.checkpoint_interval_ms = th_random_percent(&crowd->random, 50) ? 3600u * 1000 : 5;
}

START_TEST(views_show_each_writer_after_one_of_its_transactions)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	ck_assert_ptr_nonnull(crowd);
	crowd->random.state = th_test_seed("views_show_each_writer_after_one_of_its_transactions");
	crowd->keys = (struct th_keys){ .salt = th_random_next(&crowd->random), .range = 300 };
	th_fixture_init(&crowd->fixture, 256, NULL);
	th_world_init(&crowd->world);
	for (unsigned round = 0; round < th_test_rounds(6); round++) {
		run_round(crowd);
		look_at_all(crowd);
		between_rounds(crowd);
		look_at_all(crowd);
		crowd_options(crowd);
		th_fixture_reopen(&crowd->fixture);
		th_verify_check(crowd->fixture.store, NULL);
	}
	th_world_verify(&crowd->world, crowd->fixture.store);
	th_world_release(&crowd->world);
	th_fixture_release(&crowd->fixture);
	free(crowd);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { views_show_each_writer_after_one_of_its_transactions };

	return th_tests_run("crowd", tests, 1);
}
