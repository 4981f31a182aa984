/* SPDX-License-Identifier: Apache-2.0 */
/* Reclaiming the space of deleted snapshots, in bounded steps. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

#define KEYS 2000

/* Replaces values outside the tree, each of which is then an entry of a dead list. */
static void change_all(struct th_fixture *fixture, uint64_t stamp)
{
	static uint8_t value[TH_INLINE_MAX + 1];
	struct th_txn *txn;
	char key[24];

	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "large/%06u", i);
		th_value_make(value, sizeof(value), th_slice_of(key), stamp * KEYS + i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

static uint64_t snapshot_hash(struct th_store *store, const char *name)
{
	struct th_snapshot snapshot;
	struct th_view *view;
	uint64_t hash;

	th_ok(th_snapshot_find(store, name, &snapshot));
	th_ok(th_view_snapshot(store, snapshot.id, &view));
	hash = th_view_hash(view);
	th_view_close(view);
	return hash;
}

/* Verifies the state after a crash, and that reclaiming goes on from there. */
static void verify_crashed(struct th_fixture *fixture, const uint64_t *hashes, uint64_t used_max)
{
	struct th_fixture crashed;

	th_fixture_crash(fixture, &crashed);
	th_verify_check(crashed.store, NULL);
	while (th_store_reclaim(crashed.store) == 0)
		;
	th_verify_check(crashed.store, NULL);
	ck_assert_uint_eq(snapshot_hash(crashed.store, "old"), hashes[0]);
	ck_assert_uint_eq(snapshot_hash(crashed.store, "new"), hashes[2]);
	ck_assert_uint_le(th_fixture_used(&crashed), used_max);
	th_fixture_release(&crashed);
}

/* Each checkpoint leaves a sound state, from which the next opening goes on. */
START_TEST(a_snapshot_is_reclaimed_in_steps)
{
	static const char *const names[] = { "old", "middle", "new" };
	struct th_fixture fixture;
	uint64_t hashes[3], used;
	unsigned steps = 0;

	th_fixture_init(&fixture, 128, &options);
	for (unsigned i = 0; i < 3; i++) {
		change_all(&fixture, i);
		th_ok(th_snapshot_create(fixture.store, names[i], NULL));
		hashes[i] = th_view_hash(th_view_live(fixture.store));
	}
	change_all(&fixture, 3);
	used = th_fixture_used(&fixture);
	fixture.store->reclaim_entries = 300;
	th_ok(th_snapshot_delete(fixture.store, "middle"));
	while (th_store_reclaim(fixture.store) == 0) {
		steps++;
		th_verify_check(fixture.store, NULL);
		if (steps % 2)
			verify_crashed(&fixture, hashes, used - KEYS + 200);
		if (steps == 3) /* takes over the rest of the list */
			th_ok(th_snapshot_create(fixture.store, "later", NULL));
	}
	ck_assert_uint_ge(steps, 4);
	verify_crashed(&fixture, hashes, used - KEYS + 200);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_deletion_is_due_until_a_checkpoint_has_it)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	while (th_store_reclaim(fixture.store) == 0)
		;
	ck_assert(!th_reclaim_due(fixture.store));
	ck_assert(!th_reclaim_unnoted(fixture.store));
	th_ok(th_snapshot_delete(fixture.store, "s"));
	ck_assert(th_reclaim_unnoted(fixture.store));
	ck_assert(th_reclaim_due(fixture.store));
	th_ok(th_store_sync(fixture.store));
	ck_assert(!th_reclaim_unnoted(fixture.store));
	while (th_store_reclaim(fixture.store) == 0)
		;
	ck_assert(!th_reclaim_due(fixture.store));
	ck_assert_uint_eq(fixture.store->catalogue.count, 0);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* --- transactions and deletions during a checkpoint --- */

static void put_extent(struct th_txn *txn, const char *key, const struct th_extent *extent)
{
	struct th_extents file = { .count = 1, .extents = { *extent } };
	uint8_t space[sizeof(file)];

	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ space, th_extents_pack(&file, space) }));
}

static void write_extent(struct th_fixture *fixture, const char *key, struct th_extent *ret)
{
	struct th_random random = { .state = 7 };
	struct th_txn *txn;
	uint64_t hint = 0;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_extent_write(txn, &random, 8, false, &hint, ret));
	put_extent(txn, key, ret);
	th_ok(th_txn_commit(txn));
}

static void share_extent(struct th_store *store, const char *key, const struct th_extent *extent)
{
	struct th_extent copy = *extent;
	struct th_txn *txn;

	th_ok(th_txn_begin(store, &txn));
	th_ok(th_chunk_share(txn, &extent->run, &copy.run));
	put_extent(txn, key, &copy);
	th_ok(th_txn_commit(txn));
}

/* Events between the freeze of a checkpoint and its part that reclaims. */
struct between {
	struct th_extent extent; /* shared by a transaction */
	bool synced; /* the transaction is in the log */
	struct th_view *view; /* then closed */
	const char *deleted; /* then deleted: name of a snapshot */
};

static int between_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct between *between = arg;

	(void)state;
	share_extent(store, "file copy", &between->extent);
	if (between->synced)
		th_ok(th_store_sync(store));
	th_view_close(between->view);
	if (between->deleted)
		th_ok(th_snapshot_delete(store, between->deleted));
	return th_reclaim_step(store);
}

static void verify_copy(struct th_fixture *fixture, const struct th_extent *extent)
{
	th_verify_check(fixture->store, &th_extents_check);
	while (th_store_reclaim(fixture->store) == 0)
		;
	th_verify_check(fixture->store, &th_extents_check);
	th_extent_read(fixture->store, extent, 0, extent->run.blocks);
}

static bool has_copy(struct th_fixture *fixture)
{
	struct th_value value;
	int err = th_get(th_view_live(fixture->store), th_slice_of("file copy"), &value);

	if (!err)
		th_value_release(&value);
	return err == 0;
}

/* Runs a checkpoint with these events, and verifies the store and its state after a crash. */
static void checkpoint_between(struct th_fixture *fixture, struct between *between)
{
	struct th_snapshot found;
	struct th_fixture crashed;

	th_ok(th_checkpoint(fixture->store, between_step, between, 0));
	th_fixture_crash(fixture, &crashed);
	ck_assert_int_eq(has_copy(&crashed), between->synced);
	if (between->deleted) /* the deletion is newer than the transaction: C2 */
		th_ok(th_snapshot_find(crashed.store, between->deleted, &found));
	if (between->synced)
		verify_copy(&crashed, &between->extent);
	th_verify_check(crashed.store, &th_extents_check);
	th_fixture_release(&crashed);
	th_ok(th_store_checkpoint(fixture->store));
	verify_copy(fixture, &between->extent);
	ck_assert_uint_eq(fixture->store->catalogue.count, 0);
	ck_assert_uint_eq(fixture->store->shared_blocks, 0); /* the copy has the only reference */
	th_extents_drop(fixture, "file copy");
	th_extents_commit(fixture);
}

static void snapshot_between(bool synced, bool view)
{
	struct between between = { .synced = synced, .deleted = view ? NULL : "s" };
	struct th_snapshot snapshot;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	write_extent(&fixture, "file first", &between.extent);
	th_ok(th_snapshot_create(fixture.store, "s", &snapshot));
	th_extents_drop(&fixture, "file first");
	if (view) {
		th_ok(th_view_snapshot(fixture.store, snapshot.id, &between.view));
		th_ok(th_snapshot_delete(fixture.store, "s"));
	}
	th_ok(th_store_checkpoint(fixture.store));
	checkpoint_between(&fixture, &between);
	th_fixture_release(&fixture);
}

START_TEST(blocks_shared_before_a_deletion_during_a_checkpoint_are_kept)
{
	snapshot_between(true, false);
	snapshot_between(false, false);
}
END_TEST

START_TEST(blocks_shared_before_a_view_is_closed_during_a_checkpoint_are_kept)
{
	snapshot_between(true, true);
	snapshot_between(false, true);
}
END_TEST

START_TEST(blocks_shared_from_an_abandoned_head_during_a_checkpoint_are_kept)
{
	struct between between = { .synced = true };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_ok(th_snapshot_create(fixture.store, "origin", NULL));
	th_ok(th_branch_create(fixture.store, "work", "origin", NULL));
	th_fixture_switch(&fixture, "work");
	write_extent(&fixture, "file first", &between.extent);
	th_fixture_switch(&fixture, "main");
	th_ok(th_view_branch(fixture.store, "work", &between.view));
	th_ok(th_branch_delete(fixture.store, "work", false));
	th_ok(th_snapshot_delete(fixture.store, "origin"));
	th_ok(th_store_checkpoint(fixture.store));
	checkpoint_between(&fixture, &between);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_snapshot_is_reclaimed_in_steps,
		a_deletion_is_due_until_a_checkpoint_has_it,
		blocks_shared_before_a_deletion_during_a_checkpoint_are_kept,
		blocks_shared_before_a_view_is_closed_during_a_checkpoint_are_kept,
		blocks_shared_from_an_abandoned_head_during_a_checkpoint_are_kept,
	};

	return th_tests_run("reclaim", tests, sizeof(tests) / sizeof(tests[0]));
}
