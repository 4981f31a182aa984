/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store compared with the reference model: random operations of every kind.  After each round everything that can
 * be read must equal the model: the live tree, held views, every snapshot and the diffs between them.
 *
 * In some lives a transaction has little memory, so that many are spilled and committed in bulk.
 *
 * Crashes: the worlds since the last sync are kept as a history; a crash image must open as one of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/differences.h"
#include "tests/tree/walk.h"
#include "tests/tree/world.h"
#include "tree/state/state.h"

#define HELD_MAX 5
#define HISTORY_MAX 200
#define STEPS 60
#define SAVEPOINTS_MAX 6

struct held {
	struct th_view *view;
	struct th_model *model;
	bool frozen; /* from th_view_freeze */
};

struct run {
	struct th_fixture fixture;
	struct th_random random;
	struct th_keys keys;
	struct th_world history[HISTORY_MAX]; /* [0] is durable, the last one is the present */
	size_t nhistory;
	struct held held[HELD_MAX];
	size_t nheld;
	unsigned range_share; /* range deletes among a thousand writes; many in some lives */
	bool bulk; /* the next transaction is a very large one */
	uint64_t stamp;
	uint8_t space[2 * TH_KEY_MAX];
	uint8_t value[TH_KEYS_VALUE_MAX];
};

static struct th_world *now(struct run *run)
{
	return &run->history[run->nhistory - 1];
}

/* Notes that everything up to now is durable. */
static void history_settle(struct run *run)
{
	struct th_world last = *now(run);

	for (size_t i = 0; i + 1 < run->nhistory; i++)
		th_world_release(&run->history[i]);
	run->history[0] = last;
	run->nhistory = 1;
}

/* Adds a copy of the last world, to be modified. */
static struct th_world *history_step(struct run *run)
{
	struct th_world *next;

	if (run->nhistory == HISTORY_MAX) {
		th_ok(th_store_sync(run->fixture.store));
		history_settle(run);
	}
	next = &run->history[run->nhistory];
	*next = th_world_copy(now(run));
	run->nhistory++;
	return next;
}

/* --- transactions --- */

static struct th_slice pick_key(struct run *run, const struct th_model *model)
{
	if (model->count && th_random_percent(&run->random, 30))
		return model->entries[th_random_below(&run->random, (uint32_t)model->count)]->key;
	return th_keys_pick(&run->keys, &run->random, run->space);
}

static void txn_put(struct run *run, struct th_txn *txn, struct th_model *model)
{
	struct th_slice key = th_keys_pick(&run->keys, &run->random, run->space);
	struct th_slice value = { run->value, th_keys_value_size(&run->random) };
	struct th_loan loan;

	th_value_make(run->value, value.size, key, run->stamp++);
	th_model_put(model, key, value);
	if (value.size > TH_INLINE_MAX || th_random_percent(&run->random, 70)) {
		th_ok(th_txn_put(txn, key, value));
		return;
	}
	th_ok(th_txn_alloc(txn, key.size, value.size, &loan));
	memcpy(loan.key, key.data, key.size);
	memcpy(loan.value, value.data, value.size);
	th_ok(th_txn_put_loan(txn, &loan));
}

static void txn_delete_range(struct run *run, struct th_txn *txn, struct th_model *model)
{
	struct th_range range = th_range_pick(&run->keys, &run->random, model, run->space);
	size_t from, to;

	th_model_bounds(model, &range, &from, &to);
	if (to - from > 300 && th_random_percent(&run->random, run->range_share > 30 ? 40 : 90))
		return;
	th_ok(th_txn_delete_range(txn, range));
	th_model_delete_range(model, range);
}

static void txn_ref(struct run *run, struct th_txn *txn, struct th_model *model)
{
	uint8_t copy[TH_KEY_MAX];
	struct th_slice key = pick_key(run, model);
	int32_t delta = (int32_t)th_random_below(&run->random, 7) - 3;

	memcpy(copy, key.data, key.size);
	key.data = copy;
	if (th_random_percent(&run->random, 3))
		delta *= 100000000;
	th_ok(th_txn_ref(txn, key, delta));
	th_model_ref(model, key, delta);
}

static void txn_delete(struct run *run, struct th_txn *txn, struct th_model *model)
{
	uint8_t copy[TH_KEY_MAX];
	struct th_slice key = pick_key(run, model);

	memcpy(copy, key.data, key.size);
	key.data = copy;
	th_ok(th_txn_delete(txn, key));
	th_model_delete(model, key);
}

static void txn_walk(struct run *run, struct th_txn *txn, const struct th_model *model)
{
	bool bounded = th_random_percent(&run->random, 60);
	struct th_range range = th_range_pick(&run->keys, &run->random, model, run->space);
	struct th_cursor *cursor;

	th_ok(th_txn_cursor(txn, bounded ? &range : NULL, &cursor));
	th_verify_walk(cursor, model, bounded ? &range : NULL, &run->keys, &run->random, 60);
	th_cursor_close(cursor);
}

static void txn_step(struct run *run, struct th_txn *txn, struct th_model *model)
{
	uint32_t what = th_random_below(&run->random, 1000);

	if (what < 600)
		txn_put(run, txn, model);
	else if (what < 750)
		txn_delete(run, txn, model);
	else if (what < 750 + run->range_share)
		txn_delete_range(run, txn, model);
	else if (what < 900)
		txn_ref(run, txn, model);
	else if (what < 995)
		th_verify_txn_get(txn, model, pick_key(run, model));
	else
		txn_walk(run, txn, model);
}

static unsigned txn_size(struct run *run)
{
	struct th_random *random = &run->random;
	uint32_t what = th_random_below(random, 100);

	if (run->bulk) {
		run->bulk = false;
		return 8000;
	}
	if (what < 30)
		return 1;
	if (what < 80)
		return th_random_between(random, 2, 20);
	return what < 98 ? th_random_below(random, 300) : th_random_below(random, 2000);
}

/* Sets, restores or releases a savepoint.  saved: the model at each savepoint, and the present one. */
static void step_savepoint(struct run *run, struct th_txn *txn, struct th_model **saved, unsigned *count)
{
	uint32_t what = th_random_below(&run->random, 100);
	unsigned at;

	if (*count == 0 || (what < 50 && *count < SAVEPOINTS_MAX)) {
		th_ok(th_txn_save(txn, &at));
		ck_assert_uint_eq(at, *count);
		(*count)++;
		saved[*count] = th_model_copy(saved[at]);
		return;
	}
	at = th_random_below(&run->random, *count);
	if (what < 80) {
		th_ok(th_txn_restore(txn, at));
		while (*count > at)
			th_model_unref(saved[(*count)--]);
		(*count)++;
		saved[*count] = th_model_copy(saved[at]);
	} else {
		th_ok(th_txn_release(txn, at));
		for (unsigned i = at; i < *count; i++)
			th_model_unref(saved[i]);
		saved[at] = saved[*count];
		*count = at;
	}
}

/* Makes the writes of a transaction.  Restoring a savepoint replaces the model. */
static void txn_steps(struct run *run, struct th_txn *txn, struct th_model **model)
{
	struct th_model *saved[SAVEPOINTS_MAX + 1] = { *model };
	unsigned size = txn_size(run), count = 0, often = th_random_percent(&run->random, 30) ? 30 : 0;

	while (size--) {
		if (th_random_below(&run->random, 1000) < often)
			step_savepoint(run, txn, saved, &count);
		txn_step(run, txn, saved[count]);
	}
	*model = saved[count];
	while (count > 0)
		th_model_unref(saved[--count]);
}

static uint64_t count_bulk_commits(struct run *run)
{
	struct th_store_info info;

	th_store_info(run->fixture.store, &info);
	return info.bulk_commits;
}

static void drop_all_held(struct run *run);

/* Closes frozen views if space is short: while one is open, no freed block is used again (S3). */
static void make_room(struct run *run)
{
	struct th_store_info info;

	th_store_info(run->fixture.store, &info);
	if (info.blocks_waiting > info.blocks / 2)
		drop_all_held(run);
}

static void step_txn(struct run *run)
{
	struct th_model *model = th_model_copy(now(run)->live);
	uint64_t bulk_commits = count_bulk_commits(run);
	struct th_world *next;
	struct th_txn *txn;

	make_room(run);
	th_ok(th_txn_begin(run->fixture.store, &txn));
	txn_steps(run, txn, &model);
	if (th_random_percent(&run->random, 2)) {
		struct th_cursor *cursor;

		th_ok(th_txn_cursor(txn, NULL, &cursor));
		th_verify_cursor(cursor, model, NULL);
		th_cursor_close(cursor);
	}
	if (th_random_percent(&run->random, 15)) {
		th_txn_rollback(txn);
		th_model_unref(model);
		return;
	}
	next = history_step(run);
	th_world_set_live(next, model);
	th_ok(th_txn_commit(txn));
	if (count_bulk_commits(run) > bulk_commits)
		history_settle(run); /* the sync was a checkpoint */
}

/* --- snapshots and held views --- */

static void pick_name(struct run *run, char *name)
{
	snprintf(name, 16, "snapshot-%u", th_random_below(&run->random, 3 * TH_WORLD_SNAPSHOTS));
}

static void step_snapshot_create(struct run *run)
{
	struct th_world *world = now(run);
	char name[16];

	if (world->count == TH_WORLD_SNAPSHOTS)
		return;
	pick_name(run, name);
	if (th_world_find(world, name) < world->count) {
		struct th_snapshot unused;

		th_expect(th_snapshot_create(run->fixture.store, name, &unused), -EEXIST);
		return;
	}
	th_world_create(history_step(run), run->fixture.store, name);
	history_settle(run);
}

static void step_snapshot_delete(struct run *run)
{
	struct th_world *world = now(run);
	char name[16];
	int at;

	pick_name(run, name);
	if (world->count && th_random_percent(&run->random, 80))
		strcpy(name, world->snapshots[th_random_below(&run->random, (uint32_t)world->count)].info.name);
	at = th_world_can_delete(world, name);
	if (at < 0) {
		th_expect(th_snapshot_delete(run->fixture.store, name), at);
		return;
	}
	th_world_delete(history_step(run), run->fixture.store, name);
}

/* Holds a snapshot, or releases a hold. */
static void step_snapshot_hold(struct run *run)
{
	struct th_world *world = now(run);
	unsigned tag = th_random_below(&run->random, TH_WORLD_TAGS);
	bool release = th_random_percent(&run->random, 60);
	char name[16];
	int expected;

	pick_name(run, name);
	if (world->count && th_random_percent(&run->random, 80))
		strcpy(name, world->snapshots[th_random_below(&run->random, (uint32_t)world->count)].info.name);
	expected = release ? th_world_can_release(world, name, tag) : th_world_can_hold(world, name, tag);
	if (expected < 0) {
		th_expect(release ? th_snapshot_release(run->fixture.store, name, th_world_tag(tag))
				  : th_snapshot_hold(run->fixture.store, name, th_world_tag(tag)),
			  expected);
		return;
	}
	world = history_step(run);
	if (release)
		th_world_unhold(world, run->fixture.store, name, tag);
	else
		th_world_hold(world, run->fixture.store, name, tag);
	history_settle(run);
}

static void step_snapshot_rename(struct run *run)
{
	struct th_world *world = now(run);
	char from[16], to[16];
	size_t at;

	pick_name(run, from);
	pick_name(run, to);
	if (strcmp(from, to) == 0)
		return;
	at = th_world_find(world, from);
	if (at == world->count) {
		th_expect(th_snapshot_rename(run->fixture.store, from, to), -ENOENT);
	} else if (th_world_find(world, to) < world->count) {
		th_expect(th_snapshot_rename(run->fixture.store, from, to), -EEXIST);
	} else {
		th_world_rename(history_step(run), run->fixture.store, from, to);
	}
}

/* --- branches --- */

static void pick_branch(struct run *run, char *name)
{
	if (th_random_percent(&run->random, 20))
		strcpy(name, "main");
	else
		snprintf(name, 16, "branch-%u", th_random_below(&run->random, TH_WORLD_NAMED));
}

/* Picks the name of a snapshot.  Returns false if there is none. */
static bool pick_snapshot(struct run *run, char *name)
{
	const struct th_world *world = now(run);

	if (!world->count)
		return false;
	strcpy(name, world->snapshots[th_random_below(&run->random, (uint32_t)world->count)].info.name);
	return true;
}

static void step_branch_create(struct run *run)
{
	char name[16], snapshot[TH_SNAPSHOT_NAME_MAX + 1];

	pick_branch(run, name);
	if (!pick_snapshot(run, snapshot)) {
		th_expect(th_branch_create(run->fixture.store, name, "none", NULL), -ENOENT);
	} else if (th_world_branch(now(run), name)) {
		th_expect(th_branch_create(run->fixture.store, name, snapshot, NULL), -EEXIST);
	} else {
		th_world_branch_create(history_step(run), run->fixture.store, name, snapshot);
		history_settle(run);
	}
}

static void step_branch_delete(struct run *run)
{
	bool snapshots = th_random_percent(&run->random, 70);
	char name[16];
	int expected;

	pick_branch(run, name);
	expected = th_world_can_delete_branch(now(run), name, snapshots);
	if (expected < 0) {
		th_expect(th_branch_delete(run->fixture.store, name, snapshots), expected);
		return;
	}
	th_world_branch_delete(history_step(run), run->fixture.store, name, snapshots);
	history_settle(run);
}

static void step_branch_rename(struct run *run)
{
	char from[16], to[16];

	pick_branch(run, from);
	pick_branch(run, to);
	if (strcmp(from, to) == 0)
		return;
	if (!th_world_branch(now(run), from)) {
		th_expect(th_branch_rename(run->fixture.store, from, to), -ENOENT);
	} else if (th_world_branch(now(run), to)) {
		th_expect(th_branch_rename(run->fixture.store, from, to), -EEXIST);
	} else {
		th_world_branch_rename(history_step(run), run->fixture.store, from, to);
		history_settle(run);
	}
}

static void step_branch_promote(struct run *run)
{
	char name[16];
	int expected;

	pick_branch(run, name);
	expected = th_world_can_promote(now(run), name);
	if (expected) {
		th_expect(th_branch_promote(run->fixture.store, name), expected);
		return;
	}
	th_world_promote(history_step(run), run->fixture.store, name);
	history_settle(run);
}

static void step_switch(struct run *run)
{
	char name[16];

	pick_branch(run, name);
	if (!th_world_branch(now(run), name))
		return;
	drop_all_held(run);
	th_world_switch(history_step(run), &run->fixture, name);
	run->fixture.store->abandoned_nodes = th_random_between(&run->random, 1, 100);
	run->fixture.store->scatter_one_in = th_random_below(&run->random, 4);
	run->fixture.store->copies = th_random_between(&run->random, 1, 2);
	run->fixture.store->reclaim_entries = th_random_between(&run->random, 1, 300);
	history_settle(run);
}

static void step_rollback(struct run *run)
{
	char snapshot[TH_SNAPSHOT_NAME_MAX + 1];

	if (!pick_snapshot(run, snapshot) || now(run)->nbranches + 1 >= TH_WORLD_BRANCHES)
		return;
	for (size_t i = 0; i < run->nheld; i++)
		if (run->held[i].frozen) {
			th_expect(th_store_rollback(run->fixture.store, snapshot), -EBUSY);
			return;
		}
	th_world_rollback(history_step(run), run->fixture.store, snapshot);
	history_settle(run);
}

static void held_drop(struct run *run, size_t at)
{
	th_view_close(run->held[at].view);
	th_model_unref(run->held[at].model);
	run->held[at] = run->held[--run->nheld];
}

static void step_hold(struct run *run)
{
	struct th_world *world = now(run);
	struct held *held;

	if (run->nheld == HELD_MAX || (run->nheld && th_random_percent(&run->random, 40))) {
		held_drop(run, th_random_below(&run->random, (uint32_t)run->nheld));
		return;
	}
	held = &run->held[run->nheld++];
	*held = (struct held){ .view = NULL };
	if (th_random_percent(&run->random, 70)) {
		uint32_t at = th_random_below(&run->random, (uint32_t)(world->count + world->nbranches));

		held->view = th_world_view(world, run->fixture.store, at, &held->model);
	}
	if (!held->view) {
		th_ok(th_view_freeze(run->fixture.store, &held->view));
		held->model = world->live;
	}
	held->frozen = held->view->tree; /* also by the name of the current branch */
	th_model_hold(held->model);
}

/* --- reading --- */

/* Picks the live view or a held one.  The live view cannot be diffed. */
static struct held pick_view(struct run *run)
{
	if (run->nheld && th_random_percent(&run->random, 60))
		return run->held[th_random_below(&run->random, (uint32_t)run->nheld)];
	return (struct held){ .view = th_view_live(run->fixture.store), .model = now(run)->live };
}

static void step_gets(struct run *run)
{
	struct held held = pick_view(run);

	for (int i = 0; i < 30; i++)
		th_verify_get(held.view, held.model, pick_key(run, held.model));
}

static void step_scan(struct run *run)
{
	struct held held = pick_view(run);
	bool bounded = th_random_percent(&run->random, 80);
	struct th_range range = th_range_pick(&run->keys, &run->random, held.model, run->space);
	struct th_cursor *cursor;

	if (th_random_percent(&run->random, 20))
		range.to = (struct th_slice){ 0 };
	if (th_random_percent(&run->random, 30)) {
		th_verify_scan(held.view, held.model, bounded ? &range : NULL);
		return;
	}
	th_ok(th_cursor_open(held.view, bounded ? &range : NULL, &cursor));
	th_verify_walk(cursor, held.model, bounded ? &range : NULL, &run->keys, &run->random, 200);
	th_cursor_close(cursor);
}

static void step_diff(struct run *run)
{
	struct held *from, *to;
	struct th_range range;
	bool bounded = th_random_percent(&run->random, 40);

	if (!run->nheld)
		return;
	from = &run->held[th_random_below(&run->random, (uint32_t)run->nheld)];
	to = &run->held[th_random_below(&run->random, (uint32_t)run->nheld)];
	range = th_range_pick(&run->keys, &run->random, from->model, run->space);
	th_verify_diff(from->view, from->model, to->view, to->model, bounded ? &range : NULL);
	th_verify_diff(to->view, to->model, from->view, from->model, bounded ? &range : NULL);
	th_verify_diff_walk(from->view, from->model, to->view, to->model, bounded ? &range : NULL, &run->keys,
			    &run->random, 100);
}

static void verify_all(struct run *run)
{
	struct th_view *frozen;

	th_world_verify(now(run), run->fixture.store);
	for (size_t i = 0; i < run->nheld; i++)
		th_verify_scan(run->held[i].view, run->held[i].model, NULL);
	th_ok(th_view_freeze(run->fixture.store, &frozen));
	if (run->nheld) {
		struct held *held = &run->held[th_random_below(&run->random, (uint32_t)run->nheld)];

		th_verify_diff(held->view, held->model, frozen, now(run)->live, NULL);
	}
	th_view_close(frozen);
}

/* --- durability --- */

static void step_sync(struct run *run)
{
	th_ok(th_store_sync(run->fixture.store));
	history_settle(run);
}

static void step_commit(struct run *run)
{
	th_ok(th_store_checkpoint(run->fixture.store));
	history_settle(run);
}

static void drop_all_held(struct run *run)
{
	while (run->nheld)
		held_drop(run, 0);
}

static void pick_options(struct run *run)
{
	run->fixture.options.cache_bytes = th_random_percent(&run->random, 70) ? 256u << 10 : 0;
	run->fixture.options.txn_bytes = th_random_percent(&run->random, 50) ? th_random_below(&run->random, 20000) : 0;
	run->fixture.options.checkpoint_interval_ms = th_random_percent(&run->random, 50) ? 3600u * 1000 : 3;
}

static void reopen(struct run *run)
{
	drop_all_held(run);
	pick_options(run);
	th_fixture_reopen(&run->fixture);
	history_settle(run);
}

static void check(struct run *run)
{
	drop_all_held(run);
	step_commit(run);
	th_verify_check(run->fixture.store, NULL);
}

/* Returns the index of the world that the store has; nhistory if it is none. */
static size_t history_find(struct run *run, struct th_store *store)
{
	uint64_t hash = th_view_hash(th_view_live(store));
	size_t at = run->nhistory;

	while (at > 0 && !th_world_is(&run->history[at - 1], store, hash))
		at--;
	return at ? at - 1 : run->nhistory;
}

static void verify_crashed(struct run *run, struct th_store *store, size_t at)
{
	if (at == run->nhistory) {
		if (run->nhistory == 1) /* only one world is possible: show the difference */
			th_world_verify(now(run), store);
		ck_abort_msg("after a crash: found none of %zu legal states", run->nhistory);
	}
	th_world_verify(&run->history[at], store);
}

/* Continues with a disk as a crash at this moment may leave it. */
static void crash(struct run *run)
{
	struct th_fixture crashed;
	struct th_disk *image;
	struct th_world survivor;
	size_t at;

	th_ok(th_disk_fault_crash_image(run->fixture.disk, th_disk_fault_events(run->fixture.disk),
					th_random_next(&run->random), &image));
	pick_options(run);
	th_fixture_adopt(&crashed, image, &run->fixture.options);
	crashed.options.read_only = true;
	th_fixture_open(&crashed);
	at = history_find(run, crashed.store);
	verify_crashed(run, crashed.store, at);
	th_fixture_close(&crashed);
	crashed.options.read_only = false;
	th_fixture_open(&crashed);
	ck_assert_uint_eq(history_find(run, crashed.store), at);
	verify_crashed(run, crashed.store, at);
	drop_all_held(run);
	th_fixture_release(&run->fixture);
	run->fixture = crashed;
	survivor = run->history[at];
	run->history[at] = *now(run);
	*now(run) = survivor;
	history_settle(run);
	th_verify_check(run->fixture.store, NULL);
}

/* --- the run --- */

static void step(struct run *run)
{
	uint32_t what = th_random_below(&run->random, 100);

	if (what < 53)
		step_txn(run);
	else if (what < 58)
		step_snapshot_create(run);
	else if (what < 62)
		step_snapshot_delete(run);
	else if (what < 64)
		step_snapshot_rename(run);
	else if (what < 68)
		step_snapshot_hold(run);
	else if (what < 70)
		step_branch_create(run);
	else if (what < 71)
		step_branch_delete(run);
	else if (what < 72)
		step_branch_rename(run);
	else if (what < 74)
		step_branch_promote(run);
	else if (what < 76)
		step_switch(run);
	else if (what < 78)
		step_rollback(run);
	else if (what < 81)
		step_hold(run);
	else if (what < 84)
		step_gets(run);
	else if (what < 88)
		step_scan(run);
	else if (what < 93)
		step_diff(run);
	else if (what < 96)
		step_sync(run);
	else
		step_commit(run);
}

static void run_init(struct run *run, uint64_t seed)
{
	struct th_store_options options;

	run->random.state = seed;
	run->keys.salt = th_random_next(&run->random);
	run->bulk = th_random_percent(&run->random, 30);
	run->keys.range = run->bulk ? 10000 : th_random_percent(&run->random, 50) ? 200 : 2000;
	run->range_share = th_random_percent(&run->random, 50) ? 5 : 60;
	pick_options(run);
	options = run->fixture.options;
	th_fixture_init(&run->fixture, 192, &options);
	run->nhistory = 1;
	th_world_init(&run->history[0]);
}

static void run_release(struct run *run)
{
	drop_all_held(run);
	history_settle(run);
	th_world_release(now(run));
	th_fixture_release(&run->fixture);
	free(run);
}

/* Runs one life of a store: rounds of steps, each followed by a comparison of everything and by `end`. */
static void one_life(uint64_t seed, unsigned rounds, void (*end)(struct run *run))
{
	struct run *run = calloc(1, sizeof(*run));

	ck_assert_ptr_nonnull(run);
	run_init(run, seed);
	while (rounds--) {
		for (int i = 0; i < STEPS; i++)
			step(run);
		verify_all(run);
		end(run);
	}
	check(run);
	run_release(run);
}

static void end_quiet(struct run *run)
{
	uint32_t what = th_random_below(&run->random, 3);

	if (what == 0)
		reopen(run);
	else if (what == 1)
		check(run);
}

static void end_any(struct run *run)
{
	if (th_random_percent(&run->random, 60))
		crash(run);
	else
		end_quiet(run);
}

static void many_lives(const char *name, void (*end)(struct run *run))
{
	uint64_t seed = th_test_seed(name);
	unsigned lives = th_test_rounds(4);

	for (unsigned i = 0; i < lives; i++) {
		struct th_random random = { .state = seed + i };

		printf("%s: life %u, seed %" PRIu64 "\n", name, i, seed + i);
		fflush(stdout);
		one_life(seed + i, th_random_between(&random, 1, 10), end);
	}
}

START_TEST(store_equals_model)
{
	many_lives("store_equals_model", end_quiet);
}
END_TEST

START_TEST(crashed_store_equals_a_model_since_the_last_sync)
{
	many_lives("crashed_store_equals_a_model_since_the_last_sync", end_any);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { store_equals_model, crashed_store_equals_a_model_since_the_last_sync };

	return th_tests_run("model", tests, 2);
}
