/* SPDX-License-Identifier: Apache-2.0 */
/* Branches: their names, opening, deleting, rolling back, and diffs between them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tests/tree/world.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

static void expect_value(struct th_view *view, const char *key, const char *value)
{
	struct th_value found;
	int err = th_get(view, th_slice_of(key), &found);

	if (!value) {
		th_expect(err, -ENOENT);
		return;
	}
	th_expect(err, 0);
	th_true(found.size == strlen(value) && memcmp(found.data, value, found.size) == 0);
	th_value_release(&found);
}

static void snapshot(struct th_fixture *fixture, const char *name)
{
	th_ok(th_snapshot_create(fixture->store, name, NULL));
}

/* --- names, opening, deleting --- */

START_TEST(names_are_checked)
{
	char longest[TH_BRANCH_NAME_MAX + 2];
	struct th_fixture fixture;
	struct th_branch branch, *list;
	struct th_store_info info;
	size_t count;

	th_fixture_init(&fixture, 16, &options);
	memset(longest, 'x', sizeof(longest));
	longest[TH_BRANCH_NAME_MAX + 1] = 0;
	th_expect(th_branch_create(fixture.store, "work", "s", NULL), -ENOENT);
	snapshot(&fixture, "s");
	th_expect(th_branch_create(fixture.store, "", "s", NULL), -EINVAL);
	th_expect(th_branch_create(fixture.store, "a/b", "s", NULL), -EINVAL);
	th_expect(th_branch_create(fixture.store, longest, "s", NULL), -ENAMETOOLONG);
	th_expect(th_branch_create(fixture.store, "main", "s", NULL), -EEXIST);
	longest[TH_BRANCH_NAME_MAX] = 0;
	th_ok(th_branch_create(fixture.store, longest, "s", &branch));
	ck_assert_str_eq(branch.name, longest);
	th_expect(th_branch_rename(fixture.store, longest, "main"), -EEXIST);
	th_expect(th_branch_rename(fixture.store, "none", "other"), -ENOENT);
	th_expect(th_branch_rename(fixture.store, longest, ".."), -EINVAL);
	th_ok(th_branch_rename(fixture.store, longest, "work"));
	th_ok(th_branch_rename(fixture.store, "main", "trunk"));
	th_fixture_reopen(&fixture);
	th_ok(th_branch_list(fixture.store, &list, &count));
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(list[0].name, "trunk");
	th_true(list[0].current && list[0].snapshots == 1 && !list[0].origin);
	ck_assert_str_eq(list[1].name, "work");
	th_true(!list[1].current && !list[1].snapshots && list[1].origin == 1 && !list[1].detached);
	free(list);
	th_store_info(fixture.store, &info);
	ck_assert_str_eq(info.branch, "trunk");
	ck_assert_uint_eq(info.branches, 2);
	th_extents_commit(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* The choice is durable; the name of a branch that does not exist changes nothing. */
START_TEST(opening_chooses_the_branch)
{
	struct th_fixture fixture;
	struct th_disk *lent;
	struct th_store_options other = options;
	struct th_view *view;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "old");
	snapshot(&fixture, "s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_put(&fixture, "k", "main");
	th_fixture_switch(&fixture, "work");
	expect_value(th_view_live(fixture.store), "k", "old");
	th_fixture_put(&fixture, "k", "work");
	th_ok(th_view_branch(fixture.store, "main", &view));
	expect_value(view, "k", "main");
	th_view_close(view);
	th_fixture_reopen(&fixture);
	expect_value(th_view_live(fixture.store), "k", "work");
	th_extents_commit(&fixture);
	th_fixture_close(&fixture);
	other.branch = "none";
	lent = th_disk_lend(fixture.disk);
	th_expect(th_store_open(lent, &other, &fixture.store), -ENOENT);
	th_disk_close(lent);
	fixture.options.read_only = true;
	fixture.options.branch = "main";
	th_fixture_open(&fixture);
	expect_value(th_view_live(fixture.store), "k", "main");
	th_ok(th_view_branch(fixture.store, "work", &view));
	expect_value(view, "k", "work");
	th_view_close(view);
	th_expect(th_branch_rename(fixture.store, "work", "play"), -EROFS);
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_close(&fixture);
	fixture.options = options;
	th_fixture_open(&fixture);
	expect_value(th_view_live(fixture.store), "k", "work");
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(read_only_replay_on_another_branch)
{
	struct th_fixture fixture, crashed;
	struct th_disk *image;
	struct th_view *view;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "old");
	snapshot(&fixture, "s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_put(&fixture, "k", "new");
	th_ok(th_store_sync(fixture.store));
	th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
	th_fixture_adopt(&crashed, image, &options);
	crashed.options.read_only = true;
	crashed.options.branch = "work";
	th_fixture_open(&crashed);
	expect_value(th_view_live(crashed.store), "k", "old");
	th_ok(th_view_branch(crashed.store, "main", &view));
	expect_value(view, "k", "new");
	th_view_close(view);
	th_fixture_close(&crashed);
	crashed.options.read_only = false;
	th_fixture_open(&crashed);
	th_ok(th_view_branch(crashed.store, "main", &view));
	expect_value(view, "k", "new");
	th_view_close(view);
	th_extents_commit(&crashed);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(deletion_is_refused_where_it_would_lose_data)
{
	struct th_fixture fixture;
	struct th_view *view;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "1");
	snapshot(&fixture, "one");
	th_ok(th_branch_create(fixture.store, "work", "one", NULL));
	th_expect(th_branch_delete(fixture.store, "main", true), -EBUSY);
	th_expect(th_branch_delete(fixture.store, "none", true), -ENOENT);
	th_expect(th_snapshot_delete(fixture.store, "one"), -EBUSY);
	th_fixture_switch(&fixture, "work");
	th_fixture_put(&fixture, "k", "2");
	snapshot(&fixture, "two");
	th_fixture_put(&fixture, "k", "3");
	th_ok(th_branch_create(fixture.store, "more", "two", NULL));
	th_fixture_switch(&fixture, "main");
	th_expect(th_branch_delete(fixture.store, "work", false), -ENOTEMPTY);
	th_expect(th_branch_delete(fixture.store, "work", true), -EBUSY);
	th_ok(th_view_branch(fixture.store, "more", &view));
	th_ok(th_branch_delete(fixture.store, "more", false));
	th_expect(th_branch_find(fixture.store, "more", NULL), -ENOENT);
	expect_value(view, "k", "2");
	th_ok(th_branch_delete(fixture.store, "work", true));
	th_expect(th_snapshot_find(fixture.store, "two", &(struct th_snapshot){ 0 }), -ENOENT);
	expect_value(view, "k", "2");
	th_extents_commit(&fixture);
	th_view_close(view);
	th_ok(th_snapshot_delete(fixture.store, "one"));
	th_extents_commit(&fixture);
	expect_value(th_view_live(fixture.store), "k", "1");
	th_fixture_release(&fixture);
}
END_TEST

/* --- rolling back --- */

START_TEST(rollback_is_refused_while_views_are_open)
{
	struct th_fixture fixture;
	struct th_view *frozen;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, &options);
	snapshot(&fixture, "s");
	th_expect(th_store_rollback(fixture.store, "none"), -ENOENT);
	th_ok(th_view_freeze(fixture.store, &frozen));
	th_expect(th_store_rollback(fixture.store, "s"), -EBUSY);
	th_view_close(frozen);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_store_rollback(fixture.store, "s"), -EBUSY);
	th_txn_rollback(txn);
	th_ok(th_store_rollback(fixture.store, "s"));
	th_fixture_put(&fixture, "k", "after");
	expect_value(th_view_live(fixture.store), "k", "after");
	th_fixture_release(&fixture);
}
END_TEST

/* They pin the snapshot that was rolled back to. */
START_TEST(rollback_keeps_newer_snapshots)
{
	struct th_fixture fixture;
	struct th_snapshot info;
	struct th_branch *list;
	struct th_view *view;
	size_t count;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "1");
	snapshot(&fixture, "one");
	th_fixture_put(&fixture, "k", "2");
	snapshot(&fixture, "two");
	th_fixture_put(&fixture, "k", "3");
	snapshot(&fixture, "three");
	th_fixture_put(&fixture, "k", "4");
	th_ok(th_store_rollback(fixture.store, "one"));
	expect_value(th_view_live(fixture.store), "k", "1");
	th_extents_commit(&fixture);
	th_ok(th_branch_list(fixture.store, &list, &count));
	ck_assert_uint_eq(count, 2);
	th_true(list[1].detached && list[1].snapshots == 2 && list[1].origin == 1);
	ck_assert_str_eq(list[1].name, "main");
	free(list);
	th_ok(th_snapshot_find(fixture.store, "three", &info));
	th_ok(th_view_snapshot(fixture.store, info.id, &view));
	expect_value(view, "k", "3");
	th_view_close(view);
	th_expect(th_snapshot_delete(fixture.store, "one"), -EBUSY);
	th_fixture_put(&fixture, "k", "5");
	snapshot(&fixture, "five");
	th_ok(th_store_rollback(fixture.store, "three")); /* of another branch now */
	expect_value(th_view_live(fixture.store), "k", "3");
	th_extents_commit(&fixture);
	th_fixture_reopen(&fixture);
	expect_value(th_view_live(fixture.store), "k", "3");
	th_ok(th_snapshot_delete(fixture.store, "two"));
	th_ok(th_snapshot_delete(fixture.store, "five"));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	th_ok(th_snapshot_delete(fixture.store, "three"));
	th_extents_commit(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* Each snapshot with the id of its branch: "one:1 two:3". */
static void expect_lineage(struct th_fixture *fixture, const char *expected)
{
	struct th_snapshot *list;
	char found[200] = "";
	size_t count, at = 0;

	th_ok(th_snapshot_list(fixture->store, &list, &count));
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(found + at, sizeof(found) - at, "%s%s:%u", i ? " " : "", list[i].name,
				       (unsigned)list[i].branch);
	free(list);
	ck_assert_str_eq(found, expected);
}

static uint64_t origin_of(struct th_fixture *fixture, const char *name)
{
	struct th_branch branch;

	th_ok(th_branch_find(fixture->store, name, &branch));
	return branch.origin;
}

START_TEST(promoted_branch_gets_the_snapshots_before_its_origin)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_expect(th_branch_promote(fixture.store, "none"), -ENOENT);
	th_expect(th_branch_promote(fixture.store, "main"), 1);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "one", "two", "three" };

		th_fixture_put(&fixture, "k", names[i]);
		snapshot(&fixture, names[i]);
	}
	th_ok(th_branch_create(fixture.store, "work", "two", NULL));
	th_fixture_put(&fixture, "k", "main");
	th_fixture_switch(&fixture, "work");
	th_fixture_put(&fixture, "k", "work"); /* kills nodes that "two" has: they must be on a list */
	snapshot(&fixture, "four");
	th_expect(th_branch_delete(fixture.store, "main", true), -EBUSY);
	th_ok(th_branch_promote(fixture.store, "work"));
	expect_lineage(&fixture, "one:2 two:2 three:1 four:2");
	ck_assert_uint_eq(origin_of(&fixture, "work"), 0);
	ck_assert_uint_eq(origin_of(&fixture, "main"), 2);
	th_extents_commit(&fixture);
	th_ok(th_branch_promote(fixture.store, "main")); /* and back */
	expect_lineage(&fixture, "one:1 two:1 three:1 four:2");
	th_extents_commit(&fixture);
	th_ok(th_branch_promote(fixture.store, "work"));
	th_fixture_reopen(&fixture);
	expect_value(th_view_live(fixture.store), "k", "work");
	th_ok(th_branch_delete(fixture.store, "main", true));
	th_ok(th_snapshot_delete(fixture.store, "two"));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	th_extents_commit(&fixture);
	expect_lineage(&fixture, "four:2");
	th_fixture_release(&fixture);
}
END_TEST

/* A rollback that is undone leaves one branch, of which all can be deleted. */
START_TEST(undone_rollback_leaves_one_line)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "k", "1");
	snapshot(&fixture, "one");
	th_fixture_put(&fixture, "k", "2");
	snapshot(&fixture, "kept");
	th_ok(th_store_rollback(fixture.store, "one"));
	expect_lineage(&fixture, "one:1 kept:2");
	th_fixture_put(&fixture, "k", "3");
	snapshot(&fixture, "three");
	th_ok(th_store_rollback(fixture.store, "kept"));
	expect_lineage(&fixture, "one:1 kept:1 three:3");
	expect_value(th_view_live(fixture.store), "k", "2");
	th_extents_commit(&fixture);
	th_ok(th_snapshot_delete(fixture.store, "kept"));
	th_ok(th_snapshot_delete(fixture.store, "three"));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	while (th_store_reclaim(fixture.store) == 0)
		;
	th_extents_commit(&fixture);
	ck_assert_ptr_null(fixture.store->branches.list->next);
	th_fixture_release(&fixture);
}
END_TEST

static void expect_one_branch(struct th_fixture *fixture)
{
	struct th_store_info info;
	struct th_branch *list;
	size_t count;

	th_store_info(fixture->store, &info);
	ck_assert_uint_eq(info.branches, 1);
	th_ok(th_branch_list(fixture->store, &list, &count));
	ck_assert_uint_eq(count, 1);
	th_true(list[0].current && !list[0].detached);
	free(list);
}

/* Snapshots that are being deleted, and are newer than the target of a rollback, are moved to a detached branch.  It is
 * not visible, pins no snapshot, and is removed with them. */
START_TEST(rollback_hides_snapshots_being_deleted)
{
	for (unsigned variant = 0; variant < 8; variant++) {
		struct th_fixture fixture;
		struct th_snapshot two;
		struct th_view *view = NULL;

		th_fixture_init(&fixture, 16, &options);
		th_fixture_put(&fixture, "k", "1");
		snapshot(&fixture, "one");
		th_fixture_put(&fixture, "k", "2");
		th_ok(th_snapshot_create(fixture.store, "two", &two));
		th_fixture_put(&fixture, "k", "3");
		if (variant & 1)
			th_ok(th_view_snapshot(fixture.store, two.id, &view));
		th_ok(th_snapshot_delete(fixture.store, "two"));
		if (variant & 2)
			th_ok(th_store_sync(fixture.store));
		th_ok(th_store_rollback(fixture.store, "one"));
		expect_value(th_view_live(fixture.store), "k", "1");
		expect_one_branch(&fixture);
		th_verify_check(fixture.store, &th_extents_check);
		if (variant & 4)
			th_ok(th_snapshot_delete(fixture.store, "one"));
		th_extents_commit(&fixture);
		if (view) {
			expect_one_branch(&fixture);
			expect_value(view, "k", "2");
			th_view_close(view);
		}
		while (th_store_reclaim(fixture.store) == 0)
			;
		expect_one_branch(&fixture);
		ck_assert_ptr_null(fixture.store->branches.list->next);
		th_extents_commit(&fixture);
		th_fixture_reopen(&fixture);
		expect_value(th_view_live(fixture.store), "k", "1");
		expect_one_branch(&fixture);
		th_fixture_release(&fixture);
	}
}
END_TEST

START_TEST(mark_is_common_to_all_branches)
{
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	ck_assert_uint_eq(th_store_mark(fixture.store), 0);
	snapshot(&fixture, "s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_store_raise_mark(fixture.store, 7);
	th_store_raise_mark(fixture.store, 5);
	th_fixture_put(&fixture, "k", "v");
	th_ok(th_store_rollback(fixture.store, "s"));
	ck_assert_uint_eq(th_store_mark(fixture.store), 7);
	th_fixture_switch(&fixture, "work");
	ck_assert_uint_eq(th_store_mark(fixture.store), 7);
	th_fixture_release(&fixture);
}
END_TEST

/* --- differences --- */

static unsigned count_changes(struct th_view *from, struct th_view *to, struct th_diff_stats *stats)
{
	struct th_change change;
	struct th_diff *diff;
	unsigned count = 0;
	int err;

	th_ok(th_diff_open(from, to, NULL, &diff));
	while (!(err = th_diff_next(diff, &change)))
		count++;
	th_expect(err, 1);
	th_diff_stats(diff, stats);
	th_diff_close(diff);
	return count;
}

START_TEST(diff_reads_only_changes_since_the_common_past)
{
	struct th_fixture fixture;
	struct th_diff_stats stats;
	struct th_view *main_view, *work;

	th_fixture_init(&fixture, 64, &options);
	th_fixture_put_many(&fixture, 0, 50000, 'a');
	snapshot(&fixture, "s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_put_many(&fixture, 100, 103, 'm');
	th_fixture_switch(&fixture, "work");
	th_fixture_put_many(&fixture, 102, 105, 'w');
	th_fixture_put_many(&fixture, 40000, 40002, 'w');
	th_fixture_put_many(&fixture, 50000, 50001, 'w');
	th_ok(th_view_branch(fixture.store, "main", &main_view));
	th_ok(th_view_freeze(fixture.store, &work));
	ck_assert_uint_eq(count_changes(main_view, work, &stats), 8);
	ck_assert_uint_lt(stats.nodes_read, 60);
	ck_assert_uint_eq(count_changes(work, main_view, &stats), 8);
	th_view_close(work);
	th_view_close(main_view);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		names_are_checked,
		opening_chooses_the_branch,
		read_only_replay_on_another_branch,
		deletion_is_refused_where_it_would_lose_data,
		rollback_is_refused_while_views_are_open,
		rollback_keeps_newer_snapshots,
		promoted_branch_gets_the_snapshots_before_its_origin,
		undone_rollback_leaves_one_line,
		rollback_hides_snapshots_being_deleted,
		mark_is_common_to_all_branches,
		diff_reads_only_changes_since_the_common_past,
	};

	return th_tests_run("branch", tests, sizeof(tests) / sizeof(tests[0]));
}
