/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/suite.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

void th_expect_at(int result, int expected, const char *call, const char *file, int line)
{
	if (result != expected)
		ck_abort_msg("%s:%d: %s returned %d (%s), expected %d (%s)", file, line, call, result,
			     result < 0 ? strerror(-result) : "-", expected, expected < 0 ? strerror(-expected) : "-");
}

int th_tests_run(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);

	for (size_t i = 0; i < count; i++) {
		TCase *tcase = tcase_create(tests[i]->name);

		tcase_set_timeout(tcase, 0); /* the build system has a timeout */
		tcase_add_test(tcase, tests[i]);
		suite_add_tcase(suite, tcase);
	}
	return th_suite_run(suite);
}

/* --- the fixture --- */

void th_fixture_adopt(struct th_fixture *fixture, struct th_disk *disk, const struct th_store_options *options)
{
	*fixture = (struct th_fixture){ 0 };
	if (options)
		fixture->options = *options;
	th_ok(th_disk_fault_new(disk, &fixture->disk));
}

void th_fixture_init(struct th_fixture *fixture, unsigned mib, const struct th_store_options *options)
{
	struct th_disk *disk, *lent;

	th_ok(th_disk_memory_new((uint64_t)mib << (20 - TH_BLOCK_SHIFT), &disk));
	th_fixture_adopt(fixture, disk, options);
	lent = th_disk_lend(fixture->disk);
	th_ok(th_store_format(lent, NULL));
	th_disk_close(lent);
	th_ok(th_disk_fault_reset(fixture->disk));
	th_fixture_open(fixture);
}

void th_fixture_open(struct th_fixture *fixture)
{
	th_ok(th_store_open(th_disk_lend(fixture->disk), &fixture->options, &fixture->store));
}

void th_fixture_close(struct th_fixture *fixture)
{
	struct th_store *store = fixture->store;

	fixture->store = NULL;
	th_ok(th_store_close(store));
}

void th_fixture_reopen(struct th_fixture *fixture)
{
	th_fixture_close(fixture);
	th_ok(th_disk_fault_reset(fixture->disk));
	th_fixture_open(fixture);
}

void th_fixture_release(struct th_fixture *fixture)
{
	if (fixture->store)
		th_fixture_close(fixture);
	th_disk_close(fixture->disk);
	fixture->disk = NULL;
}

void th_fixture_crash(struct th_fixture *fixture, struct th_fixture *ret)
{
	struct th_disk *image;

	th_ok(th_disk_fault_crash_image(fixture->disk, th_disk_fault_events(fixture->disk), 1, &image));
	th_fixture_adopt(ret, image, &fixture->options);
	th_fixture_open(ret);
}

void th_fixture_switch(struct th_fixture *fixture, const char *branch)
{
	fixture->options.branch = branch;
	th_fixture_reopen(fixture);
	fixture->options.branch = NULL;
}

void th_fixture_put(struct th_fixture *fixture, const char *key, const char *value)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(value)));
	th_ok(th_txn_commit(txn));
}

void th_fixture_delete(struct th_fixture *fixture, const char *key)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_txn_delete(txn, th_slice_of(key)));
	th_ok(th_txn_commit(txn));
}

void th_fixture_put_many(struct th_fixture *fixture, unsigned from, unsigned to, char what)
{
	struct th_txn *txn;
	char key[32], value[200];

	memset(value, what, sizeof(value));
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "key/%06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

/* --- verifying --- */

/* Prints a key, or the beginning of a value, in a readable form. */
static const char *print_slice(struct th_slice slice, char *to, size_t size)
{
	const uint8_t *bytes = slice.data;
	size_t at = 0;

	if (!bytes)
		return "(none)";
	for (size_t i = 0; i < slice.size && at + 16 < size; i++)
		at += (size_t)snprintf(to + at, size - at, bytes[i] > 32 && bytes[i] < 127 ? "%c" : "\\x%02x",
				       bytes[i]);
	snprintf(to + at, size - at, " (%zu bytes)", slice.size);
	return to;
}

static void same_entry(const char *what, const struct th_model_entry *expected, struct th_slice key,
		       struct th_slice value, int32_t refs)
{
	char space[4][160];

	if (th_model_same(expected->key, key) && th_model_same(expected->value, value) && expected->refs == refs)
		return;
	ck_abort_msg("%s: expected key %s value %s refs %d; found key %s value %s refs %d", what,
		     print_slice(expected->key, space[0], sizeof(space[0])),
		     print_slice(expected->value, space[1], sizeof(space[1])), expected->refs,
		     print_slice(key, space[2], sizeof(space[2])), print_slice(value, space[3], sizeof(space[3])),
		     refs);
}

static void missing(const char *what, const struct th_model_entry *entry, int result)
{
	char space[160];

	ck_abort_msg("%s: expected key %s, found none (%d)", what, print_slice(entry->key, space, sizeof(space)),
		     result);
}

static void too_much(const char *what, struct th_slice key)
{
	char space[160];

	ck_abort_msg("%s: found key %s, which should not exist", what, print_slice(key, space, sizeof(space)));
}

static void verify_step(const char *what, int result, const struct th_model_entry *expected,
			const struct th_cursor_entry *found)
{
	if (result != 0 && result != 1)
		ck_abort_msg("%s: the cursor returned %d (%s)", what, result, strerror(-result));
	if (expected && result)
		missing(what, expected, result);
	if (!expected && !result)
		too_much(what, found->key);
	if (expected)
		same_entry(what, expected, found->key, found->value, found->refs);
}

void th_verify_cursor(struct th_cursor *cursor, const struct th_model *model, const struct th_range *range)
{
	const struct th_model_entry *expected;
	struct th_cursor_entry found;
	size_t from, to, at;

	th_model_bounds(model, range, &from, &to);
	at = from;
	do {
		expected = th_model_next(model, &at);
		if (expected && at > to)
			expected = NULL;
		verify_step("forward", th_cursor_next(cursor, &found), expected, &found);
	} while (expected);
	th_cursor_seek_end(cursor);
	at = to;
	do {
		expected = th_model_prev(model, &at);
		if (expected && at < from)
			expected = NULL;
		verify_step("backward", th_cursor_prev(cursor, &found), expected, &found);
	} while (expected);
}

void th_verify_scan(struct th_view *view, const struct th_model *model, const struct th_range *range)
{
	struct th_cursor *cursor;

	th_ok(th_cursor_open(view, range, &cursor));
	th_verify_cursor(cursor, model, range);
	th_cursor_close(cursor);
}

static void verify_value(const char *what, int result, const struct th_model_entry *expected, struct th_slice key,
			 struct th_value *value)
{
	if (!expected) {
		if (!result)
			too_much(what, key);
		th_expect(result, -ENOENT);
		return;
	}
	if (result)
		missing(what, expected, result);
	same_entry(what, expected, key, (struct th_slice){ value->data, value->size }, value->refs);
	th_value_release(value);
}

void th_verify_get(struct th_view *view, const struct th_model *model, struct th_slice key)
{
	struct th_value value;

	verify_value("get", th_get(view, key, &value), th_model_get(model, key), key, &value);
}

void th_verify_txn_get(struct th_txn *txn, const struct th_model *model, struct th_slice key)
{
	struct th_value value;

	verify_value("get in transaction", th_txn_get(txn, key, &value), th_model_get(model, key), key, &value);
}

/* --- the whole store --- */

static void say_problem(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "check: %s\n", line);
}

void th_verify_check(struct th_store *store, const struct th_check_options *options)
{
	struct th_check_options own = { .read_data = true };
	struct th_check_result result;

	if (options)
		own = *options;
	if (!own.problem)
		own.problem = say_problem;
	th_ok(th_store_check(store, &own, &result));
	ck_assert_msg(!result.problems && !result.leaked_blocks,
		      "the checker found %llu problems and %llu leaked blocks", (unsigned long long)result.problems,
		      (unsigned long long)result.leaked_blocks);
}

uint64_t th_view_hash(struct th_view *view)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	uint64_t hash = 0;
	int err;

	th_ok(th_cursor_open(view, NULL, &cursor));
	while (!(err = th_cursor_next(cursor, &entry)))
		hash = th_model_hash_entry(hash, entry.key, entry.value, entry.refs);
	th_expect(err, 1);
	th_cursor_close(cursor);
	return hash;
}

void th_value_make(void *to, size_t size, struct th_slice key, uint64_t stamp)
{
	struct th_random random = { .state = th_model_hash_entry(stamp, key, (struct th_slice){ 0 }, 0) };

	th_random_fill(&random, to, size);
}

uint64_t th_fixture_used(struct th_fixture *fixture)
{
	struct th_store_info info;

	th_ok(th_checkpoint_reclaim(fixture->store, UINT64_MAX));
	th_ok(th_store_checkpoint(fixture->store));
	th_store_info(fixture->store, &info);
	return info.blocks - info.blocks_free - info.blocks_waiting - fixture->store->super.space_log.pages;
}
