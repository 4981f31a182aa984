/* SPDX-License-Identifier: Apache-2.0 */
/* Reclaiming abandoned heads: in steps, under views, and in non-blocking sections. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

#define LARGE 2000

/* Puts values outside the tree, each of which is an entry of a dead list when it is replaced. */
static void put_large(struct th_fixture *fixture, char stamp)
{
	static char value[TH_INLINE_MAX + 1];
	struct th_txn *txn;
	char key[32];

	memset(value, stamp, sizeof(value));
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < LARGE; i++) {
		snprintf(key, sizeof(key), "large/%06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

/* Verifies that the state after a crash is sound, and that reclaiming goes on from there. */
static void verify_crashed(struct th_fixture *fixture, uint64_t expected)
{
	struct th_fixture crashed;
	struct th_disk *image;

	th_ok(th_disk_fault_crash_image(fixture->disk, th_disk_fault_events(fixture->disk), 1, &image));
	th_fixture_adopt(&crashed, image, &options);
	th_fixture_open(&crashed);
	th_verify_check(crashed.store, &th_extents_check);
	ck_assert_uint_le(th_fixture_used(&crashed), expected);
	th_verify_check(crashed.store, &th_extents_check);
	th_fixture_release(&crashed);
}

/* The checkpoint that abandons a head reads none of its lists.  Each later one reads a bounded part of them:
 * reclaimable entries, those that the snapshot has, and strays. */
START_TEST(a_head_is_reclaimed_in_steps)
{
	struct th_random random = { .state = th_test_seed("a_head_is_reclaimed_in_steps") };
	struct th_fixture fixture;
	struct th_txn *txn;
	uint64_t expected, reads;
	unsigned steps = 0;

	th_fixture_init(&fixture, 128, &options);
	put_large(&fixture, '1');
	th_ok(th_txn_begin(fixture.store, &txn));
	th_extents_put(txn, &random, "file/stray");
	th_ok(th_snapshot_create(fixture.store, "old", NULL));
	expected =
		th_fixture_used(&fixture) + 16; /* far fewer blocks than the stray and the reclaimable entries have */
	th_ok(th_txn_commit(txn));
	put_large(&fixture, '2');
	th_ok(th_snapshot_create(fixture.store, "middle", NULL));
	put_large(&fixture, '3');
	fixture.store->reclaim_entries = 300;
	fixture.store->abandoned_nodes = 5;
	th_ok(th_snapshot_delete(fixture.store, "middle"));
	th_expect(th_store_reclaim(fixture.store),
		  0); /* joins its list to the head's, half of which is then reclaimable */
	reads = fixture.store->disk->reads;
	th_ok(th_store_rollback(fixture.store, "old"));
	ck_assert_uint_le(fixture.store->disk->reads - reads, 4);
	do {
		th_verify_check(fixture.store, &th_extents_check);
		if (steps++ % 4 == 0)
			verify_crashed(&fixture, expected);
		reads = fixture.store->disk->reads;
	} while (th_store_reclaim(fixture.store) == 0);
	ck_assert_uint_ge(steps, 2 * LARGE / 300);
	ck_assert_uint_le(th_fixture_used(&fixture), expected);
	verify_crashed(&fixture, expected);
	th_fixture_release(&fixture);
}
END_TEST

/* All of its data can be read, strays too, until the view is closed. */
START_TEST(views_keep_an_abandoned_head)
{
	struct th_random random = { .state = th_test_seed("views_keep_an_abandoned_head") };
	struct th_fixture fixture;
	struct th_value value;
	struct th_view *view;
	uint64_t before;

	th_fixture_init(&fixture, 40, &options);
	put_large(&fixture, '1');
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	before = th_fixture_used(&fixture);
	th_fixture_switch(&fixture, "work");
	th_extents_put_stray(&fixture, &random, "file/stray", "t");
	th_fixture_switch(&fixture, "main");
	th_ok(th_view_branch(fixture.store, "work", &view));
	th_ok(th_branch_delete(fixture.store, "work", true));
	for (unsigned i = 0; i < 8; i++) { /* uses the free blocks */
		put_large(&fixture, (char)('2' + i));
		th_ok(th_store_checkpoint(fixture.store));
	}
	th_ok(th_get(view, th_slice_of("file/stray"), &value));
	th_extents_read(fixture.store, (struct th_slice){ value.data, value.size });
	th_value_release(&value);
	th_extents_commit(&fixture);
	th_view_close(view);
	th_extents_commit(&fixture);
	ck_assert_uint_le(th_fixture_used(&fixture), before + LARGE + 200);
	th_fixture_release(&fixture);
}
END_TEST

/* Nodes of an abandoned head, and nodes below a deleted range. */
START_TEST(checkpoints_read_even_in_a_non_blocking_section)
{
	struct th_fixture fixture;
	struct th_txn *txn;
	uint64_t used;

	th_fixture_init(&fixture, 64, &options);
	th_fixture_put_many(&fixture, 0, 20000, 'a');
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	used = th_fixture_used(&fixture);
	put_large(&fixture, '1');
	th_fixture_reopen(&fixture);
	th_ok(th_store_rollback(fixture.store, "s"));
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_delete_range(txn, (struct th_range){ th_slice_of("key/002000"), th_slice_of("key/009000") }));
	th_ok(th_txn_commit(txn));
	th_nowait_begin();
	th_ok(th_store_checkpoint(fixture.store));
	while (th_store_reclaim(fixture.store) == 0)
		;
	th_nowait_end();
	th_extents_commit(&fixture);
	ck_assert_uint_le(th_fixture_used(&fixture), used + 20);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_head_is_reclaimed_in_steps,
		views_keep_an_abandoned_head,
		checkpoints_read_even_in_a_non_blocking_section,
	};

	return th_tests_run("head_reclaim", tests, sizeof(tests) / sizeof(tests[0]));
}
