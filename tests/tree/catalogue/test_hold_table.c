/* SPDX-License-Identifier: Apache-2.0 */
/* The holds of a snapshot: a list at its record, and entries of the meta tree. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/hold_table.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

static struct th_hold_record *make(uint64_t id, const char *tag)
{
	struct th_hold_record *hold = calloc(1, sizeof(*hold));

	ck_assert_ptr_nonnull(hold);
	hold->id = id;
	strcpy(hold->tag, tag);
	return hold;
}

START_TEST(holds_are_found_by_tag)
{
	struct th_snapshot_record record = { 0 };
	struct th_hold_record *a = make(1, "a"), *b = make(2, "b"), *c = make(3, "c");

	ck_assert_ptr_null(*th_hold_find(&record, "a"));
	th_hold_add(&record, a);
	th_hold_add(&record, b);
	th_hold_add(&record, c);
	ck_assert_uint_eq(record.info.holds, 3);
	ck_assert_ptr_eq(*th_hold_find(&record, "b"), b);
	ck_assert_ptr_null(*th_hold_find(&record, "bb"));
	ck_assert_ptr_eq(th_hold_take(&record, th_hold_find(&record, "b")), b);
	ck_assert_uint_eq(record.info.holds, 2);
	ck_assert_ptr_null(*th_hold_find(&record, "b"));
	ck_assert_ptr_eq(*th_hold_find(&record, "a"), a);
	ck_assert_ptr_eq(*th_hold_find(&record, "c"), c);
	free(a);
	free(b);
	free(c);
}
END_TEST

static int put_two(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_hold_record hold = { .id = 1, .created_ns = 12345, .tag = "one" }, other = { .id = 2, .tag = "two" };
	int err = th_hold_put(store, *(uint64_t *)arg, &hold);

	(void)state;
	store->super.counters[TH_SUPER_HOLD] = 2;
	if (!err)
		err = th_hold_put(store, *(uint64_t *)arg, &other);
	return err ? err : th_hold_drop(store, 2);
}

START_TEST(entries_are_loaded)
{
	struct th_snapshot snapshot;
	struct th_fixture fixture;
	struct th_hold *list;
	size_t count;

	th_fixture_init(&fixture, 16, &options);
	th_ok(th_snapshot_create(fixture.store, "s", &snapshot));
	th_ok(th_checkpoint(fixture.store, put_two, &snapshot.id, 0));
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_holds(fixture.store, "s", &list, &count));
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(list[0].id, 1);
	ck_assert_uint_eq(list[0].created_ns, 12345);
	ck_assert_str_eq(list[0].tag, "one");
	free(list);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		holds_are_found_by_tag,
		entries_are_loaded,
	};

	return th_tests_run("hold_table", tests, sizeof(tests) / sizeof(tests[0]));
}
