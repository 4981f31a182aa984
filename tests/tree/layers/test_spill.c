/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions that are larger than the memory they may have. */
#include "tests/tree/differences.h"
#include "tests/tree/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORDS 4000

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* So little memory that everything is spilled, and spills are merged. */
static const struct th_store_options tiny = {
	.cache_bytes = 256 << 10, .txn_bytes = 2000, .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report
};

static struct th_store_info info_of(struct th_store *store)
{
	struct th_store_info info;

	th_store_info(store, &info);
	return info;
}

static uint64_t blocks_left(struct th_store *store)
{
	for (int i = 0; i < 3; i++)
		th_ok(th_store_checkpoint(store));
	return info_of(store).blocks_free + info_of(store).blocks_waiting;
}

static struct th_slice record_key(uint32_t number, char *space)
{
	snprintf(space, 32, "record %08x", number * UINT32_C(0x9e3779b9));
	return th_slice_of(space);
}

static int put_record(struct th_txn *txn, struct th_model *model, uint32_t number, size_t size, uint64_t stamp)
{
	static uint8_t bytes[30000];
	char space[32];
	struct th_slice key = record_key(number, space), value = { bytes, size };
	int err;

	th_value_make(bytes, size, key, stamp);
	err = th_txn_put(txn, key, value);
	if (!err && model)
		th_model_put(model, key, value);
	return err;
}

/* Every kind of write, in an order that is not that of keys; some values are large, some of them overwritten. */
static void write_much(struct th_txn *txn, struct th_model *model, struct th_random *random, unsigned count)
{
	char from[32], to[32];

	while (count--) {
		uint32_t number = th_random_below(random, RECORDS), what = th_random_below(random, 1000);
		struct th_slice key = record_key(number, from);

		if (what < 900) {
			th_ok(put_record(txn, model, number, what < 20 ? TH_INLINE_MAX + 1 + 10 * what : what / 4,
					 th_random_next(random)));
		} else if (what < 950) {
			th_ok(th_txn_delete(txn, key));
			th_model_delete(model, key);
		} else if (what < 998) {
			th_ok(th_txn_ref(txn, key, 3));
			th_model_ref(model, key, 3);
		} else {
			struct th_range range = { key, record_key(th_random_below(random, RECORDS), to) };

			if (th_model_compare(range.from, range.to) > 0)
				range = (struct th_range){ range.to, range.from };
			th_ok(th_txn_delete_range(txn, range));
			th_model_delete_range(model, range);
		}
	}
}

static void verify_txn(struct th_txn *txn, const struct th_model *model)
{
	struct th_cursor *cursor;
	char space[32];

	for (uint32_t i = 0; i < RECORDS; i += 7)
		th_verify_txn_get(txn, model, record_key(i, space));
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	th_verify_cursor(cursor, model, NULL);
	th_cursor_close(cursor);
}

/* Into an empty tree, then over what is there, with a snapshot in between. */
START_TEST(spill_commit)
{
	struct th_random random = { .state = th_test_seed("spill_commit") };
	struct th_model *model = th_model_new(), *before = NULL;
	struct th_snapshot first, second;
	struct th_view *from, *to;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 256, &tiny);
	for (int round = 0; round < 4; round++) {
		uint64_t bulk_commits = info_of(fixture.store).bulk_commits;
		struct th_txn *txn;

		if (round == 1)
			th_ok(th_snapshot_create(fixture.store, "first", &first));
		if (round == 1)
			before = th_model_copy(model);
		th_ok(th_txn_begin(fixture.store, &txn));
		write_much(txn, model, &random, round == 3 ? 300 : 6000);
		verify_txn(txn, model);
		ck_assert_uint_gt(info_of(fixture.store).spills, 16);
		th_ok(th_txn_commit(txn));
		ck_assert_uint_eq(info_of(fixture.store).bulk_commits, bulk_commits + 1);
		ck_assert_uint_eq(info_of(fixture.store).dirty_bytes, 0);
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

/* All space is back, at once after a rollback, and after the commits that it takes after the transaction's. */
START_TEST(spill_space)
{
	struct th_random random = { .state = th_test_seed("spill_space") };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;
	uint64_t before, left;

	th_fixture_init(&fixture, 64, &tiny);
	before = blocks_left(fixture.store);
	th_ok(th_txn_begin(fixture.store, &txn));
	write_much(txn, model, &random, 6000);
	ck_assert_uint_lt(info_of(fixture.store).blocks_free, before - 100);
	th_txn_rollback(txn);
	ck_assert_uint_eq(info_of(fixture.store).blocks_free, before);
	th_verify_check(fixture.store, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	write_much(txn, model, &random, 6000);
	th_ok(th_txn_commit(txn));
	th_fixture_put(&fixture, "one", "more");
	left = blocks_left(fixture.store);
	th_fixture_reopen(&fixture);
	ck_assert_uint_eq(blocks_left(fixture.store), left);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* Nothing of it is durable before it is committed, and all of it afterwards, without a sync. */
START_TEST(spill_durable)
{
	struct th_random random = { .state = 1 };
	struct th_model *model = th_model_new(), *none = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_disk *image;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, &tiny);
	th_ok(th_txn_begin(fixture.store, &txn));
	write_much(txn, model, &random, 2000);
	for (int committed = 0; committed < 2; committed++) {
		th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
		th_fixture_adopt(&crashed, image, &tiny);
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

/* Writes until there is no room; 0 if the transaction went through. */
static int fill(struct th_fixture *fixture, uint32_t first, unsigned count)
{
	struct th_txn *txn;
	int err = th_txn_begin(fixture->store, &txn);

	th_ok(err);
	for (uint32_t i = 0; i < count && !err; i++)
		err = put_record(txn, NULL, first + i, 1000, first);
	if (!err)
		return th_txn_commit(txn);
	th_txn_rollback(txn);
	return err;
}

/* As much is left as was, but for what commits need for themselves, and as after a crash (S1). */
static void verify_left(struct th_fixture *fixture, uint64_t before)
{
	uint64_t left = blocks_left(fixture->store);

	ck_assert_uint_ge(left + 8, before);
	th_fixture_reopen(fixture);
	ck_assert_uint_le(blocks_left(fixture->store), left);
}

/* Without room it is rolled back, while it is spilled or when it is grafted, and the store goes on. */
START_TEST(spill_no_space)
{
	unsigned failed[2] = { 0 };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &tiny);
	for (unsigned count = 500; count < 16000; count += 500) {
		uint64_t hash = th_view_hash(th_view_live(fixture.store)), before = blocks_left(fixture.store);
		uint64_t commits = info_of(fixture.store).checkpoints;
		int err = fill(&fixture, 100000 * count, count);

		if (err) {
			th_expect(err, -ENOSPC);
			failed[info_of(fixture.store).checkpoints > commits + 3]++;
			ck_assert(!info_of(fixture.store).read_only);
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

/* A transfer fails while it is spilled, or while the fork is built: the transaction is undone, and the store goes on.
 */
START_TEST(spill_disk_errors)
{
	struct th_random random = { .state = th_test_seed("spill_disk_errors") };
	uint64_t transfers = UINT64_MAX;
	unsigned undone = 0;

	for (uint64_t nth = 0; nth < transfers; nth += th_random_between(&random, 1, 40)) {
		struct th_fixture fixture;
		uint64_t hash, before, start;
		int err;

		th_fixture_init(&fixture, 32, &tiny);
		th_ok(fill(&fixture, 0, 1000));
		hash = th_view_hash(th_view_live(fixture.store));
		before = blocks_left(fixture.store);
		start = transfers_of(fixture.disk);
		th_disk_fault_arm(fixture.disk, TH_FAULT_ERROR, nth);
		err = fill(&fixture, 500, 800);
		th_disk_fault_arm(fixture.disk, TH_FAULT_NONE, 0);
		if (!err) /* or what failed was not needed */
			transfers = transfers_of(fixture.disk) - start;
		if (err && !info_of(fixture.store).read_only) {
			th_expect(err, -EIO);
			undone++;
			ck_assert(th_view_hash(th_view_live(fixture.store)) == hash);
			verify_left(&fixture, before);
			th_ok(fill(&fixture, 500, 800));
		}
		if (!info_of(fixture.store).read_only) {
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
	const TTest *const tests[] = { spill_commit, spill_space, spill_durable, spill_no_space, spill_disk_errors };

	return th_tests_run("spill", tests, sizeof(tests) / sizeof(tests[0]));
}
