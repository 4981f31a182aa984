/* SPDX-License-Identifier: Apache-2.0 */
/* The table of branches: in memory, and loaded from the meta tree. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/branch_table.h"
#include "tree/checkpoint/checkpoint.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

static struct th_branch_record *add(struct th_branch_table *table, uint64_t id, uint64_t origin, bool detached,
				    const char *name)
{
	struct th_branch_record *record = calloc(1, sizeof(*record));

	ck_assert_ptr_nonnull(record);
	record->id = id;
	record->origin = origin;
	record->detached = detached;
	strcpy(record->name, name);
	th_branch_table_add(table, record);
	return record;
}

START_TEST(branches_are_listed_by_rising_ids)
{
	struct th_branch_table table = { 0 };
	struct th_branch_record *three = add(&table, 3, 0, false, "three"), *one = add(&table, 1, 0, false, "one");
	struct th_branch_record *two = add(&table, 2, 7, true, "one");

	ck_assert_ptr_eq(table.list, one);
	ck_assert_ptr_eq(one->next, two);
	ck_assert_ptr_eq(two->next, three);
	ck_assert_ptr_null(three->next);
	ck_assert_uint_eq(table.named, 2);
	ck_assert_ptr_eq(th_branch_table_find(&table, 2), two);
	ck_assert_ptr_null(th_branch_table_find(&table, 4));
	ck_assert_ptr_eq(th_branch_table_named(&table, "one"), one); /* not the detached one */
	ck_assert_ptr_null(th_branch_table_named(&table, "two"));
	ck_assert_ptr_eq(th_branch_table_from(&table, 7), two);
	ck_assert_ptr_null(th_branch_table_from(&table, 8));
	th_branch_table_remove(&table, two);
	ck_assert_ptr_eq(one->next, three);
	ck_assert_uint_eq(table.named, 2);
	th_branch_table_remove(&table, one);
	ck_assert_uint_eq(table.named, 1);
	th_branch_table_release(&table);
}
END_TEST

static int put_contradiction(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_branch_record record = { .id = 2, .detached = *(bool *)arg, .name = "work" };
	struct th_head head = { .root = state->live_root };

	store->super.counters[TH_SUPER_NEXT_BRANCH] = 3;
	if (record.detached)
		record.head = &head; /* a detached branch with a head */
	return th_branch_put(store, &record); /* else one without, which is not current */
}

START_TEST(contradictory_entries_are_refused)
{
	for (int i = 0; i < 2; i++) {
		bool detached = i;
		struct th_fixture fixture;
		struct th_store *store;
		struct th_disk *lent;

		th_fixture_init(&fixture, 16, &options);
		th_ok(th_checkpoint(fixture.store, put_contradiction, &detached, 0));
		th_fixture_close(&fixture);
		lent = th_disk_lend(fixture.disk);
		th_expect(th_store_open(lent, NULL, &store), -EUCLEAN);
		th_disk_close(lent);
		th_fixture_release(&fixture);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		branches_are_listed_by_rising_ids,
		contradictory_entries_are_refused,
	};

	return th_tests_run("branch_table", tests, sizeof(tests) / sizeof(tests[0]));
}
