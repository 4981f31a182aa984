/* SPDX-License-Identifier: Apache-2.0 */
/* Lineage: predecessors, origins, and the snapshots that branches pin. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/catalogue/lineage.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

static uint64_t create(struct th_fixture *fixture, const char *name)
{
	struct th_snapshot snapshot;

	th_fixture_put(fixture, "key", name);
	th_ok(th_snapshot_create(fixture->store, name, &snapshot));
	return snapshot.generation;
}

static uint64_t id_of(struct th_store *store, const char *name)
{
	struct th_snapshot snapshot;

	th_ok(th_snapshot_find(store, name, &snapshot));
	return snapshot.id;
}

START_TEST(limit_follows_snapshots_and_origin)
{
	struct th_fixture fixture;
	uint64_t one, two;

	th_fixture_init(&fixture, 16, &options);
	ck_assert_uint_eq(th_lineage_limit(fixture.store), 0);
	one = create(&fixture, "one");
	ck_assert_uint_eq(th_lineage_limit(fixture.store), one);
	th_ok(th_branch_create(fixture.store, "work", "one", NULL));
	create(&fixture, "newer, on main");
	th_fixture_switch(&fixture, "work");
	ck_assert_uint_eq(th_lineage_limit(fixture.store), one); /* no snapshot yet: the origin */
	two = create(&fixture, "two");
	ck_assert_uint_eq(th_lineage_limit(fixture.store), two);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(predecessors_are_of_the_branch)
{
	const struct th_branch_record *branch;
	struct th_fixture fixture;
	struct th_store *store;
	uint64_t one, two;

	th_fixture_init(&fixture, 16, &options);
	one = create(&fixture, "one");
	th_ok(th_branch_create(fixture.store, "work", "one", NULL));
	two = create(&fixture, "two");
	th_fixture_switch(&fixture, "work");
	create(&fixture, "three");
	store = fixture.store;
	branch = th_branch_table_named(&store->branches, "main");
	ck_assert_uint_eq(th_lineage_before(store, 0, branch), 0);
	ck_assert_uint_eq(th_lineage_before(store, 1, branch), one);
	ck_assert_uint_eq(th_lineage_before(store, 3, branch), two);
	ck_assert_uint_eq(th_lineage_newest(store, branch->id)->info.generation, two);
	branch = th_branch_table_named(&store->branches, "work");
	ck_assert_uint_eq(th_lineage_before(store, 2, branch), one); /* "three" follows the origin */
	ck_assert_uint_eq(th_lineage_origin(store, branch), one);
	ck_assert_uint_eq(th_lineage_origin(store, NULL), 0);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(only_visible_branches_pin_their_origin)
{
	const struct th_branch_record *detached;
	struct th_fixture fixture;
	struct th_store *store;
	struct th_view *view;
	uint64_t one, two;

	th_fixture_init(&fixture, 16, &options);
	store = fixture.store;
	create(&fixture, "one");
	create(&fixture, "two");
	one = id_of(store, "one");
	two = id_of(store, "two");
	ck_assert(!th_lineage_pins(store, one));
	th_ok(th_store_rollback(store, "one")); /* "two" is detached now, and begins from "one" */
	detached = th_branch_table_from(&store->branches, one);
	ck_assert_ptr_nonnull(detached);
	ck_assert(detached->detached);
	ck_assert(th_lineage_visible(store, detached));
	ck_assert(th_lineage_pins(store, one));
	ck_assert(!th_lineage_pins(store, two));
	th_ok(th_view_snapshot(store, two, &view)); /* keeps it from being reclaimed */
	th_ok(th_snapshot_delete(store, "two"));
	ck_assert(!th_lineage_visible(store, detached));
	ck_assert(!th_lineage_pins(store, one));
	th_view_close(view);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		limit_follows_snapshots_and_origin,
		predecessors_are_of_the_branch,
		only_visible_branches_pin_their_origin,
	};

	return th_tests_run("lineage", tests, sizeof(tests) / sizeof(tests[0]));
}
