/* SPDX-License-Identifier: Apache-2.0 */
/* Usage: the kinds of blocks in use. */
#include <stdio.h>

#include "tests/tree/extents.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

static const struct th_check_options how = { .runs = th_extents_runs };

#define RUN 8 /* blocks of a file */

static void put_file(struct th_fixture *fixture, const char *key)
{
	struct th_random random = { .state = 1 };
	struct th_extents file = { .count = 1 };
	uint8_t value[sizeof(file)];
	struct th_txn *txn;
	uint64_t hint = 0;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_extent_write(txn, &random, RUN, false, &hint, &file.extents[0]));
	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, th_extents_pack(&file, value) }));
	th_ok(th_txn_commit(txn));
}

static void put_records(struct th_fixture *fixture, char stamp)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < 3000; i++) {
		char key[16], value[100];

		memset(value, stamp, sizeof(value));
		snprintf(key, sizeof(key), "key %u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

/* Reclaims everything that was deleted.  All blocks must be of one kind. */
static struct th_store_info info_of(struct th_fixture *fixture)
{
	struct th_store_info info;

	th_fixture_used(fixture);
	th_store_info(fixture->store, &info);
	ck_assert_uint_eq(info.blocks_data + info.blocks_metadata + info.blocks_snapshots + info.blocks_waiting +
				  info.blocks_free,
			  info.blocks);
	return info;
}

/* Nodes on dead lists count for snapshots; deleting the snapshots frees just these blocks. */
START_TEST(the_kinds_add_up)
{
	struct th_store_info with, without, again;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 32, &options);
	put_records(&fixture, 'a');
	put_file(&fixture, "file 1");
	put_file(&fixture, "file 2");
	put_file(&fixture, "file 3");
	without = info_of(&fixture);
	ck_assert_uint_eq(without.blocks_data, 3 * RUN);
	ck_assert_uint_eq(without.blocks_snapshots, 0);
	ck_assert_uint_gt(without.blocks_metadata, 3000 * 100 / 4096);

	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	th_extents_drop(&fixture, "file 1");
	put_records(&fixture, 'b');
	with = info_of(&fixture);
	ck_assert_uint_eq(with.blocks_data, 2 * RUN);
	ck_assert_uint_gt(with.blocks_snapshots, RUN + 3000 * 100 / 4096);
	th_fixture_reopen(&fixture);
	again = info_of(&fixture);
	ck_assert_uint_eq(again.blocks_data, with.blocks_data);
	ck_assert_uint_eq(again.blocks_snapshots, with.blocks_snapshots);

	th_ok(th_snapshot_delete(fixture.store, "s"));
	without = info_of(&fixture);
	ck_assert_uint_eq(without.blocks_data, 2 * RUN);
	ck_assert_uint_eq(without.blocks_snapshots, 0);
	ck_assert_uint_ge(without.blocks_free + without.blocks_waiting,
			  again.blocks_free + again.blocks_waiting + again.blocks_snapshots);
	th_verify_check(fixture.store, &how);
	th_fixture_release(&fixture);
}
END_TEST

/* The checker compares the counts with the nodes that it finds. */
START_TEST(the_counts_are_right_after_rollbacks)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 32, &options);
	for (unsigned i = 0; i < 4; i++) {
		put_records(&fixture, (char)('a' + i));
		th_ok(th_snapshot_create(fixture.store, i % 2 ? "odd" : "even", NULL));
		put_records(&fixture, (char)('k' + i));
		th_ok(th_store_checkpoint(fixture.store));
		th_ok(th_store_rollback(fixture.store, i % 2 ? "odd" : "even"));
		info_of(&fixture);
		th_verify_check(fixture.store, &how);
		if (i % 2)
			th_ok(th_snapshot_delete(fixture.store, "even"));
		if (i % 2)
			th_ok(th_snapshot_delete(fixture.store, "odd"));
	}
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { the_kinds_add_up, the_counts_are_right_after_rollbacks };

	return th_tests_run("usage", tests, sizeof(tests) / sizeof(tests[0]));
}
