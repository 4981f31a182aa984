/* SPDX-License-Identifier: Apache-2.0 */
/* Replay of the intent log: synced transactions are applied again after a crash. */
#include "tree/txn/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

/* Opens the fixture's disk as after a crash in which everything written has reached the disk. */
static void crash(struct th_fixture *fixture, struct th_fixture *crashed)
{
	struct th_disk *image;

	th_ok(th_disk_fault_crash_image(fixture->disk, th_disk_fault_events(fixture->disk), 1, &image));
	th_fixture_adopt(crashed, image, &options);
}

static uint64_t sequence(struct th_fixture *fixture)
{
	struct th_store_info info;

	th_store_info(fixture->store, &info);
	return info.sequence;
}

START_TEST(synced_transactions_are_replayed)
{
	static uint8_t large[2 * TH_INLINE_MAX];
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_txn *txn;
	char key[16];

	th_fixture_init(&fixture, 16, &options);
	for (unsigned i = 0; i < 50; i++) {
		struct th_range range = { th_slice_of("key 10"), th_slice_of("key 12") };

		th_ok(th_txn_begin(fixture.store, &txn));
		snprintf(key, sizeof(key), "key %02u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(key)));
		th_model_put(model, th_slice_of(key), th_slice_of(key));
		th_ok(th_txn_ref(txn, th_slice_of("key 00"), 1));
		th_model_ref(model, th_slice_of("key 00"), 1);
		if (i == 20) {
			th_ok(th_txn_delete_range(txn, range));
			th_model_delete_range(model, range);
		}
		if (i == 30) {
			th_ok(th_txn_delete(txn, th_slice_of("key 29")));
			th_model_delete(model, th_slice_of("key 29"));
			th_ok(th_txn_put(txn, th_slice_of("large"), (struct th_slice){ large, sizeof(large) }));
			th_model_put(model, th_slice_of("large"), (struct th_slice){ large, sizeof(large) });
		}
		th_ok(th_txn_commit(txn));
		if (i % 20 == 5)
			th_ok(th_store_sync(fixture.store));
	}
	th_ok(th_store_sync(fixture.store));
	th_fixture_put(&fixture, "not synced", "value");
	crash(&fixture, &crashed);
	th_fixture_open(&crashed);
	ck_assert_uint_eq(sequence(&crashed) + 1, sequence(&fixture));
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_ok(th_store_checkpoint(crashed.store));
	th_verify_check(crashed.store, &th_extents_check);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* Puts "file/1" with one block of data, and syncs.  Returns the block's address. */
static uint64_t sync_file(struct th_fixture *fixture, struct th_random *random)
{
	struct th_extents file = { .count = 1 };
	uint8_t value[sizeof(file)];
	uint64_t hint = 0;
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_extent_write(txn, random, 1, false, &hint, &file.extents[0]));
	th_ok(th_txn_put(txn, th_slice_of("file/1"), (struct th_slice){ value, th_extents_pack(&file, value) }));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_sync(fixture->store));
	return file.extents[0].run.addr;
}

static void invert_block(struct th_fixture *fixture, uint64_t addr)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_ptr_nonnull(block);
	th_ok(th_disk_read(fixture->disk, addr, 1, block));
	block[0] ^= 0xff;
	th_ok(th_disk_write(fixture->disk, addr, 1, block));
	free(block);
}

/* Only the last record can be without its data: each earlier one was flushed with it. */
START_TEST(last_record_without_its_data_is_ignored)
{
	struct th_random random = { .state = th_test_seed("last_record_without_its_data_is_ignored") };

	for (int lost = 0; lost < 2; lost++) {
		struct th_fixture fixture, crashed;
		struct th_value value;
		uint64_t addr;

		th_fixture_init(&fixture, 16, &options);
		th_fixture_put(&fixture, "before", "value");
		th_ok(th_store_sync(fixture.store));
		addr = sync_file(&fixture, &random);
		crash(&fixture, &crashed);
		if (lost)
			invert_block(&crashed, addr);
		th_fixture_open(&crashed);
		th_ok(th_get(th_view_live(crashed.store), th_slice_of("before"), &value));
		th_value_release(&value);
		th_expect(th_get(th_view_live(crashed.store), th_slice_of("file/1"), &value), lost ? -ENOENT : 0);
		if (!lost) {
			th_extents_read(crashed.store, (struct th_slice){ value.data, value.size });
			th_value_release(&value);
		}
		th_ok(th_store_checkpoint(crashed.store));
		th_verify_check(crashed.store, &th_extents_check);
		th_fixture_release(&crashed);
		th_fixture_release(&fixture);
	}
}
END_TEST

/* A read-only open replays in memory, so the log can be replayed again. */
START_TEST(log_can_be_replayed_twice)
{
	struct th_fixture fixture, crashed;
	struct th_value value;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_store_sync(fixture.store));
	crash(&fixture, &crashed);
	for (int i = 0; i < 3; i++) {
		crashed.options.read_only = i < 2;
		th_fixture_open(&crashed);
		th_ok(th_get(th_view_live(crashed.store), th_slice_of("key"), &value));
		th_value_release(&value);
		ck_assert_uint_eq(sequence(&crashed), sequence(&fixture));
		th_fixture_close(&crashed);
	}
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

/* --- damage in the middle of the log --- */

#define RECORDS 5

static void flip_bit(struct th_fixture *fixture, uint64_t addr, unsigned byte)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_ptr_nonnull(block);
	th_ok(th_disk_read(fixture->disk, addr, 1, block));
	block[byte] ^= 1;
	th_ok(th_disk_write(fixture->disk, addr, 1, block));
	free(block);
}

/* Makes a store whose log has RECORDS records of one block, each with a key, and damages one of them. */
static void damage_record(struct th_fixture *crashed, unsigned record, unsigned byte)
{
	struct th_fixture fixture;
	char key[16];

	th_fixture_init(&fixture, 16, &options);
	for (unsigned i = 0; i < RECORDS; i++) {
		snprintf(key, sizeof(key), "key %u", i);
		th_fixture_put(&fixture, key, "value");
		th_ok(th_store_sync(fixture.store));
	}
	crash(&fixture, crashed);
	flip_bit(crashed, fixture.store->super.log_first + record, byte);
	th_fixture_release(&fixture);
}

/* Verifies that the store has the records before the damaged one and no other. */
static void verify_before(struct th_fixture *fixture, unsigned record)
{
	struct th_value value;
	char key[16];

	for (unsigned i = 0; i < RECORDS; i++) {
		int err;

		snprintf(key, sizeof(key), "key %u", i);
		err = th_get(th_view_live(fixture->store), th_slice_of(key), &value);
		ck_assert_int_eq(err, i < record ? 0 : -ENOENT);
		if (!err)
			th_value_release(&value);
	}
}

static uint64_t problems(struct th_store *store)
{
	struct th_check_result result;

	th_ok(th_store_check(store, NULL, &result));
	return result.problems;
}

static void open_damaged(struct th_fixture *fixture, unsigned record)
{
	struct th_disk *lent = th_disk_lend(fixture->disk);
	uint64_t stranded = RECORDS - 1 - record;
	struct th_store_info info;

	if (stranded) {
		uint64_t events = th_disk_fault_events(fixture->disk);

		th_expect(th_store_open(lent, &options, &fixture->store), -ENOTRECOVERABLE);
		fixture->store = NULL;
		ck_assert_uint_eq(th_disk_fault_events(fixture->disk), events); /* nothing was written */
	}
	th_disk_close(lent);
	for (int i = 0; i < 3; i++) { /* read-only; for writing, once with the option and then without */
		fixture->options.read_only = i == 0;
		fixture->options.truncate_log = i == 1;
		th_fixture_open(fixture);
		verify_before(fixture, record);
		th_store_info(fixture->store, &info);
		ck_assert_uint_eq(info.log_stranded, i < 2 ? stranded : 0);
		ck_assert_uint_eq(problems(fixture->store), info.log_stranded > 0);
		if (i == 1)
			th_fixture_put(fixture, "later", "value");
		th_fixture_close(fixture);
	}
}

START_TEST(damaged_log_is_refused_and_can_be_given_up)
{
	static const unsigned bytes[] = { 0, 9, 20, 30, 33, 41, 60, 4095 };

	for (unsigned record = 0; record < RECORDS; record++) {
		for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
			struct th_fixture crashed;

			damage_record(&crashed, record, bytes[i]);
			open_damaged(&crashed, record);
			th_fixture_release(&crashed);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { synced_transactions_are_replayed, last_record_without_its_data_is_ignored,
				       log_can_be_replayed_twice, damaged_log_is_refused_and_can_be_given_up };

	return th_tests_run("replay", tests, sizeof(tests) / sizeof(tests[0]));
}
