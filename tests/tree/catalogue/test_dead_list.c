/* SPDX-License-Identifier: Apache-2.0 */
/* Dead lists and lists of strays. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

/* Whether they are live, dead, in a snapshot, or newer than one, when the head is abandoned. */
START_TEST(strays_are_freed_with_their_head)
{
	struct th_random random = { .state = th_test_seed("strays_are_freed_with_their_head") };

	for (unsigned variant = 0; variant < 16; variant++) {
		struct th_fixture fixture;

		th_fixture_init(&fixture, 16, &options);
		th_extents_put_stray(&fixture, &random, "file/a", "one");
		if (variant & 1)
			th_extents_drop(&fixture, "file/a");
		if (variant & 2)
			th_extents_put_stray(&fixture, &random, "file/b", "two");
		if (variant & 1 && variant & 2)
			th_extents_drop(&fixture, "file/b");
		if (variant & 4 && !(variant & 1))
			th_extents_drop(&fixture, "file/a");
		th_extents_commit(&fixture);
		if (variant & 8 && variant & 2)
			th_ok(th_snapshot_delete(fixture.store, "one"));
		th_extents_commit(&fixture);
		th_ok(th_store_rollback(fixture.store, variant & 8 && variant & 2 ? "two" : "one"));
		th_extents_commit(&fixture);
		if (variant & 2 && !(variant & 8))
			th_ok(th_snapshot_delete(fixture.store, "two"));
		th_extents_commit(&fixture);
		th_fixture_reopen(&fixture);
		th_extents_commit(&fixture);
		th_fixture_release(&fixture);
	}
}
END_TEST

static void put_large(struct th_fixture *fixture, char stamp)
{
	static char value[TH_INLINE_MAX + 1];
	struct th_txn *txn;

	memset(value, stamp, sizeof(value));
	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_txn_put(txn, th_slice_of("large"), (struct th_slice){ value, sizeof(value) }));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture->store));
}

static unsigned dead_runs;

static int count_data(const struct th_blockrun *run, void *arg)
{
	(void)arg;
	dead_runs += run->tag == 0 && run->blocks == 1;
	return 0;
}

static unsigned count_dead(struct th_store *store, const struct th_blocklist *list)
{
	dead_runs = 0;
	th_ok(th_blocklist_each(list, store->disk, count_data, NULL, NULL));
	return dead_runs;
}

START_TEST(only_blocks_of_a_snapshot_go_on_the_dead_list)
{
	struct th_fixture fixture;
	struct th_store *store;

	th_fixture_init(&fixture, 16, &options);
	store = fixture.store;
	put_large(&fixture, '1');
	put_large(&fixture, '2'); /* no snapshot has the first value: it is freed */
	ck_assert_uint_eq(count_dead(store, &store->super.dead), 0);
	th_ok(th_snapshot_create(store, "s", NULL));
	put_large(&fixture, '3');
	ck_assert_uint_eq(count_dead(store, &store->super.dead), 1);
	put_large(&fixture, '4'); /* born after the snapshot: it is freed */
	ck_assert_uint_eq(count_dead(store, &store->super.dead), 1);
	th_ok(th_snapshot_create(store, "t", NULL)); /* takes over the list */
	ck_assert_uint_eq(count_dead(store, &store->super.dead), 0);
	ck_assert_uint_eq(count_dead(store, &store->catalogue.record[1]->dead), 1);
	th_verify_check(store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		only_blocks_of_a_snapshot_go_on_the_dead_list,
		strays_are_freed_with_their_head,
	};

	return th_tests_run("dead_list", tests, sizeof(tests) / sizeof(tests[0]));
}
