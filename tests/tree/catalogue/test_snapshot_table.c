/* SPDX-License-Identifier: Apache-2.0 */
/* The table of snapshots in memory. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/snapshot_table.h"

static struct th_snapshot_record *add(struct th_snapshot_table *table, uint64_t id, uint64_t branch, const char *name)
{
	struct th_snapshot_record *record = calloc(1, sizeof(*record));

	ck_assert_ptr_nonnull(record);
	record->info.id = id;
	record->info.branch = branch;
	strcpy(record->info.name, name);
	th_ok(th_snapshot_table_append(table, record));
	return record;
}

START_TEST(records_are_found_by_name_and_id)
{
	struct th_snapshot_table table = { 0 };
	char name[300];

	for (uint64_t id = 1; id <= 1000; id++) {
		snprintf(name, sizeof(name), "snapshot %llu", (unsigned long long)(id * 3));
		add(&table, id * 3, 1, name);
	}
	ck_assert_uint_eq(table.count, 1000);
	ck_assert_uint_eq(table.named, 1000);
	for (uint64_t id = 0; id < 3010; id++) {
		struct th_snapshot_record *record = th_snapshot_table_numbered(&table, id);

		snprintf(name, sizeof(name), "snapshot %llu", (unsigned long long)id);
		ck_assert_ptr_eq(th_snapshot_table_named(&table, name), record);
		ck_assert_int_eq(record != NULL, id > 0 && id <= 3000 && id % 3 == 0);
		if (record)
			ck_assert_uint_eq(record->info.id, id);
	}
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	ck_assert_ptr_null(th_snapshot_table_named(&table, name)); /* longer than a name can be */
	th_snapshot_table_release(&table);
}
END_TEST

START_TEST(neighbours_are_of_the_same_branch)
{
	struct th_snapshot_table table = { 0 };
	struct th_snapshot_record *a = add(&table, 1, 1, "a"), *b = add(&table, 2, 2, "b"), *c = add(&table, 5, 1, "c");

	ck_assert_ptr_null(th_snapshot_table_before(&table, 0, 1));
	ck_assert_ptr_eq(th_snapshot_table_before(&table, 2, 1), a);
	ck_assert_ptr_eq(th_snapshot_table_before(&table, 3, 1), c);
	ck_assert_ptr_eq(th_snapshot_table_before(&table, 3, 2), b);
	ck_assert_ptr_null(th_snapshot_table_before(&table, 3, 3));
	ck_assert_ptr_eq(th_snapshot_table_after(&table, 0, 1), c);
	ck_assert_ptr_eq(th_snapshot_table_after(&table, 0, 2), b);
	ck_assert_ptr_null(th_snapshot_table_after(&table, 1, 2));
	ck_assert_ptr_null(th_snapshot_table_after(&table, 2, 1));
	th_snapshot_table_release(&table);
}
END_TEST

START_TEST(a_deleted_snapshot_frees_its_name)
{
	struct th_snapshot_table table = { 0 };
	struct th_snapshot_record *old = add(&table, 1, 1, "name"), *new;

	th_snapshot_table_unname(&table, old, 5);
	ck_assert(old->deleting);
	ck_assert(th_snapshot_table_deleted(old, 5) && !th_snapshot_table_deleted(old, 4));
	ck_assert(th_snapshot_table_taken(&table, "name", 4) && !th_snapshot_table_taken(&table, "name", 5));
	ck_assert_uint_eq(table.named, 0);
	ck_assert_ptr_null(th_snapshot_table_named(&table, "name"));
	ck_assert_ptr_eq(th_snapshot_table_numbered(&table, 1), old);
	new = add(&table, 2, 1, "name");
	ck_assert_ptr_eq(th_snapshot_table_named(&table, "name"), new);
	th_snapshot_table_remove(&table, 0); /* the old one, not the name of the new one */
	ck_assert_ptr_eq(th_snapshot_table_named(&table, "name"), new);
	th_ok(th_snapshot_table_rename(&table, new, "other"));
	ck_assert_ptr_null(th_snapshot_table_named(&table, "name"));
	ck_assert_ptr_eq(th_snapshot_table_named(&table, "other"), new);
	ck_assert_uint_eq(table.named, 1);
	ck_assert_uint_eq(table.count, 1);
	th_snapshot_table_release(&table);
}
END_TEST

START_TEST(names_are_checked)
{
	char longest[TH_SNAPSHOT_NAME_MAX + 2];

	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	th_expect(th_snapshot_check_name(longest), -ENAMETOOLONG);
	longest[TH_SNAPSHOT_NAME_MAX] = 0;
	th_ok(th_snapshot_check_name(longest));
	th_ok(th_snapshot_check_name("..."));
	th_expect(th_snapshot_check_name(""), -EINVAL);
	th_expect(th_snapshot_check_name("."), -EINVAL);
	th_expect(th_snapshot_check_name(".."), -EINVAL);
	th_expect(th_snapshot_check_name("a/b"), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		records_are_found_by_name_and_id,
		neighbours_are_of_the_same_branch,
		a_deleted_snapshot_frees_its_name,
		names_are_checked,
	};

	return th_tests_run("snapshot_table", tests, sizeof(tests) / sizeof(tests[0]));
}
