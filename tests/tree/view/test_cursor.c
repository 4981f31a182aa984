/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors: bounds, directions, and reads among concurrent writers. */
#include "tests/tree/walk.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Puts the keys, which are strings, in one transaction. */
static void fill(struct th_fixture *fixture, struct th_model *model, const char *const *keys, size_t count)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	for (size_t i = 0; i < count; i++) {
		th_ok(th_txn_put(txn, th_slice_of(keys[i]), th_slice_of(keys[i])));
		th_model_put(model, th_slice_of(keys[i]), th_slice_of(keys[i]));
	}
	th_ok(th_txn_commit(txn));
}

static void fill_numbers(struct th_fixture *fixture, struct th_model *model, unsigned count, unsigned step)
{
	struct th_txn *txn;
	char key[16];

	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < count; i += step) {
		snprintf(key, sizeof(key), "%06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(key)));
		if (model)
			th_model_put(model, th_slice_of(key), th_slice_of(key));
	}
	th_ok(th_txn_commit(txn));
}

static void expect_next(struct th_cursor *cursor, const char *key)
{
	struct th_cursor_entry entry;

	th_expect(th_cursor_next(cursor, &entry), key ? 0 : 1);
	if (key)
		ck_assert_msg(th_model_same(entry.key, th_slice_of(key)), "expected %s next, found %.*s", key,
			      (int)entry.key.size, (const char *)entry.key.data);
}

static void expect_prev(struct th_cursor *cursor, const char *key)
{
	struct th_cursor_entry entry;

	th_expect(th_cursor_prev(cursor, &entry), key ? 0 : 1);
	if (key)
		ck_assert_msg(th_model_same(entry.key, th_slice_of(key)), "expected %s before, found %.*s", key,
			      (int)entry.key.size, (const char *)entry.key.data);
}

START_TEST(cursor_stands_between_two_entries)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_cursor *cursor;

	th_fixture_init(&fixture, 16, NULL);
	fill(&fixture, model, keys, 4);
	th_ok(th_cursor_open(th_view_live(fixture.store), NULL, &cursor));
	expect_prev(cursor, NULL);
	expect_next(cursor, "a");
	expect_next(cursor, "b");
	expect_prev(cursor, "b");
	expect_prev(cursor, "a");
	expect_prev(cursor, NULL);
	expect_prev(cursor, NULL);
	expect_next(cursor, "a");
	th_ok(th_cursor_seek(cursor, th_slice_of("bb")));
	expect_next(cursor, "c");
	th_ok(th_cursor_seek(cursor, th_slice_of("c")));
	expect_prev(cursor, "b");
	expect_next(cursor, "b");
	expect_next(cursor, "c");
	expect_next(cursor, "d");
	expect_next(cursor, NULL);
	expect_next(cursor, NULL);
	expect_prev(cursor, "d");
	th_cursor_seek_end(cursor);
	expect_next(cursor, NULL);
	expect_prev(cursor, "d");
	th_ok(th_cursor_seek(cursor, th_slice_of("x")));
	expect_next(cursor, NULL);
	th_ok(th_cursor_seek(cursor, th_slice_of("")));
	expect_next(cursor, "a");
	th_cursor_close(cursor);
	th_cursor_close(NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(cursor_stays_within_its_range)
{
	static const char *const keys[] = { "a", "b", "bb", "c", "d" };
	struct th_model *model = th_model_new();
	struct th_range range = { th_slice_of("b"), th_slice_of("c") };
	struct th_fixture fixture;
	struct th_cursor *cursor;

	th_fixture_init(&fixture, 16, NULL);
	fill(&fixture, model, keys, 5);
	th_ok(th_cursor_open(th_view_live(fixture.store), &range, &cursor));
	th_verify_cursor(cursor, model, &range);
	th_ok(th_cursor_seek(cursor, th_slice_of("a"))); /* before the range: its start */
	expect_prev(cursor, NULL);
	expect_next(cursor, "b");
	th_ok(th_cursor_seek(cursor, th_slice_of("d"))); /* after it: its end */
	expect_next(cursor, NULL);
	expect_prev(cursor, "bb");
	th_cursor_close(cursor);
	range.to = range.from; /* it is empty */
	th_verify_scan(th_view_live(fixture.store), model, &range);
	range.to = th_slice_of(""); /* an empty bound, not an open one */
	range.from = range.to;
	th_verify_scan(th_view_live(fixture.store), model, &range);
	range.to = (struct th_slice){ 0 };
	th_verify_scan(th_view_live(fixture.store), model, &range);
	range.from = th_slice_of("bba");
	th_verify_scan(th_view_live(fixture.store), model, &range);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(prefix_range_has_exactly_its_keys)
{
	static const char *const keys[] = { "",         "a",          "a\x01",    "ab",       "ab\x01",
					    "ab\xff",   "ab\xff\xff", "ac",       "b",        "\xfe",
					    "\xfe\xff", "\xff",       "\xff\x01", "\xff\xff", "\xff\xff\xff" };
	static const char *const prefixes[] = { "", "a", "ab", "ab\xff", "\xfe", "\xff", "\xff\xff", "x" };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	uint8_t space[8];

	th_fixture_init(&fixture, 16, NULL);
	fill(&fixture, model, keys, sizeof(keys) / sizeof(keys[0]));
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct th_slice prefix = th_slice_of(prefixes[i]);
		struct th_range range = th_range_prefix(prefix, space);
		size_t from, to, expected = 0;

		th_verify_scan(th_view_live(fixture.store), model, &range);
		th_model_bounds(model, &range, &from, &to);
		for (size_t j = 0; j < sizeof(keys) / sizeof(keys[0]); j++)
			expected += strncmp(keys[j], prefixes[i], prefix.size) == 0;
		ck_assert_uint_eq(to - from, expected);
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* Of a tree of several levels: in the live view, a frozen one, and a transaction. */
START_TEST(random_walks_equal_the_model)
{
	struct th_store_options options = { .cache_bytes = 256 << 10 };
	struct th_random random = { .state = th_test_seed("random_walks_equal_the_model") };
	struct th_keys keys = { .salt = random.state, .range = 3000 };
	struct th_model *model = th_model_new();
	uint8_t space[2 * TH_KEY_MAX], value[64];
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_view *frozen;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, &options);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (int i = 0; i < 8000; i++) {
		struct th_slice key = th_keys_pick(&keys, &random, space);

		th_value_make(value, sizeof(value), key, (uint64_t)i);
		th_ok(th_txn_put(txn, key, (struct th_slice){ value, sizeof(value) }));
		th_model_put(model, key, (struct th_slice){ value, sizeof(value) });
	}
	th_ok(th_txn_cursor(txn, NULL, &cursor));
	th_verify_walk(cursor, model, NULL, &keys, &random, 3000);
	th_cursor_close(cursor);
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_ok(th_view_freeze(fixture.store, &frozen));
	for (int i = 0; i < 40; i++) {
		struct th_range range = th_range_pick(&keys, &random, model, space);

		th_ok(th_cursor_open(i % 2 ? frozen : th_view_live(fixture.store), i % 4 ? &range : NULL, &cursor));
		th_verify_walk(cursor, model, i % 4 ? &range : NULL, &keys, &random, 300);
		th_cursor_close(cursor);
	}
	th_view_close(frozen);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* --- among concurrent writers --- */

#define CROWD 4000 /* keys; the even ones are never changed */

struct crowd {
	struct th_fixture fixture;
	_Atomic bool stop;
	_Atomic unsigned merges;
};

static int touch_odd(struct crowd *crowd, unsigned round)
{
	struct th_txn *txn;
	char key[16];
	int err = th_txn_begin(crowd->fixture.store, &txn);

	for (unsigned i = 0; i < 40 && !err; i++) {
		snprintf(key, sizeof(key), "%06u", (round * 97 + i * 53) % CROWD | 1);
		if (round / 50 % 2)
			err = th_txn_delete(txn, th_slice_of(key));
		else
			err = th_txn_put(txn, th_slice_of(key), th_slice_of(key));
	}
	if (err)
		return err;
	return th_txn_commit(txn);
}

static void *crowd_writer(void *arg)
{
	struct crowd *crowd = arg;
	unsigned round = 0;
	int err = 0;

	while (!crowd->stop && !err) {
		err = touch_odd(crowd, round++);
		if (round % 64 == 0 && !err)
			err = th_store_checkpoint(crowd->fixture.store);
		crowd->merges++;
	}
	return (void *)(intptr_t)err;
}

/* Verifies one pass: keys in order, none twice, every even key, every value equal to its key. */
static void crowd_pass(struct th_view *view, bool forward)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	char key[16], last[16] = "";
	unsigned even = 0;

	th_ok(th_cursor_open(view, NULL, &cursor));
	if (!forward)
		th_cursor_seek_end(cursor);
	while ((forward ? th_cursor_next(cursor, &entry) : th_cursor_prev(cursor, &entry)) == 0) {
		th_true(entry.key.size == 6);
		th_true(th_model_same(entry.key, entry.value));
		snprintf(key, sizeof(key), "%.6s", (const char *)entry.key.data);
		th_true(strcmp(key, last) != 0);
		th_true(!*last || (strcmp(key, last) > 0) == forward);
		strcpy(last, key);
		even += (key[5] - '0') % 2 == 0;
	}
	th_cursor_close(cursor);
	ck_assert_uint_eq(even, CROWD / 2);
}

START_TEST(cursor_of_live_view_keeps_order_among_writers)
{
	struct th_store_options options = { .cache_bytes = 256 << 10, .checkpoint_interval_ms = 10 };
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	pthread_t writer;
	void *result;

	th_fixture_init(&crowd->fixture, 64, &options);
	fill_numbers(&crowd->fixture, NULL, CROWD, 2);
	pthread_create(&writer, NULL, crowd_writer, crowd);
	for (unsigned i = 0; i < 60 || crowd->merges < 200; i++)
		crowd_pass(th_view_live(crowd->fixture.store), i % 2);
	crowd->stop = true;
	pthread_join(writer, &result);
	th_ok((int)(intptr_t)result);
	th_verify_check(crowd->fixture.store, NULL);
	th_fixture_release(&crowd->fixture);
	free(crowd);
}
END_TEST

/* The cursor stays open across checkpoints. */
START_TEST(cursor_of_frozen_view_sees_no_later_writes)
{
	struct th_store_options options = { .cache_bytes = 256 << 10 };
	struct th_model *model = th_model_new();
	struct th_cursor_entry entry;
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_view *frozen;
	struct th_txn *txn;
	char key[16];

	th_fixture_init(&fixture, 64, &options);
	fill_numbers(&fixture, model, CROWD, 2);
	th_ok(th_view_freeze(fixture.store, &frozen));
	th_ok(th_cursor_open(frozen, NULL, &cursor));
	for (unsigned i = 0; i < CROWD; i += 2) {
		th_ok(th_cursor_next(cursor, &entry));
		snprintf(key, sizeof(key), "%06u", i);
		th_true(th_model_same(entry.key, th_slice_of(key)));
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_txn_delete(txn, th_slice_of(key)));
		snprintf(key, sizeof(key), "%06u", CROWD - i - 1);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of("new")));
		th_ok(th_txn_commit(txn));
		if (i % 100 == 0)
			th_ok(th_store_checkpoint(fixture.store));
	}
	th_expect(th_cursor_next(cursor, &entry), 1);
	th_cursor_close(cursor);
	th_verify_scan(frozen, model, NULL);
	th_view_close(frozen);
	th_view_close(th_view_live(fixture.store)); /* ignored */
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { cursor_stands_between_two_entries,
				       cursor_stays_within_its_range,
				       prefix_range_has_exactly_its_keys,
				       random_walks_equal_the_model,
				       cursor_of_live_view_keeps_order_among_writers,
				       cursor_of_frozen_view_sees_no_later_writes };

	return th_tests_run("cursor", tests, sizeof(tests) / sizeof(tests[0]));
}
