/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: isolation, effects and limits. */
#include "tests/tree/walk.h"

#include <stdio.h>
#include <stdlib.h>

static struct th_txn *begin(struct th_fixture *fixture)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	return txn;
}

static void put(struct th_txn *txn, struct th_model *model, const char *key, const char *value)
{
	th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(value)));
	if (model)
		th_model_put(model, th_slice_of(key), th_slice_of(value));
}

static void check_get(struct th_txn *txn, struct th_view *view, const char *key, const char *value, int32_t refs)
{
	struct th_value found;
	int err = txn ? th_txn_get(txn, th_slice_of(key), &found) : th_get(view, th_slice_of(key), &found);

	th_expect(err, value ? 0 : -ENOENT);
	if (!value)
		return;
	ck_assert(th_model_same((struct th_slice){ found.data, found.size }, th_slice_of(value)));
	ck_assert_int_eq(found.refs, refs);
	th_value_release(&found);
}

START_TEST(writes_are_private_until_commit)
{
	struct th_fixture fixture;
	struct th_view *live;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	live = th_view_live(fixture.store);
	th_fixture_put(&fixture, "a", "1");
	txn = begin(&fixture);
	put(txn, NULL, "a", "2");
	put(txn, NULL, "b", "3");
	check_get(txn, NULL, "a", "2", 0);
	check_get(txn, NULL, "b", "3", 0);
	check_get(NULL, live, "a", "1", 0);
	check_get(NULL, live, "b", NULL, 0);
	th_ok(th_txn_commit(txn));
	check_get(NULL, live, "a", "2", 0);
	check_get(NULL, live, "b", "3", 0);
	txn = begin(&fixture);
	th_ok(th_txn_delete(txn, th_slice_of("a")));
	put(txn, NULL, "c", "4");
	check_get(txn, NULL, "a", NULL, 0);
	th_txn_rollback(txn);
	th_txn_rollback(NULL);
	check_get(NULL, live, "a", "2", 0);
	check_get(NULL, live, "c", NULL, 0);
	th_fixture_release(&fixture);
}
END_TEST

/* Two transactions at the same time, on different keys. */
START_TEST(transaction_reads_commits_of_others)
{
	struct th_fixture fixture;
	struct th_txn *one, *two;

	th_fixture_init(&fixture, 16, NULL);
	one = begin(&fixture);
	two = begin(&fixture);
	put(one, NULL, "one", "1");
	put(two, NULL, "two", "2");
	check_get(two, NULL, "one", NULL, 0);
	th_ok(th_txn_commit(one));
	check_get(two, NULL, "one", "1", 0);
	check_get(two, NULL, "two", "2", 0);
	th_ok(th_txn_commit(two));
	check_get(NULL, th_view_live(fixture.store), "one", "1", 0);
	check_get(NULL, th_view_live(fixture.store), "two", "2", 0);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(counts_follow_puts_and_deletes)
{
	struct th_fixture fixture;
	struct th_view *live;
	struct th_txn *txn;
	struct th_slice key = th_slice_of("key");

	th_fixture_init(&fixture, 16, NULL);
	live = th_view_live(fixture.store);
	txn = begin(&fixture);
	th_ok(th_txn_ref(txn, key, 2)); /* kept, but not visible until the key exists */
	check_get(txn, NULL, "key", NULL, 0);
	th_ok(th_txn_commit(txn));
	check_get(NULL, live, "key", NULL, 0);
	th_fixture_reopen(&fixture);
	live = th_view_live(fixture.store);
	txn = begin(&fixture);
	put(txn, NULL, "key", "value");
	check_get(txn, NULL, "key", "value", 2);
	th_ok(th_txn_ref(txn, key, 5));
	check_get(txn, NULL, "key", "value", 7);
	put(txn, NULL, "key", "other");
	check_get(txn, NULL, "key", "other", 7);
	th_ok(th_txn_commit(txn));
	check_get(NULL, live, "key", "other", 7);
	txn = begin(&fixture);
	th_ok(th_txn_ref(txn, key, -9));
	check_get(txn, NULL, "key", "other", -2);
	th_ok(th_txn_commit(txn));
	check_get(NULL, live, "key", "other", -2);
	txn = begin(&fixture);
	th_ok(th_txn_delete(txn, key)); /* drops the count */
	put(txn, NULL, "key", "new");
	check_get(txn, NULL, "key", "new", 0);
	th_ok(th_txn_ref(txn, key, 1));
	th_ok(th_txn_delete_range(txn, (struct th_range){ key, th_slice_of("kez") }));
	th_ok(th_txn_ref(txn, key, 4));
	put(txn, NULL, "key", "newer");
	check_get(txn, NULL, "key", "newer", 4);
	th_ok(th_txn_commit(txn));
	check_get(NULL, live, "key", "newer", 4);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(deleted_range_equals_the_model)
{
	struct th_model *model = th_model_new();
	struct th_range range = { th_slice_of("key 0100"), th_slice_of("key 0900") };
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_txn *txn;
	char key[16];

	th_fixture_init(&fixture, 16, NULL);
	txn = begin(&fixture);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key %04d", i);
		put(txn, model, key, key);
	}
	th_ok(th_txn_commit(txn));
	txn = begin(&fixture);
	put(txn, model, "key 0200", "put before");
	th_ok(th_txn_delete_range(txn, range));
	th_model_delete_range(model, range);
	put(txn, model, "key 0300", "put after");
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	th_verify_cursor(cursor, model, NULL);
	th_cursor_close(cursor);
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	txn = begin(&fixture);
	range.from = th_slice_of("");
	th_ok(th_txn_delete_range(txn, range));
	th_model_delete_range(model, range);
	range = (struct th_range){ .from = th_slice_of("key 0950") }; /* and all keys after */
	th_ok(th_txn_delete_range(txn, range));
	th_model_delete_range(model, range);
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(limits_of_keys_and_values_are_checked)
{
	static uint8_t bytes[TH_KEY_MAX + 2];
	struct th_slice longest = { bytes, TH_KEY_MAX }, too_long = { bytes, TH_KEY_MAX + 2 }, nothing = { bytes, 0 };
	struct th_slice huge = { bytes, (size_t)TH_VALUE_MAX + 1 };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_value value;
	struct th_loan loan;
	struct th_txn *txn;

	memset(bytes, 0xff, sizeof(bytes));
	th_fixture_init(&fixture, 16, NULL);
	txn = begin(&fixture);
	th_expect(th_txn_put(txn, too_long, nothing), -EINVAL);
	th_expect(th_txn_put(txn, longest, huge), -EINVAL);
	th_expect(th_txn_delete(txn, too_long), -EINVAL);
	th_expect(th_txn_ref(txn, too_long, 1), -EINVAL);
	th_expect(th_txn_get(txn, too_long, &value), -EINVAL);
	th_expect(th_txn_alloc(txn, too_long.size, 1, &loan), -EINVAL);
	th_expect(th_txn_alloc(txn, 1, TH_INLINE_MAX + 1, &loan), -EINVAL);
	th_expect(th_txn_delete_range(txn, (struct th_range){ nothing, too_long }), -EINVAL);
	th_expect(th_txn_delete_range(txn, (struct th_range){ too_long, longest }), -EINVAL);
	th_expect(th_txn_cursor(txn, &(struct th_range){ nothing, too_long }, &cursor), -EINVAL);
	th_expect(th_cursor_open(th_view_live(fixture.store), &(struct th_range){ too_long, { 0 } }, &cursor), -EINVAL);
	th_expect(th_get(th_view_live(fixture.store), too_long, &value), -EINVAL);
	th_ok(th_txn_put(txn, longest, nothing));
	th_ok(th_txn_put(txn, nothing, longest)); /* the empty key */
	th_model_put(model, longest, nothing);
	th_model_put(model, nothing, longest);
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_get(th_view_live(fixture.store), model, longest);
	th_verify_get(th_view_live(fixture.store), model, nothing);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(loans_are_put_without_a_copy)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_loan loan;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	txn = begin(&fixture);
	for (uint32_t size = 0; size <= TH_INLINE_MAX; size += 1 + size / 3) {
		struct th_slice key = { &size, sizeof(size) };
		uint8_t *value = malloc(size + 1);

		th_value_make(value, size, key, 1);
		th_model_put(model, key, (struct th_slice){ value, size });
		free(value);
		th_ok(th_txn_alloc(txn, sizeof(size), size, &loan));
		memcpy(loan.key, &size, sizeof(size));
		th_value_make(loan.value, size, key, 1);
		th_ok(th_txn_put_loan(txn, &loan));
		th_verify_txn_get(txn, model, key);
	}
	th_ok(th_txn_alloc(txn, 10, 10, &loan)); /* never put */
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	txn = begin(&fixture);
	th_ok(th_txn_alloc(txn, 10, TH_INLINE_MAX, &loan));
	th_txn_rollback(txn);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

static struct th_slice big_value(uint8_t *space, size_t size, struct th_slice key, uint64_t stamp)
{
	th_value_make(space, size, key, stamp);
	return (struct th_slice){ space, size };
}

START_TEST(large_values_are_stored_off_tree)
{
	static const uint32_t sizes[] = {
		TH_INLINE_MAX - 1, TH_INLINE_MAX, TH_INLINE_MAX + 1, 4095,        4096, 4097, 65535, 65536,
		1 << 20,           (1 << 20) + 1, TH_VALUE_MAX - 1,  TH_VALUE_MAX
	};
	struct th_model *model = th_model_new();
	uint8_t *space = malloc(TH_VALUE_MAX);
	struct th_fixture fixture;
	struct th_value held;
	struct th_txn *txn;

	th_fixture_init(&fixture, 256, NULL);
	for (uint64_t round = 0; round < 2; round++) { /* the second round replaces the values */
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct th_slice key = { &sizes[i], sizeof(sizes[i]) };
			struct th_slice value = big_value(space, sizes[i], key, round);

			txn = begin(&fixture);
			th_ok(th_txn_put(txn, key, value));
			th_model_put(model, key, value);
			th_verify_txn_get(txn, model, key);
			th_ok(th_txn_commit(txn));
			th_verify_get(th_view_live(fixture.store), model, key);
		}
		th_verify_scan(th_view_live(fixture.store), model, NULL);
		th_fixture_reopen(&fixture);
		th_verify_scan(th_view_live(fixture.store), model, NULL);
		th_verify_check(fixture.store, NULL);
	}
	/* A value that was read stays valid after its key is deleted. */
	th_ok(th_get(th_view_live(fixture.store), (struct th_slice){ &sizes[9], sizeof(sizes[9]) }, &held));
	txn = begin(&fixture);
	th_ok(th_txn_delete_range(txn, (struct th_range){ th_slice_of(""), th_slice_of("\xff\xff\xff\xff\xff") }));
	th_ok(th_txn_commit(txn));
	for (int i = 0; i < 4; i++)
		th_ok(th_store_checkpoint(fixture.store));
	big_value(space, sizes[9], (struct th_slice){ &sizes[9], sizeof(sizes[9]) }, 1);
	ck_assert_uint_eq(held.size, sizes[9]);
	ck_assert_int_eq(memcmp(space, held.data, held.size), 0);
	th_value_release(&held);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
	free(space);
}
END_TEST

/* Written in another order than that of the keys.  A second transaction deletes half of them. */
START_TEST(hundred_thousand_keys_commit_in_one_step)
{
	enum { COUNT = 100000, STRIDE = 61813 };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_txn *txn;
	char key[24];

	th_fixture_init(&fixture, 256, NULL);
	txn = begin(&fixture);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(key, sizeof(key), "key %08u", (unsigned)((uint64_t)i * STRIDE % COUNT));
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(key + 4)));
	}
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(key, sizeof(key), "key %08u", i);
		th_model_put(model, th_slice_of(key), th_slice_of(key + 4));
	}
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	th_verify_cursor(cursor, model, NULL);
	th_cursor_close(cursor);
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_ok(th_store_sync(fixture.store));
	txn = begin(&fixture);
	for (unsigned i = COUNT; i-- > 0;) {
		if (i % 2)
			continue;
		snprintf(key, sizeof(key), "key %08u", i);
		th_ok(th_txn_delete(txn, th_slice_of(key)));
		th_model_delete(model, th_slice_of(key));
	}
	th_ok(th_txn_commit(txn));
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* A cursor of a transaction sees writes that the transaction makes while the cursor is open, or the state before; it
 * sees all keys that the transaction does not write. */
START_TEST(open_cursor_sees_all_unchanged_keys)
{
	struct th_cursor_entry entry;
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_txn *txn;
	unsigned old = 0;
	char key[16], previous[16] = "";

	th_fixture_init(&fixture, 16, NULL);
	txn = begin(&fixture);
	for (int i = 0; i < 2000; i += 2) {
		snprintf(key, sizeof(key), "%04d", i);
		put(txn, NULL, key, "old");
	}
	th_ok(th_txn_commit(txn));
	txn = begin(&fixture);
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	for (int i = 0; th_cursor_next(cursor, &entry) == 0; i++) {
		snprintf(key, sizeof(key), "%.*s", (int)entry.key.size, (const char *)entry.key.data);
		th_true(strcmp(key, previous) > 0);
		strcpy(previous, key);
		old += entry.value.size == 3;
		snprintf(key, sizeof(key), "%04d", i * 7919 % 2000 | 1);
		put(txn, NULL, key, "newer");
	}
	ck_assert_uint_eq(old, 1000);
	th_cursor_close(cursor);
	th_ok(th_txn_commit(txn));
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { writes_are_private_until_commit,       transaction_reads_commits_of_others,
				       counts_follow_puts_and_deletes,        deleted_range_equals_the_model,
				       limits_of_keys_and_values_are_checked, loans_are_put_without_a_copy,
				       large_values_are_stored_off_tree,      hundred_thousand_keys_commit_in_one_step,
				       open_cursor_sees_all_unchanged_keys };

	return th_tests_run("txn", tests, sizeof(tests) / sizeof(tests[0]));
}
