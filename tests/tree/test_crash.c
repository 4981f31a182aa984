/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts and failing disks, at every possible moment.
 *
 * A script of transactions, syncs, checkpoints and snapshots runs once over a recording disk.  Each of its moments is
 * kept: the world after it, and the number of writes when it began and when it was durable.  Then, for every number of
 * writes, disks as a crash may leave them are opened.  The state must be that of a moment that is not older than the
 * last durable one.  The same script also runs over disks on which the Nth transfer fails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tests/tree/world.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

#define STEPS 40
#define LONG_STEPS 600 /* enough to use the image's blocks again and again */
#define SPILLED_STRIDE                                                                                                 \
	8 /* a script with bulk commits is long and each run slow, so one run takes a part of the events */
#define NEVER UINT64_MAX
#define NOTHING 1 /* there was nothing to change */
#define LATER 2 /* the change is done, but not durable yet */

struct moment {
	struct th_world world;
	uint64_t begun, durable; /* events on the disk */
};

struct script {
	struct th_fixture fixture;
	struct th_random random;
	struct moment moments[LONG_STEPS + 1];
	size_t count;
	uint64_t stamp, hint;
	unsigned abandoned_nodes, bulk_commits;
};

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_store_options quiet = {
	.cache_bytes = 64 << 10, .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report, .runs = th_extents_runs
};

/* Transactions of more than a few values are spilled and committed in bulk. */
static const struct th_store_options spilling = {
	.cache_bytes = 64 << 10,
	.txn_bytes = 1500,
	.checkpoint_interval_ms = 3600 * 1000,
	.report = ignore_report,
	.runs = th_extents_runs,
};

static uint64_t events(struct script *script)
{
	return th_disk_fault_events(script->fixture.disk);
}

static struct moment *last(struct script *script)
{
	return &script->moments[script->count - 1];
}

static struct moment *next_moment(struct script *script)
{
	struct moment *moment = &script->moments[script->count];

	moment->world = th_world_copy(&last(script)->world);
	moment->begun = events(script);
	moment->durable = NEVER;
	script->count++;
	return moment;
}

/* Is this an error that a failing disk may cause? */
static bool fault_error(int result)
{
	return result == -EIO || result == -EROFS || result == -EBADMSG || result == -EUCLEAN || result == -ENOSPC;
}

static struct th_slice script_key(struct script *script, char *space)
{
	snprintf(space, 32, "key/%04u", th_random_below(&script->random, 300));
	return th_slice_of(space);
}

static int script_put(struct script *script, struct th_txn *txn, struct th_model *model)
{
	static const uint32_t sizes[] = { 10, 100, 400, 2000, TH_INLINE_MAX + 1, 30000 };
	static uint8_t value[30000];
	uint32_t size = sizes[th_random_below(&script->random, 6)];
	char space[32];
	struct th_slice key = script_key(script, space);

	memcpy(value, &script->stamp, sizeof(script->stamp));
	th_value_make(value + 8, size - 8, key, script->stamp++);
	th_model_put(model, key, (struct th_slice){ value, size });
	return th_txn_put(txn, key, (struct th_slice){ value, size });
}

static int script_file(struct script *script, struct th_txn *txn, struct th_model *model)
{
	struct th_extents file = { .count = 1 }, old;
	const struct th_model_entry *entry;
	uint8_t value[sizeof(file)];
	struct th_slice key;
	char space[32];
	int err = 0;

	snprintf(space, sizeof(space), "file/%u", th_random_below(&script->random, 20));
	key = th_slice_of(space);
	entry = th_model_get(model, key);
	if (entry) {
		th_extents_unpack(entry->value, &old);
		err = th_chunk_drop(txn, &old.extents[0].run);
	}
	if (err)
		return err;
	err = th_extent_write(txn, &script->random, th_random_between(&script->random, 1, 6), false, &script->hint,
			      &file.extents[0]);
	if (err)
		return err;
	th_model_put(model, key, (struct th_slice){ value, th_extents_pack(&file, value) });
	return th_txn_put(txn, key, (struct th_slice){ value, th_extents_pack(&file, value) });
}

static int script_write(struct script *script, struct th_txn *txn, struct th_model *model)
{
	uint32_t what = th_random_below(&script->random, 100);
	struct th_slice key;
	char space[32];

	if (what < 70)
		return script_put(script, txn, model);
	if (what < 80)
		return script_file(script, txn, model);
	key = script_key(script, space);
	if (what < 90) {
		th_model_delete(model, key);
		return th_txn_delete(txn, key);
	}
	th_model_ref(model, key, 1);
	return th_txn_ref(txn, key, 1);
}

/* True also if the store is not open. */
static bool read_only(struct script *script)
{
	struct th_store_info info;

	if (!script->fixture.store)
		return true;
	th_store_info(script->fixture.store, &info);
	return info.read_only;
}

static uint64_t count_bulk_commits(struct script *script)
{
	struct th_store_info info;

	th_store_info(script->fixture.store, &info);
	return info.bulk_commits;
}

static int script_txn(struct script *script)
{
	unsigned writes = th_random_between(&script->random, 1, 12);
	struct th_model *model = th_model_copy(last(script)->world.live);
	uint64_t bulk_commits;
	struct th_txn *txn;
	int err = th_txn_begin(script->fixture.store, &txn);

	if (err)
		goto out;
	while (writes-- && !err)
		err = script_write(script, txn, model);
	if (err) {
		th_txn_rollback(txn);
		goto out;
	}
	th_world_set_live(&next_moment(script)->world, th_model_hold(model));
	bulk_commits = count_bulk_commits(script);
	err = th_txn_commit(txn);
	if (!err && count_bulk_commits(script) > bulk_commits) {
		last(script)->durable = events(script);
		script->bulk_commits++;
	}
	/* an error leaves the state unchanged, unless the checkpoint of a bulk commit failed */
	if (err && !read_only(script)) {
		script->count--;
		th_world_release(&script->moments[script->count].world);
	}
out:
	th_model_unref(model);
	return err;
}

/* Creates a snapshot, or deletes one if there are many. */
static int change_snapshots(struct script *script, struct th_world *world)
{
	struct th_store *store = script->fixture.store;
	char name[TH_SNAPSHOT_NAME_MAX + 1];
	int err;

	for (size_t i = 0; world->count > 3 && i < world->count; i++) {
		strcpy(name, world->snapshots[i].info.name);
		if (th_world_can_delete(world, name) == 0) {
			th_world_note_delete(world, name);
			err = th_snapshot_delete(store, name);
			return err ? err : LATER;
		}
	}
	if (world->count == TH_WORLD_SNAPSHOTS)
		return NOTHING;
	snprintf(name, sizeof(name), "at %" PRIu64, script->stamp++);
	th_world_note_create(world, name);
	return th_snapshot_create(store, name, NULL);
}

/* Releases a hold, or holds a snapshot, which then cannot be deleted. */
static int change_holds(struct script *script, struct th_world *world)
{
	struct th_store *store = script->fixture.store;
	char name[TH_SNAPSHOT_NAME_MAX + 1];
	unsigned tag;
	int err;

	if (!world->count)
		return NOTHING;
	strcpy(name, world->snapshots[th_random_below(&script->random, (uint32_t)world->count)].info.name);
	for (tag = 0; tag < TH_WORLD_TAGS; tag++) {
		if (th_world_can_release(world, name, tag) < 0 || th_random_percent(&script->random, 20))
			continue;
		th_world_note_release(world, name, tag);
		return th_snapshot_release(store, name, th_world_tag(tag));
	}
	tag = th_random_below(&script->random, TH_WORLD_TAGS);
	if (th_world_can_hold(world, name, tag) < 0)
		return NOTHING;
	th_world_note_hold(world, name, tag);
	err = th_snapshot_hold(store, name, th_world_tag(tag));
	if (!err)
		th_expect(th_snapshot_delete(store, name), -EBUSY);
	return err;
}

/* Creates a branch, or deletes one if there are many. */
static int change_branches(struct script *script, struct th_world *world)
{
	struct th_store *store = script->fixture.store;
	char name[40];

	for (size_t i = 0; i < world->nbranches; i++) {
		strcpy(name, world->branches[i].name);
		if (world->nbranches > 3 && th_world_can_delete_branch(world, name, true) == 0) {
			th_world_note_branch_deleted(world, name);
			return th_branch_delete(store, name, true);
		}
	}
	if (!world->count || world->nbranches > 8)
		return NOTHING;
	snprintf(name, sizeof(name), "branch %" PRIu64, script->stamp++);
	th_world_note_branch(world, name, world->snapshots[world->count - 1].info.name);
	return th_branch_create(store, name, world->snapshots[world->count - 1].info.name, NULL);
}

static int roll_back(struct script *script, struct th_world *world)
{
	char name[TH_SNAPSHOT_NAME_MAX + 1];
	int err;

	if (!world->count || world->nbranches > 8)
		return NOTHING;
	strcpy(name, world->snapshots[th_random_below(&script->random, (uint32_t)world->count)].info.name);
	th_world_note_rollback(world, name);
	err = th_store_rollback(script->fixture.store, name);
	if (!err)
		th_world_note_ids(world, script->fixture.store);
	return err;
}

/* Opens the store on a random branch. */
static int change_branch(struct script *script, struct th_world *world)
{
	const struct th_world_branch *to =
		&world->branches[th_random_below(&script->random, (uint32_t)world->nbranches)];
	struct th_fixture *fixture = &script->fixture;
	struct th_store_options options = fixture->options;
	struct th_disk *lent;
	int err;

	if (to->detached)
		return NOTHING;
	options.branch = to->name;
	err = th_store_close(fixture->store);
	fixture->store = NULL;
	if (err)
		return err;
	lent = th_disk_lend(fixture->disk);
	err = th_store_open(lent, &options, &fixture->store);
	if (err) {
		th_disk_close(lent);
		return err;
	}
	fixture->store->abandoned_nodes = script->abandoned_nodes;
	fixture->store->reclaim_entries = script->abandoned_nodes;
	fixture->store->scatter_one_in = script->abandoned_nodes - 1;
	fixture->store->copies = th_random_between(&script->random, 1, 2);
	th_world_note_switch(world, to->name);
	return 0;
}

/* Makes a change.  An error leaves the state unchanged, unless the store became read-only: then the state is unknown
 * until the store is opened again. */
static int script_change(struct script *script, int (*change)(struct script *script, struct th_world *world))
{
	struct moment *moment = next_moment(script);
	int err = change(script, &moment->world);

	if (err == NOTHING) {
		script->count--;
		th_world_release(&moment->world);
		return 0;
	}
	if (err == LATER)
		return 0;
	if (!err) {
		moment->durable = events(script);
	} else if (!read_only(script)) {
		script->count--;
		th_world_release(&moment->world);
	}
	return err;
}

static int script_sync(struct script *script, bool commit)
{
	int err = commit ? th_store_checkpoint(script->fixture.store) : th_store_sync(script->fixture.store);

	if (!err && last(script)->durable == NEVER)
		last(script)->durable = events(script);
	return err;
}

/* Discards the free space, larger runs only: each discard is an event at which a crash is tried. */
static int script_trim(struct script *script)
{
	uint64_t bytes;
	int err = th_store_trim(script->fixture.store, 0, UINT64_MAX, 64 << 10, &bytes);

	if (!err && last(script)->durable == NEVER)
		last(script)->durable = events(script);
	return err;
}

static int script_step(struct script *script)
{
	uint32_t what = th_random_below(&script->random, 100);

	if (what < 60)
		return script_txn(script);
	if (what < 75)
		return script_sync(script, false);
	if (what < 81)
		return script_sync(script, true);
	if (what < 83)
		return script_trim(script);
	if (what < 89)
		return script_change(script, change_snapshots);
	if (what < 92)
		return script_change(script, change_holds);
	if (what < 95)
		return script_change(script, change_branches);
	return script_change(script, what < 97 ? roll_back : change_branch);
}

/* Begins a script on a formatted disk. */
static void script_begin(struct script *script, uint64_t seed)
{
	script->random.state = seed;
	script->count = 1;
	script->abandoned_nodes = th_random_between(&script->random, 1, 5);
	script->fixture.store->abandoned_nodes = script->abandoned_nodes;
	script->fixture.store->reclaim_entries = script->abandoned_nodes;
	script->moments[0] = (struct moment){ .durable = 0 };
	th_world_init(&script->moments[0].world);
}

static void script_end(struct script *script)
{
	for (size_t i = 0; i < script->count; i++)
		th_world_release(&script->moments[i].world);
	script->count = 0;
}

/* --- power cuts --- */

/* Returns the newest moment that must survive a crash after `nevents` events. */
static size_t oldest_legal(const struct script *script, uint64_t nevents)
{
	size_t oldest = 0;

	for (size_t i = 0; i < script->count; i++)
		if (script->moments[i].durable <= nevents)
			oldest = i;
	return oldest;
}

/* Verifies the data of all trees. */
static void verify_data(const struct th_world *world, struct th_store *store)
{
	th_extents_verify(store, world->live);
	for (size_t i = 0; i < world->count; i++)
		th_extents_verify(store, world->snapshots[i].model);
	for (size_t i = 0; i < world->nbranches; i++)
		if (world->branches[i].head)
			th_extents_verify(store, world->branches[i].head);
}

static void verify_survivor(struct script *script, struct th_store *store, uint64_t nevents)
{
	size_t oldest = oldest_legal(script, nevents), at = script->count;
	uint64_t hash = th_view_hash(th_view_live(store));

	while (at-- > oldest) {
		struct moment *moment = &script->moments[at];

		if (moment->begun <= nevents && th_world_is(&moment->world, store, hash)) {
			th_world_verify(&moment->world, store);
			verify_data(&moment->world, store);
			return;
		}
	}
	for (at = 0; at < script->count; at++)
		if (th_world_is(&script->moments[at].world, store, hash))
			ck_abort_msg("crash after event %" PRIu64 ": found moment %zu, but moment %zu was durable",
				     nevents, at, oldest);
	ck_abort_msg("crash after event %" PRIu64 ": found a state that never existed (moment %zu was durable)",
		     nevents, oldest);
}

static void crash_at(struct script *script, uint64_t nevents, uint64_t seed)
{
	struct th_fixture crashed;
	struct th_disk *image;

	th_ok(th_disk_fault_crash_image(script->fixture.disk, nevents, seed, &image));
	th_fixture_adopt(&crashed, image, &quiet);
	th_fixture_open(&crashed);
	verify_survivor(script, crashed.store, nevents);
	th_ok(th_store_checkpoint(crashed.store));
	th_verify_check(crashed.store, &th_extents_check);
	th_fixture_put(&crashed, "after", "the crash");
	th_fixture_reopen(&crashed);
	th_verify_check(crashed.store, &th_extents_check);
	th_fixture_release(&crashed);
}

/* Opens the disk as after a crash after every `stride`th event, on average. */
static void crash_everywhere(uint64_t seed, const struct th_store_options *options, int steps, uint32_t stride)
{
	struct script *script = calloc(1, sizeof(*script));
	struct th_random random = { .state = seed };
	uint64_t total, nevents = 0;

	ck_assert_ptr_nonnull(script);
	th_fixture_init(&script->fixture, 16, options);
	th_ok(th_disk_fault_reset(script->fixture.disk));
	script_begin(script, seed);
	for (int i = 0; i < steps; i++)
		th_ok(script_step(script));
	ck_assert(options != &spilling || script->bulk_commits > 0);
	total = events(script);
	for (; nevents <= total; nevents += th_random_between(&random, 1, 2 * stride - 1))
		crash_at(script, nevents, seed + nevents);
	script_end(script);
	th_fixture_release(&script->fixture);
	free(script);
}

START_TEST(power_cut_leaves_a_state_after_the_last_durable_one)
{
	uint64_t seed = th_test_seed("power_cut_leaves_a_state_after_the_last_durable_one");

	for (unsigned i = 0; i < th_test_rounds(2); i++) {
		printf("power_cut_leaves_a_state_after_the_last_durable_one: script of seed %" PRIu64 "\n", seed + i);
		fflush(stdout);
		crash_everywhere(seed + i, &quiet, STEPS, 1);
	}
}
END_TEST

START_TEST(power_cut_in_bulk_commit_loses_nothing_durable)
{
	uint64_t seed = th_test_seed("power_cut_in_bulk_commit_loses_nothing_durable");

	for (unsigned i = 0; i < th_test_rounds(1); i++) {
		printf("power_cut_in_bulk_commit_loses_nothing_durable: script of seed %" PRIu64 "\n", seed + i);
		fflush(stdout);
		crash_everywhere(seed + i, &spilling, STEPS, SPILLED_STRIDE);
		crash_everywhere(seed + i, &spilling, LONG_STEPS, 400);
	}
}
END_TEST

START_TEST(power_cut_after_reuse_of_all_blocks_loses_nothing_durable)
{
	uint64_t seed = th_test_seed("power_cut_after_reuse_of_all_blocks_loses_nothing_durable");

	for (unsigned i = 0; i < th_test_rounds(1); i++) {
		printf("power_cut_after_reuse_of_all_blocks_loses_nothing_durable: script of seed %" PRIu64 "\n",
		       seed + i);
		fflush(stdout);
		crash_everywhere(seed + i, &quiet, LONG_STEPS, 40);
	}
}
END_TEST

/* Runs a few transactions, and one change of snapshots, holds or branches. */
static void script_round(struct script *script, int round)
{
	static int (*const changes[])(struct script *, struct th_world *) = { change_snapshots, change_branches,
									      change_holds, change_branch, roll_back };

	for (int i = 0; i < 3; i++)
		th_ok(script_txn(script));
	th_ok(script_change(script, changes[round % 5]));
	th_ok(script_txn(script));
	th_ok(script_sync(script, round % 3 == 0));
}

/* Crashes after every event of creating, deleting, holding and switching, and of rollbacks.  Abandoned heads are freed
 * in steps of a few nodes. */
START_TEST(power_cut_in_branch_changes_leaves_before_or_after)
{
	uint64_t seed = th_test_seed("power_cut_in_branch_changes_leaves_before_or_after");
	struct script *script = calloc(1, sizeof(*script));

	ck_assert_ptr_nonnull(script);
	th_fixture_init(&script->fixture, 16, &quiet);
	th_ok(th_disk_fault_reset(script->fixture.disk));
	script_begin(script, seed);
	for (int round = 0; round < 40; round++)
		script_round(script, round);
	for (uint64_t nevents = 0; nevents <= events(script); nevents++)
		crash_at(script, nevents, seed + nevents);
	script_end(script);
	th_fixture_release(&script->fixture);
	free(script);
}
END_TEST

/* --- failing disks --- */

static void expect_fault(int result)
{
	ck_assert_msg(!result || fault_error(result), "returned %d (%s)", result, strerror(-result));
}

/* Runs the script on a disk that fails at the nth transfer; from then on errors are allowed. */
static void run_failing(struct script *script, enum th_fault_kind kind, uint64_t nth)
{
	th_disk_fault_arm(script->fixture.disk, kind, nth);
	for (int i = 0; i < STEPS && !read_only(script); i++)
		expect_fault(script_step(script));
	if (script->fixture.store)
		expect_fault(th_store_close(script->fixture.store));
	script->fixture.store = NULL;
}

/* Verifies that each value which a cursor returns was put under its key.  Returns 0 or the error of reading. */
static int scan_honest(struct th_view *view)
{
	static uint8_t made[30000];
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int end, err = th_cursor_open(view, NULL, &cursor);

	if (err)
		return err;
	while (!(end = th_cursor_next(cursor, &entry))) {
		uint64_t stamp;

		if (memcmp(entry.key.data, "key/", 4) != 0)
			continue;
		th_true(entry.value.size >= sizeof(stamp));
		memcpy(&stamp, entry.value.data, sizeof(stamp));
		th_value_make(made, entry.value.size - 8, entry.key, stamp);
		th_true(memcmp(made, (const uint8_t *)entry.value.data + 8, entry.value.size - 8) == 0);
	}
	th_cursor_close(cursor);
	return end == 1 ? 0 : end;
}

/* Opens the store after writes were dropped or changed.  Anything may be lost, but all data that is returned must be
 * correct, and the store must not crash. */
static void open_after_lie(struct script *script)
{
	struct th_store *store;
	struct th_disk *lent = th_disk_lend(script->fixture.disk);
	struct th_check_options options = { .runs = th_extents_runs, .read_data = true, .problem = ignore_report };
	struct th_check_result found;
	int err = th_store_open(lent, &quiet, &store);

	if (err) {
		ck_assert_msg(fault_error(err), "opening returned %d", err);
		th_disk_close(lent);
		return;
	}
	err = scan_honest(th_view_live(store));
	expect_fault(err);
	err = th_store_check(store, &options, &found);
	expect_fault(err);
	err = th_store_close(store);
	expect_fault(err);
}

static void open_after_fault(struct script *script)
{
	struct th_disk *disk = script->fixture.disk;
	struct th_disk *image;
	struct th_fixture fixture;

	th_ok(th_disk_fault_crash_image(disk, th_disk_fault_events(disk), 1, &image));
	th_fixture_adopt(&fixture, image, &quiet);
	th_fixture_open(&fixture);
	verify_survivor(script, fixture.store, NEVER - 1);
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}

/* Returns the number of transfers of the script so far. */
static uint64_t count_transfers(const struct script *script)
{
	const struct th_disk *disk = script->fixture.disk;

	return disk->reads + disk->writes + disk->flushes;
}

static uint64_t fail_once(uint64_t seed, const struct th_store_options *options, enum th_fault_kind kind, uint64_t nth)
{
	struct script *script = calloc(1, sizeof(*script));
	uint64_t before, transfers;

	ck_assert_ptr_nonnull(script);
	th_fixture_init(&script->fixture, 16, options);
	before = count_transfers(script);
	script_begin(script, seed);
	run_failing(script, kind, nth);
	transfers = count_transfers(script) - before;
	th_disk_fault_arm(script->fixture.disk, TH_FAULT_NONE, 0);
	if (kind == TH_FAULT_DROP || kind == TH_FAULT_FLIP)
		open_after_lie(script);
	else
		open_after_fault(script);
	script_end(script);
	th_fixture_release(&script->fixture);
	free(script);
	return transfers;
}

/* Fails every stride-th transfer of the script, each in a run of its own.  The seed selects the first. */
static void fail_some(const char *name, const struct th_store_options *options, enum th_fault_kind kind,
		      uint64_t stride)
{
	uint64_t seed = th_test_seed(name);

	for (unsigned i = 0; i < th_test_rounds(1); i++) {
		uint64_t transfers = fail_once(seed + i, options, TH_FAULT_NONE, 0);

		printf("%s: seed %" PRIu64 ", %" PRIu64 " transfers\n", name, seed + i, transfers);
		fflush(stdout);
		for (uint64_t nth = (seed + i) % stride; nth < transfers; nth += stride)
			fail_once(seed + i, options, kind, nth);
	}
}

static void fail_everywhere(const char *name, enum th_fault_kind kind)
{
	fail_some(name, &quiet, kind, 1);
}

START_TEST(failed_transfers_lose_nothing_durable)
{
	fail_everywhere("failed_transfers_lose_nothing_durable", TH_FAULT_ERROR);
}
END_TEST

START_TEST(torn_writes_lose_nothing_durable)
{
	fail_everywhere("torn_writes_lose_nothing_durable", TH_FAULT_TEAR);
}
END_TEST

START_TEST(disk_that_dies_loses_nothing_durable)
{
	fail_everywhere("disk_that_dies_loses_nothing_durable", TH_FAULT_CUT);
}
END_TEST

START_TEST(dropped_writes_are_detected)
{
	fail_everywhere("dropped_writes_are_detected", TH_FAULT_DROP);
}
END_TEST

START_TEST(flipped_bits_are_detected)
{
	fail_everywhere("flipped_bits_are_detected", TH_FAULT_FLIP);
}
END_TEST

START_TEST(failed_transfers_in_bulk_commit_lose_nothing_durable)
{
	fail_some("failed_transfers_in_bulk_commit_lose_nothing_durable", &spilling, TH_FAULT_ERROR, SPILLED_STRIDE);
}
END_TEST

START_TEST(torn_writes_in_bulk_commit_lose_nothing_durable)
{
	fail_some("torn_writes_in_bulk_commit_lose_nothing_durable", &spilling, TH_FAULT_TEAR, SPILLED_STRIDE);
}
END_TEST

START_TEST(flipped_bits_in_bulk_commit_are_detected)
{
	fail_some("flipped_bits_in_bulk_commit_are_detected", &spilling, TH_FAULT_FLIP, SPILLED_STRIDE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { power_cut_leaves_a_state_after_the_last_durable_one,
				       power_cut_after_reuse_of_all_blocks_loses_nothing_durable,
				       power_cut_in_branch_changes_leaves_before_or_after,
				       failed_transfers_lose_nothing_durable,
				       torn_writes_lose_nothing_durable,
				       disk_that_dies_loses_nothing_durable,
				       dropped_writes_are_detected,
				       flipped_bits_are_detected,
				       power_cut_in_bulk_commit_loses_nothing_durable,
				       failed_transfers_in_bulk_commit_lose_nothing_durable,
				       torn_writes_in_bulk_commit_lose_nothing_durable,
				       flipped_bits_in_bulk_commit_are_detected };

	return th_tests_run("crash", tests, sizeof(tests) / sizeof(tests[0]));
}
