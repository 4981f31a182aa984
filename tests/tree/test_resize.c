/* SPDX-License-Identifier: Apache-2.0 */
/* Growing an open store: the new space is used, and a crash at any moment leaves a store of the old or of the new
 * size. */
#include <stdio.h>
#include <stdlib.h>

#include "journal/super.h"
#include "tests/tree/fixture.h"

#define MIB (UINT64_C(1) << 20)

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_store_options quiet = { .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report };

static uint64_t size_of(struct th_store *store)
{
	struct th_store_info info;

	th_store_info(store, &info);
	return info.blocks * info.block_size;
}

static void put(struct th_fixture *fixture, struct th_model *model, const char *name, int number, size_t size)
{
	char key[32];
	uint8_t *value = malloc(size);
	struct th_txn *txn;

	snprintf(key, sizeof(key), "%s %d", name, number);
	th_value_make(value, size, th_slice_of(key), (uint64_t)number);
	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, size }));
	th_ok(th_txn_commit(txn));
	th_model_put(model, th_slice_of(key), (struct th_slice){ value, size });
	free(value);
}

START_TEST(the_new_space_is_used_at_once)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	uint64_t bytes;

	th_fixture_init(&fixture, 16, &quiet);
	put(&fixture, model, "before", 0, 1000);
	th_ok(th_store_resize(fixture.store, 64 * MIB, &bytes));
	ck_assert_uint_eq(bytes, 64 * MIB);
	ck_assert_uint_eq(size_of(fixture.store), 64 * MIB);
	for (int i = 0; i < 30; i++)
		put(&fixture, model, "after", i, MIB);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	ck_assert_uint_eq(size_of(fixture.store), 64 * MIB);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_ok(th_store_resize(fixture.store, 100 * MIB, &bytes)); /* once more */
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	ck_assert_uint_eq(size_of(fixture.store), 100 * MIB);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(shrinking_is_refused_and_the_same_size_is_no_change)
{
	struct th_fixture fixture;
	uint64_t bytes;

	th_fixture_init(&fixture, 32, &quiet);
	th_expect(th_store_resize(fixture.store, 16 * MIB, &bytes), -EINVAL);
	th_expect(th_store_resize(fixture.store, 100, &bytes), -EINVAL);
	th_expect(th_store_resize(fixture.store, 32 * MIB, &bytes), 1);
	th_expect(th_store_resize(fixture.store, 0, &bytes), 1);
	ck_assert_uint_eq(bytes, 32 * MIB);
	th_expect(th_store_resize(fixture.store, 32 * MIB + 7 * TH_BLOCK_SIZE, &bytes), 1);
	ck_assert_uint_eq(bytes, 32 * MIB);
	ck_assert_uint_eq(size_of(fixture.store), 32 * MIB);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(without_a_size_it_takes_that_of_the_disk)
{
	struct th_fixture fixture;
	uint64_t bytes;

	th_fixture_init(&fixture, 16, &quiet);
	th_ok(th_disk_grow(fixture.disk, 40 * MIB / TH_BLOCK_SIZE));
	th_ok(th_store_resize(fixture.store, 0, &bytes));
	ck_assert_uint_eq(bytes, 40 * MIB);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_read_only_store_is_not_resized)
{
	struct th_fixture fixture;
	uint64_t bytes;

	th_fixture_init(&fixture, 16, &quiet);
	th_fixture_close(&fixture);
	fixture.options.read_only = true;
	th_fixture_open(&fixture);
	th_expect(th_store_resize(fixture.store, 32 * MIB, &bytes), -EROFS);
	th_fixture_release(&fixture);
}
END_TEST

/* Opens a crash image, and checks it against the keys that were durable. */
static void check_survivor(struct th_disk *image, const struct th_model *durable, bool *grown, bool *old)
{
	const struct th_model_entry *entry;
	struct th_fixture survivor;
	uint64_t size;

	th_fixture_adopt(&survivor, image, &quiet);
	th_fixture_open(&survivor);
	size = size_of(survivor.store);
	th_true(size == 16 * MIB || size == 24 * MIB);
	*grown |= size == 24 * MIB;
	*old |= size == 16 * MIB;
	for (size_t at = 0; (entry = th_model_next(durable, &at));) {
		struct th_value value;

		th_ok(th_get(th_view_live(survivor.store), entry->key, &value));
		th_true(value.size == entry->value.size && !memcmp(value.data, entry->value.data, value.size));
		th_value_release(&value);
	}
	th_verify_check(survivor.store, NULL);
	th_fixture_release(&survivor);
}

START_TEST(a_crash_at_any_moment_leaves_the_old_or_the_new_size)
{
	struct th_model *durable = th_model_new(), *later = th_model_new();
	bool grown = false, old = false;
	struct th_fixture fixture;
	struct th_disk *image;
	uint64_t bytes, events;

	th_fixture_init(&fixture, 16, &quiet);
	for (int i = 0; i < 20; i++)
		put(&fixture, durable, "before", i, 5000);
	th_ok(th_store_sync(fixture.store));
	th_ok(th_disk_fault_reset(fixture.disk));
	th_ok(th_store_resize(fixture.store, 24 * MIB, &bytes));
	for (int i = 0; i < 9; i++) /* needs the new space, and writes over the old end ring */
		put(&fixture, later, "after", i, MIB);
	th_ok(th_store_checkpoint(fixture.store));
	events = th_disk_fault_events(fixture.disk);
	for (uint64_t n = 0; n <= events; n++) {
		for (uint64_t seed = 0; seed < 3; seed++) {
			th_ok(th_disk_fault_crash_image(fixture.disk, n, seed, &image));
			check_survivor(image, durable, &grown, &old);
		}
	}
	ck_assert(grown && old);
	th_fixture_release(&fixture);
	th_model_unref(durable);
	th_model_unref(later);
}
END_TEST

/* The copies at the old and at the new end. */
START_TEST(the_end_ring_is_found_if_the_first_one_is_lost)
{
	static char zeros[TH_SUPER_SLOTS * TH_BLOCK_SIZE] __attribute__((aligned(TH_BLOCK_SIZE)));
	struct th_model *durable = th_model_new();
	bool grown = false, old = false;
	struct th_fixture fixture;
	struct th_disk *image;
	uint64_t bytes;

	th_fixture_init(&fixture, 16, &quiet);
	put(&fixture, durable, "before", 0, 5000);
	th_ok(th_store_checkpoint(fixture.store));
	th_ok(th_disk_grow(fixture.disk, 24 * MIB / TH_BLOCK_SIZE));
	th_ok(th_super_copy(fixture.disk, 24 * MIB / TH_BLOCK_SIZE));
	put(&fixture, durable, "before", 1, 5000);
	th_ok(th_store_checkpoint(fixture.store)); /* newer than the copies */
	th_ok(th_disk_fault_crash_image(fixture.disk, UINT64_MAX, 0, &image));
	th_ok(th_disk_write(image, 0, TH_SUPER_SLOTS, zeros));
	check_survivor(image, durable, &grown, &old);
	ck_assert(old && !grown);
	th_ok(th_store_resize(fixture.store, 24 * MIB, &bytes));
	th_ok(th_disk_fault_crash_image(fixture.disk, UINT64_MAX, 0, &image));
	th_ok(th_disk_write(image, 0, TH_SUPER_SLOTS, zeros));
	check_survivor(image, durable, &grown, &old);
	ck_assert(grown);
	th_fixture_release(&fixture);
	th_model_unref(durable);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { the_new_space_is_used_at_once,
				       shrinking_is_refused_and_the_same_size_is_no_change,
				       without_a_size_it_takes_that_of_the_disk,
				       a_read_only_store_is_not_resized,
				       a_crash_at_any_moment_leaves_the_old_or_the_new_size,
				       the_end_ring_is_found_if_the_first_one_is_lost };

	return th_tests_run("resize", tests, sizeof(tests) / sizeof(tests[0]));
}
