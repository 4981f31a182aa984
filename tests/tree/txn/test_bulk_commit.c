/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk commits: transactions that were spilled become part of the tree, whole or not at all. */
#include "tests/tree/differences.h"
#include "tests/tree/large_txn.h"

/* Into an empty tree, then into one with records, with a snapshot in between. */
START_TEST(bulk_commit_equals_the_model)
{
	struct th_random random = { .state = th_test_seed("bulk_commit_equals_the_model") };
	struct th_model *model = th_model_new(), *before = NULL;
	struct th_snapshot first, second;
	struct th_view *from, *to;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 256, &th_large_options);
	for (int round = 0; round < 4; round++) {
		uint64_t bulk_commits = th_large_info(fixture.store).bulk_commits;
		struct th_txn *txn;

		if (round == 1)
			th_ok(th_snapshot_create(fixture.store, "first", &first));
		if (round == 1)
			before = th_model_copy(model);
		th_ok(th_txn_begin(fixture.store, &txn));
		th_large_write(txn, model, &random, round == 3 ? 300 : 6000);
		th_large_verify(txn, model);
		ck_assert_uint_gt(th_large_info(fixture.store).spills, 16);
		th_ok(th_txn_commit(txn));
		ck_assert_uint_eq(th_large_info(fixture.store).bulk_commits, bulk_commits + 1);
		ck_assert_uint_eq(th_large_info(fixture.store).dirty_bytes, 0);
		th_verify_scan(th_view_live(fixture.store), model, NULL);
		th_verify_check(fixture.store, NULL);
	}
	th_ok(th_snapshot_create(fixture.store, "second", &second));
	th_ok(th_view_snapshot(fixture.store, first.id, &from));
	th_ok(th_view_snapshot(fixture.store, second.id, &to));
	th_verify_scan(from, before, NULL);
	th_verify_diff(from, before, to, model, NULL);
	th_verify_diff(to, model, from, before, NULL);
	th_view_close(from);
	th_view_close(to);
	th_ok(th_snapshot_delete(fixture.store, "first"));
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
	th_model_unref(before);
}
END_TEST

START_TEST(bulk_commit_is_durable_without_a_sync)
{
	struct th_random random = { .state = 1 };
	struct th_model *model = th_model_new(), *none = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_disk *image;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, &th_large_options);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_large_write(txn, model, &random, 2000);
	for (int committed = 0; committed < 2; committed++) {
		th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
		th_fixture_adopt(&crashed, image, &th_large_options);
		th_fixture_open(&crashed);
		th_verify_scan(th_view_live(crashed.store), committed ? model : none, NULL);
		th_verify_check(crashed.store, NULL);
		th_fixture_release(&crashed);
		if (!committed)
			th_ok(th_txn_commit(txn));
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
	th_model_unref(none);
}
END_TEST

/* Puts records and commits.  Returns the error, after which the transaction was rolled back. */
static int fill(struct th_fixture *fixture, uint32_t first, unsigned count)
{
	struct th_txn *txn;
	int err = th_txn_begin(fixture->store, &txn);

	th_ok(err);
	for (uint32_t i = 0; i < count && !err; i++)
		err = th_large_put(txn, NULL, first + i, 1000, first);
	if (!err)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return err;
}

/* Verifies that no block is lost, beside those that checkpoints need, and that opening the store frees none (S1). */
static void verify_left(struct th_fixture *fixture, uint64_t before)
{
	uint64_t left = th_large_blocks_left(fixture->store);

	ck_assert_uint_ge(left + 8, before);
	th_fixture_reopen(fixture);
	ck_assert_uint_le(th_large_blocks_left(fixture->store), left);
}

/* Space ends while the transaction is spilled, or while the fork is written. */
START_TEST(bulk_commit_without_space_is_undone)
{
	unsigned failed[2] = { 0 };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &th_large_options);
	for (unsigned count = 500; count < 16000; count += 500) {
		uint64_t hash = th_view_hash(th_view_live(fixture.store)), before = th_large_blocks_left(fixture.store);
		uint64_t checkpoints = th_large_info(fixture.store).checkpoints;
		int err = fill(&fixture, 100000 * count, count);

		if (err) {
			th_expect(err, -ENOSPC);
			failed[th_large_info(fixture.store).checkpoints > checkpoints + 3]++;
			ck_assert(!th_large_info(fixture.store).read_only);
			ck_assert(th_view_hash(th_view_live(fixture.store)) == hash);
			verify_left(&fixture, before);
		}
		th_verify_check(fixture.store, NULL);
		if (err) {
			struct th_range all = { th_slice_of("record"), th_slice_of("recore") };
			struct th_txn *txn;

			th_ok(th_txn_begin(fixture.store, &txn));
			th_ok(th_txn_delete_range(txn, all));
			th_ok(th_txn_commit(txn));
		}
	}
	ck_assert_uint_gt(failed[0] + failed[1], 4);
	th_fixture_release(&fixture);
}
END_TEST

static uint64_t transfers_of(const struct th_disk *disk)
{
	return disk->reads + disk->writes + disk->flushes;
}

/* The transfer fails while the transaction is spilled, or while the fork is written. */
START_TEST(failed_transfer_undoes_the_bulk_commit)
{
	struct th_random random = { .state = th_test_seed("failed_transfer_undoes_the_bulk_commit") };
	uint64_t transfers = UINT64_MAX;
	unsigned undone = 0;

	for (uint64_t nth = 0; nth < transfers; nth += th_random_between(&random, 1, 40)) {
		struct th_fixture fixture;
		uint64_t hash, before, start;
		int err;

		th_fixture_init(&fixture, 32, &th_large_options);
		th_ok(fill(&fixture, 0, 1000));
		hash = th_view_hash(th_view_live(fixture.store));
		before = th_large_blocks_left(fixture.store);
		start = transfers_of(fixture.disk);
		th_disk_fault_arm(fixture.disk, TH_FAULT_ERROR, nth);
		err = fill(&fixture, 500, 800);
		th_disk_fault_arm(fixture.disk, TH_FAULT_NONE, 0);
		if (!err) /* no transfer failed that was needed */
			transfers = transfers_of(fixture.disk) - start;
		if (err && !th_large_info(fixture.store).read_only) {
			th_expect(err, -EIO);
			undone++;
			ck_assert(th_view_hash(th_view_live(fixture.store)) == hash);
			verify_left(&fixture, before);
			th_ok(fill(&fixture, 500, 800));
		}
		if (!th_large_info(fixture.store).read_only) {
			th_verify_check(fixture.store, NULL);
			th_fixture_close(&fixture);
		} else {
			th_store_close(fixture.store);
			fixture.store = NULL;
		}
		th_fixture_release(&fixture);
	}
	ck_assert_uint_gt(undone, 20);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { bulk_commit_equals_the_model, bulk_commit_is_durable_without_a_sync,
				       bulk_commit_without_space_is_undone, failed_transfer_undoes_the_bulk_commit };

	return th_tests_run("bulk_commit", tests, sizeof(tests) / sizeof(tests[0]));
}
