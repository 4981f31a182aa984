/* SPDX-License-Identifier: Apache-2.0 */
/* Reclaiming the space of deleted snapshots, in bounded steps. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/reclaim.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

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

int main(void)
{
	const TTest *const tests[] = {
		a_snapshot_is_reclaimed_in_steps,
		a_deletion_is_due_until_a_checkpoint_has_it,
	};

	return th_tests_run("reclaim", tests, sizeof(tests) / sizeof(tests[0]));
}
