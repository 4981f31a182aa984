/* SPDX-License-Identifier: Apache-2.0 */
/* Freed space is discarded: in the background, when the store is closed, and by th_store_trim(). */
#include <stdio.h>

#include "tests/tree/extents.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/io/trim.h"

#define FILES 40

static unsigned reports;

static void count_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	reports++;
}

static const struct th_store_options by_hand = {
	.checkpoint_interval_ms = 3600 * 1000,
	.runs = th_extents_runs,
	.report = count_report,
};

static void open_store(struct th_fixture *fixture, enum th_discard discard)
{
	struct th_store_options options = by_hand;

	options.discard = discard;
	reports = 0;
	th_fixture_init(fixture, 64, &options);
}

/* Writes files of 256 KiB. */
static void write_files(struct th_fixture *fixture)
{
	struct th_random random = { 1 };
	uint8_t value[sizeof(struct th_extents)];
	uint64_t hint = 0;

	for (int i = 0; i < FILES; i++) {
		struct th_extents file = { .count = 1 };
		struct th_txn *txn;
		char key[20];

		snprintf(key, sizeof(key), "file %d", i);
		th_ok(th_txn_begin(fixture->store, &txn));
		th_ok(th_extent_write(txn, &random, 64, false, &hint, &file.extents[0]));
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, th_extents_pack(&file, value) }));
		th_ok(th_txn_commit(txn));
	}
}

static void delete_files(struct th_fixture *fixture)
{
	char key[20];

	for (int i = 0; i < FILES; i++) {
		snprintf(key, sizeof(key), "file %d", i);
		th_extents_drop(fixture, key);
	}
}

static uint64_t discarded(const struct th_fixture *fixture)
{
	return fixture->disk->bytes_discarded;
}

/* Makes what was freed free (S3), and discards it. */
static void trim_background(struct th_fixture *fixture)
{
	for (int i = 0; i < 3; i++)
		th_ok(th_checkpoint(fixture->store, NULL, NULL, TH_CHECKPOINT_FORCE));
	for (int i = 0; i < 3; i++) {
		while (th_trim_freed(fixture->store))
			;
	}
}

START_TEST(freed_space_is_discarded_in_the_background)
{
	struct th_fixture fixture;

	open_store(&fixture, TH_DISCARD_DEFAULT);
	write_files(&fixture);
	trim_background(&fixture);
	ck_assert_uint_lt(discarded(&fixture), 1 << 20);
	delete_files(&fixture);
	trim_background(&fixture);
	ck_assert_uint_ge(discarded(&fixture), (FILES - 2) * (256 << 10));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
	ck_assert_uint_eq(reports, 0);
}
END_TEST

START_TEST(closing_discards_the_rest)
{
	struct th_fixture fixture;

	open_store(&fixture, TH_DISCARD_ON);
	write_files(&fixture);
	delete_files(&fixture);
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_eq(discarded(&fixture), 0);
	th_fixture_close(&fixture);
	th_fixture_open(&fixture); /* the newest checkpoint's wait for one more */
	th_fixture_close(&fixture);
	ck_assert_uint_ge(discarded(&fixture), (FILES - 2) * (256 << 10));
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(nodiscard_keeps_the_space)
{
	struct th_fixture fixture;
	uint64_t bytes;

	open_store(&fixture, TH_DISCARD_OFF);
	write_files(&fixture);
	delete_files(&fixture);
	trim_background(&fixture);
	ck_assert_uint_eq(discarded(&fixture), 0);
	th_ok(th_store_trim(fixture.store, 0, UINT64_MAX, 0, &bytes));
	ck_assert_uint_eq(discarded(&fixture), bytes);
	ck_assert_uint_ge(bytes, 50 << 20);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_disk_that_is_not_sparse_is_not_discarded_by_default)
{
	struct th_fixture fixture;

	open_store(&fixture, TH_DISCARD_OFF);
	th_fixture_close(&fixture);
	fixture.options.discard = TH_DISCARD_DEFAULT;
	fixture.disk->sparse = false;
	th_fixture_open(&fixture);
	write_files(&fixture);
	delete_files(&fixture);
	trim_background(&fixture);
	th_fixture_close(&fixture);
	ck_assert_uint_eq(discarded(&fixture), 0);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_disk_that_cannot_discard_is_no_error)
{
	struct th_fixture fixture;
	uint64_t bytes = 1;

	open_store(&fixture, TH_DISCARD_ON);
	fixture.disk->no_discard = true;
	write_files(&fixture);
	delete_files(&fixture);
	trim_background(&fixture);
	th_expect(th_store_trim(fixture.store, 0, UINT64_MAX, 0, &bytes), -EOPNOTSUPP);
	ck_assert_uint_eq(bytes, 0);
	th_fixture_release(&fixture);
	ck_assert_uint_eq(reports, 0);
}
END_TEST

START_TEST(trim_is_bounded_to_its_part)
{
	struct th_fixture fixture;
	uint64_t bytes;

	open_store(&fixture, TH_DISCARD_OFF);
	th_ok(th_store_trim(fixture.store, (40 << 20) + 1, 2 << 20, 0, &bytes));
	ck_assert_uint_eq(bytes, (2 << 20) - TH_BLOCK_SIZE); /* whole blocks within it */
	th_ok(th_store_trim(fixture.store, 40 << 20, 2 << 20, 4 << 20, &bytes));
	ck_assert_uint_eq(bytes, 0);
	th_ok(th_store_trim(fixture.store, UINT64_C(1) << 40, UINT64_MAX, 0, &bytes));
	ck_assert_uint_eq(bytes, 0);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_read_only_store_is_not_trimmed)
{
	struct th_fixture fixture;
	uint64_t bytes;

	open_store(&fixture, TH_DISCARD_ON);
	th_fixture_close(&fixture);
	fixture.options.read_only = true;
	th_fixture_open(&fixture);
	th_expect(th_store_trim(fixture.store, 0, UINT64_MAX, 0, &bytes), -EROFS);
	th_fixture_release(&fixture);
}
END_TEST

/* Data that is there survives the discard of everything else, with the checkpointer at work beside writers. */
START_TEST(data_survives_trims_beside_writers)
{
	struct th_store_options options = by_hand;
	struct th_fixture fixture;
	struct th_model *model = th_model_new();
	char key[20], value[3000];
	uint64_t bytes;

	options.checkpoint_interval_ms = 1;
	th_fixture_init(&fixture, 16, &options);
	for (int i = 0; i < 2000; i++) {
		size_t size = 1 + (size_t)i * 37 % sizeof(value);

		snprintf(key, sizeof(key), "key %d", i % 500);
		memset(value, i, size);
		th_model_put(model, th_slice_of(key), (struct th_slice){ value, size });
		value[size - 1] = value[0];
		struct th_txn *txn;

		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, size }));
		th_ok(th_txn_commit(txn));
		if (i % 100 == 0)
			th_ok(th_store_trim(fixture.store, 0, UINT64_MAX, 0, &bytes));
	}
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { freed_space_is_discarded_in_the_background,
				       closing_discards_the_rest,
				       nodiscard_keeps_the_space,
				       a_disk_that_is_not_sparse_is_not_discarded_by_default,
				       a_disk_that_cannot_discard_is_no_error,
				       trim_is_bounded_to_its_part,
				       a_read_only_store_is_not_trimmed,
				       data_survives_trims_beside_writers };

	return th_tests_run("trim", tests, sizeof(tests) / sizeof(tests[0]));
}
