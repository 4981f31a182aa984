/* SPDX-License-Identifier: Apache-2.0 */
/* Views of snapshots and of branches: which exist, which state they show, and from where on two of them are
 * compared. */
#include "tests/tree/fixture.h"

#include <stdlib.h>

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
static struct th_fixture fixture;

static uint64_t snapshot(const char *name)
{
	struct th_snapshot taken;

	th_ok(th_snapshot_create(fixture.store, name, &taken));
	return taken.id;
}

/* Expects the value of "key" in a view. */
static void expect(struct th_view *view, const char *value)
{
	struct th_value found;

	th_ok(th_get(view, th_slice_of("key"), &found));
	ck_assert_uint_eq(found.size, strlen(value));
	ck_assert_mem_eq(found.data, value, found.size);
	th_value_release(&found);
}

static unsigned count_changes(struct th_view *from, struct th_view *to, uint64_t *ret_nodes)
{
	struct th_diff_stats stats;
	struct th_change change;
	struct th_diff *diff;
	unsigned count = 0;
	int err;

	th_ok(th_diff_open(from, to, NULL, &diff));
	while (!(err = th_diff_next(diff, &change)))
		count++;
	th_expect(err, 1);
	th_diff_stats(diff, &stats);
	*ret_nodes = stats.nodes_read;
	th_diff_close(diff);
	return count;
}

START_TEST(a_deleted_snapshot_cannot_be_opened)
{
	struct th_view *view, *open;
	uint64_t id;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "old");
	id = snapshot("s");
	th_fixture_put(&fixture, "key", "new");
	th_expect(th_view_snapshot(fixture.store, id + 1, &view), -ENOENT);
	th_ok(th_view_snapshot(fixture.store, id, &open));
	th_ok(th_snapshot_delete(fixture.store, "s"));
	th_expect(th_view_snapshot(fixture.store, id, &view), -ENOENT);
	expect(open, "old");
	th_view_close(open);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_branch_shows_its_head_and_the_current_one_its_present_state)
{
	struct th_view *view;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "then");
	snapshot("s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_put(&fixture, "key", "now");
	th_expect(th_view_branch(fixture.store, "none", &view), -ENOENT);
	th_ok(th_view_branch(fixture.store, "work", &view));
	expect(view, "then");
	th_view_close(view);
	th_ok(th_view_branch(fixture.store, "main", &view));
	th_fixture_put(&fixture, "key", "later");
	expect(view, "now"); /* as it was when it was opened */
	th_view_close(view);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_view_outlives_the_branch_that_it_shows)
{
	struct th_view *view;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "then");
	snapshot("s");
	th_ok(th_branch_create(fixture.store, "work", "s", NULL));
	th_fixture_switch(&fixture, "work");
	th_fixture_put(&fixture, "key", "of the branch");
	th_fixture_switch(&fixture, "main");
	th_ok(th_view_branch(fixture.store, "work", &view));
	th_ok(th_branch_delete(fixture.store, "work", false));
	for (int i = 0; i < 5; i++) {
		th_fixture_put(&fixture, "key", "more");
		th_store_reclaim(fixture.store);
	}
	expect(view, "of the branch");
	th_view_close(view);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(only_fixed_views_of_one_store_are_compared)
{
	struct th_view *frozen, *other;
	struct th_fixture second;
	struct th_diff *diff;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_init(&second, 16, &options);
	th_ok(th_view_freeze(fixture.store, &frozen));
	th_ok(th_view_freeze(second.store, &other));
	th_expect(th_diff_open(frozen, other, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(frozen, th_view_live(fixture.store), NULL, &diff), -EINVAL);
	th_expect(th_diff_open(th_view_live(fixture.store), frozen, NULL, &diff), -EINVAL);
	th_view_close(other);
	th_view_close(frozen);
	th_fixture_release(&second);
	th_fixture_release(&fixture);
}
END_TEST

/*
 * Branches of branches: the common past of main and the grandchild is the first snapshot, two origins away.
 *
 *      main   ---a---
 *                 \--b---      work
 *                     \-----   deep
 */
START_TEST(the_common_past_is_found_across_several_origins)
{
	struct th_view *main_view, *deep;
	uint64_t nodes;

	th_fixture_init(&fixture, 64, &options);
	th_fixture_put_many(&fixture, 0, 30000, 'a');
	snapshot("a");
	th_ok(th_branch_create(fixture.store, "work", "a", NULL));
	th_fixture_put_many(&fixture, 100, 103, 'm');
	th_fixture_switch(&fixture, "work");
	th_fixture_put_many(&fixture, 200, 203, 'w');
	snapshot("b");
	th_ok(th_branch_create(fixture.store, "deep", "b", NULL));
	th_fixture_put_many(&fixture, 300, 303, 'x'); /* not in deep */
	th_fixture_switch(&fixture, "deep");
	th_fixture_put_many(&fixture, 400, 403, 'd');
	th_ok(th_view_freeze(fixture.store, &deep));
	th_ok(th_view_branch(fixture.store, "main", &main_view));
	ck_assert_uint_eq(count_changes(main_view, deep, &nodes), 9);
	ck_assert_uint_lt(nodes, 60); /* not all 30,000 records */
	ck_assert_uint_eq(count_changes(deep, main_view, &nodes), 9);
	ck_assert_uint_lt(nodes, 60);
	th_view_close(main_view);
	th_view_close(deep);
	th_fixture_release(&fixture);
}
END_TEST

/* A snapshot of a branch that a rollback has split off is compared by its present branch. */
START_TEST(a_view_follows_its_snapshot_to_a_detached_branch)
{
	struct th_view *view, *now;
	uint64_t id, nodes;

	th_fixture_init(&fixture, 64, &options);
	th_fixture_put_many(&fixture, 0, 30000, 'a');
	snapshot("a");
	th_fixture_put_many(&fixture, 100, 103, 'b');
	id = snapshot("b");
	th_ok(th_view_snapshot(fixture.store, id, &view));
	th_ok(th_store_rollback(fixture.store, "a"));
	th_fixture_put_many(&fixture, 200, 202, 'c');
	th_ok(th_view_freeze(fixture.store, &now));
	ck_assert_uint_eq(count_changes(view, now, &nodes), 5);
	ck_assert_uint_lt(nodes, 60);
	th_view_close(now);
	th_view_close(view);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_deleted_snapshot_cannot_be_opened,
				       a_branch_shows_its_head_and_the_current_one_its_present_state,
				       a_view_outlives_the_branch_that_it_shows,
				       only_fixed_views_of_one_store_are_compared,
				       the_common_past_is_found_across_several_origins,
				       a_view_follows_its_snapshot_to_a_detached_branch };

	return th_tests_run("snapshot_view", tests, sizeof(tests) / sizeof(tests[0]));
}
