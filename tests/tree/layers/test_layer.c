/* SPDX-License-Identifier: Apache-2.0 */
/* Layers, by way of savepoints: the writes that a restore undoes.  Random savepoints are in test_model.c. */
#include "tests/support/suite.h"
#include "tests/tree/extents.h"
#include "tree/chunk.h"

#include <stdio.h>

static void put(struct th_txn *txn, const char *key, const char *value)
{
	th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(value)));
}

static unsigned save(struct th_txn *txn)
{
	unsigned savepoint;

	th_ok(th_txn_save(txn, &savepoint));
	return savepoint;
}

/* Verifies a key.  value NULL: the key does not exist. */
static void expect(struct th_txn *txn, const char *key, const char *value)
{
	struct th_model *model = th_model_new();

	if (value)
		th_model_put(model, th_slice_of(key), th_slice_of(value));
	th_verify_txn_get(txn, model, th_slice_of(key));
	th_model_unref(model);
}

static struct th_txn *begin(struct th_fixture *fixture, size_t txn_bytes)
{
	struct th_store_options options = { .txn_bytes = txn_bytes, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_txn *txn;

	th_fixture_init(fixture, 16, &options);
	th_fixture_put(fixture, "old", "1");
	th_ok(th_txn_begin(fixture->store, &txn));
	return txn;
}

/* txn_bytes: all in memory (0: the default), and every write spilled. */
static const size_t budgets[] = { 0, 1 };

START_TEST(restore_undoes_writes_since_the_savepoint)
{
	struct th_fixture fixture;
	struct th_txn *txn = begin(&fixture, budgets[_i]);
	unsigned outer, inner;

	put(txn, "a", "1");
	outer = save(txn);
	put(txn, "a", "2");
	put(txn, "b", "2");
	th_ok(th_txn_delete(txn, th_slice_of("old")));
	inner = save(txn);
	th_ok(th_txn_delete_range(txn, (struct th_range){ th_slice_of("a"), th_slice_of("z") }));
	put(txn, "c", "3");
	expect(txn, "a", NULL);
	expect(txn, "b", NULL);
	th_ok(th_txn_restore(txn, inner));
	expect(txn, "a", "2");
	expect(txn, "b", "2");
	expect(txn, "c", NULL);
	expect(txn, "old", NULL);
	put(txn, "c", "4");
	th_ok(th_txn_restore(txn, inner)); /* it still exists */
	expect(txn, "c", NULL);
	put(txn, "d", "5");
	th_ok(th_txn_restore(txn, outer));
	expect(txn, "a", "1");
	expect(txn, "b", NULL);
	expect(txn, "d", NULL);
	expect(txn, "old", "1");
	th_expect(th_txn_restore(txn, inner), -EINVAL);
	put(txn, "e", "6");
	th_ok(th_txn_commit(txn));
	th_ok(th_txn_begin(fixture.store, &txn));
	expect(txn, "a", "1");
	expect(txn, "e", "6");
	expect(txn, "old", "1");
	th_txn_rollback(txn);
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(release_keeps_writes_and_forgets_the_savepoint)
{
	struct th_fixture fixture;
	struct th_txn *txn = begin(&fixture, budgets[_i]);
	unsigned first, second;

	first = save(txn);
	put(txn, "a", "1");
	second = save(txn);
	th_ok(th_txn_ref(txn, th_slice_of("a"), 2));
	put(txn, "a", "2");
	th_ok(th_txn_release(txn, second));
	th_expect(th_txn_release(txn, second), -EINVAL);
	ck_assert_uint_eq(save(txn), second); /* numbers are reused */
	put(txn, "b", "3");
	th_ok(th_txn_release(txn, second));
	th_ok(th_txn_ref(txn, th_slice_of("a"), -2));
	expect(txn, "a", "2");
	th_ok(th_txn_restore(txn, first));
	expect(txn, "a", NULL);
	expect(txn, "b", NULL);
	put(txn, "c", "4");
	th_ok(th_txn_release(txn, first));
	th_expect(th_txn_restore(txn, first), -EINVAL);
	expect(txn, "c", "4");
	th_ok(th_txn_commit(txn));
	th_fixture_release(&fixture);
}
END_TEST

/* A transaction may set any number of savepoints if it releases them. */
START_TEST(at_most_64_savepoints_exist_at_a_time)
{
	struct th_fixture fixture;
	struct th_txn *txn = begin(&fixture, budgets[_i]);
	unsigned savepoint = 0;
	char key[16];

	th_expect(th_txn_restore(txn, 0), -EINVAL);
	th_expect(th_txn_release(txn, 0), -EINVAL);
	for (unsigned i = 0; i < 64; i++) {
		ck_assert_uint_eq(save(txn), i);
		snprintf(key, sizeof(key), "deep %u", i);
		put(txn, key, key);
	}
	th_expect(th_txn_save(txn, &savepoint), -EOVERFLOW);
	for (unsigned i = 0; i < 64; i++) {
		snprintf(key, sizeof(key), "deep %u", i);
		expect(txn, key, key);
	}
	th_ok(th_txn_restore(txn, 10));
	expect(txn, "deep 9", "deep 9");
	expect(txn, "deep 10", NULL);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "row %u", i % 100);
		savepoint = save(txn);
		put(txn, key, key);
		th_ok(i % 3 ? th_txn_release(txn, savepoint) : th_txn_restore(txn, savepoint));
		if (i % 3 == 0)
			th_ok(th_txn_release(txn, savepoint));
	}
	expect(txn, "row 99", "row 99");
	th_ok(th_txn_commit(txn));
	th_fixture_release(&fixture);
}
END_TEST

/* References to runs are undone, too, and no block is lost. */
START_TEST(restore_frees_runs_and_large_values)
{
	static uint8_t large[30000];
	struct th_fixture fixture;
	struct th_txn *txn = begin(&fixture, budgets[_i]);
	struct th_random random = { .state = 1 };
	struct th_extents file = { .count = 1 };
	uint8_t value[sizeof(file)];
	struct th_store_info info;
	struct th_run shared;
	uint64_t hint = 0, free;
	unsigned savepoint;

	th_ok(th_extent_write(txn, &random, 6, false, &hint, &file.extents[0]));
	th_ok(th_txn_put(txn, th_slice_of("file/1"), (struct th_slice){ value, th_extents_pack(&file, value) }));
	th_ok(th_txn_put(txn, th_slice_of("large"), (struct th_slice){ large, sizeof(large) }));
	savepoint = save(txn);
	th_store_info(fixture.store, &info);
	free = info.blocks_free;
	for (int i = 0; i < 2; i++) {
		th_ok(th_chunk_drop(txn, &file.extents[0].run));
		th_ok(th_chunk_share(txn, &file.extents[0].run, &shared));
		th_ok(th_extent_write(txn, &random, 6, false, &hint, &(struct th_extent){ 0 }));
		th_ok(th_txn_put(txn, th_slice_of("large"), (struct th_slice){ large, sizeof(large) - 1 }));
		th_ok(th_txn_put(txn, th_slice_of("more"), (struct th_slice){ large, sizeof(large) }));
		th_ok(th_txn_delete(txn, th_slice_of("file/1")));
		th_ok(th_txn_restore(txn, savepoint));
	}
	th_store_info(fixture.store, &info);
	ck_assert_uint_ge(info.blocks_free + 1,
			  free); /* one block is of messages that were spilled before the savepoint */
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_extents_read(fixture.store, (struct th_slice){ value, th_extents_pack(&file, value) });
	th_fixture_reopen(&fixture);
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layer");
	const TTest *const tests[] = { restore_undoes_writes_since_the_savepoint,
				       release_keeps_writes_and_forgets_the_savepoint,
				       at_most_64_savepoints_exist_at_a_time, restore_frees_runs_and_large_values };

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		TCase *tcase = tcase_create(tests[i]->name);

		tcase_set_timeout(tcase, 0); /* the build system has a timeout */
		tcase_add_loop_test(tcase, tests[i], 0, 2);
		suite_add_tcase(suite, tcase);
	}
	return th_suite_run(suite);
}
