/* SPDX-License-Identifier: Apache-2.0 */
/* The space that deleting snapshots frees: compared with the space that it did free. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/extents.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .runs = th_extents_runs };

#define FILES 24
#define RECORDS 400

/* Returns the blocks of data and of nodes that only snapshots and heads have: without lists and the meta tree, which
 * deletions change too.  Reclaims everything first. */
static uint64_t blocks_of(struct th_fixture *fixture)
{
	const struct th_usage_counts *usage = &fixture->store->usage;
	struct th_store_info info;

	th_fixture_used(fixture);
	th_store_info(fixture->store, &info);
	return info.blocks - info.blocks_free - info.blocks_waiting - usage->pages - usage->nodes + usage->dead_nodes;
}

static uint64_t space_of(struct th_fixture *fixture, const uint64_t *ids, size_t count)
{
	uint64_t bytes = 1;

	th_ok(th_snapshot_space(fixture->store, ids, count, &bytes));
	ck_assert_uint_eq(bytes % 4096, 0);
	return bytes / 4096;
}

static uint64_t id_of(struct th_fixture *fixture, const char *name)
{
	struct th_snapshot snapshot;

	th_ok(th_snapshot_find(fixture->store, name, &snapshot));
	return snapshot.id;
}

/* --- random histories --- */

static void put_records(struct th_fixture *fixture, struct th_random *random)
{
	unsigned from = th_random_below(random, RECORDS), count = th_random_below(random, 60);
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = from; i < from + count; i++) {
		char key[16], value[300];

		th_random_fill(random, value, sizeof(value));
		snprintf(key, sizeof(key), "key %u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

static bool exists(struct th_fixture *fixture, const char *key)
{
	struct th_value value;

	if (th_get(th_view_live(fixture->store), th_slice_of(key), &value))
		return false;
	th_value_release(&value);
	return true;
}

static void put_file(struct th_fixture *fixture, struct th_random *random, const char *key)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_extents_put(txn, random, key);
	th_ok(th_txn_commit(txn));
}

/* Makes a file that shares a part of the blocks of another one. */
static void share_file(struct th_fixture *fixture, struct th_random *random, const char *from, const char *to)
{
	struct th_extents file;
	uint8_t value[sizeof(file)];
	struct th_value old;
	struct th_txn *txn;
	uint32_t first, last;

	th_ok(th_get(th_view_live(fixture->store), th_slice_of(from), &old));
	th_extents_unpack((struct th_slice){ old.data, old.size }, &file);
	th_value_release(&old);
	first = th_random_below(random, file.extents[0].run.blocks);
	last = th_random_between(random, first + 1, file.extents[0].run.blocks);
	th_extent_cut(&file.extents[0], first, last);
	th_ok(th_txn_begin(fixture->store, &txn));
	th_ok(th_chunk_share(txn, &file.extents[0].run, &file.extents[0].run));
	th_ok(th_txn_put(txn, th_slice_of(to), (struct th_slice){ value, th_extents_pack(&file, value) }));
	th_ok(th_txn_commit(txn));
}

static void change_files(struct th_fixture *fixture, struct th_random *random)
{
	for (unsigned i = th_random_below(random, 8); i > 0; i--) {
		char key[16], other[16];

		snprintf(key, sizeof(key), "file %u", th_random_below(random, FILES));
		snprintf(other, sizeof(other), "file %u", th_random_below(random, FILES));
		if (exists(fixture, key) && !exists(fixture, other))
			share_file(fixture, random, key, other);
		else if (exists(fixture, key))
			th_extents_drop(fixture, key);
		else
			put_file(fixture, random, key);
	}
}

/* Deletes a random set of snapshots, and compares.  Returns whether there was anything to compare. */
static bool delete_some(struct th_fixture *fixture, struct th_random *random)
{
	uint64_t ids[64], before, expected;
	struct th_snapshot *list;
	size_t count, chosen = 0;
	unsigned percent = th_random_between(random, 10, 100);
	int ret;

	before = blocks_of(fixture);
	th_ok(th_snapshot_list(fixture->store, &list, &count));
	for (size_t i = 0; i < count; i++) {
		uint64_t alone;

		ret = th_snapshot_space(fixture->store, &list[i].id, 1, &alone);
		ck_assert_int_ge(ret, 0);
		if (ret == 0 && th_random_percent(random, percent))
			ids[chosen++] = list[i].id;
	}
	ret = th_snapshot_space(fixture->store, ids, chosen, &expected);
	ck_assert_int_ge(ret, 0); /* 1: all of a detached branch */
	for (size_t i = 0; i < count && ret == 0; i++) {
		for (size_t k = 0; k < chosen; k++) {
			if (ids[k] == list[i].id)
				th_ok(th_snapshot_delete(fixture->store, list[i].name));
		}
	}
	free(list);
	if (ret == 0)
		ck_assert_uint_eq(expected / 4096, before - blocks_of(fixture));
	return ret == 0 && expected > 0;
}

static uint64_t seed;

/* A history of changes, snapshots, rollbacks and branches, with deletions in between. */
START_TEST(predicted_space_is_what_deletion_frees)
{
	struct th_random random = { seed };
	struct th_fixture fixture;
	unsigned rounds = th_test_rounds(150), compared = 0, last = 0;
	char name[32];

	th_fixture_init(&fixture, 64, &options);
	for (unsigned i = 0; i < rounds; i++) {
		struct th_snapshot *list;
		size_t count;

		put_records(&fixture, &random);
		change_files(&fixture, &random);
		if (th_random_percent(&random, 30))
			th_ok(th_store_checkpoint(fixture.store));
		snprintf(name, sizeof(name), "s%u", i);
		if (th_random_percent(&random, 60))
			th_ok(th_snapshot_create(fixture.store, name, NULL));
		th_ok(th_snapshot_list(fixture.store, &list, &count));
		if (count && th_random_percent(&random, 4))
			th_ok(th_store_rollback(fixture.store, list[th_random_below(&random, (uint32_t)count)].name));
		free(list);
		if (th_random_percent(&random, 5))
			th_fixture_reopen(&fixture);
		if (count > 40 || (i - last > 6 && th_random_percent(&random, 20))) {
			compared += delete_some(&fixture, &random);
			last = i;
		}
	}
	ck_assert_uint_gt(compared, rounds / 40);
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}
END_TEST

/* --- single cases --- */

/* A range frees more than the sum of its parts: blocks that were born and died within it. */
START_TEST(two_snapshots_share_what_neither_holds_alone)
{
	struct th_random random = { 1 };
	struct th_fixture fixture;
	uint64_t a, b, both[2], empty;

	th_fixture_init(&fixture, 32, &options);
	th_ok(th_snapshot_create(fixture.store, "before", NULL));
	put_file(&fixture, &random, "file 1");
	th_ok(th_snapshot_create(fixture.store, "a", NULL));
	th_ok(th_snapshot_create(fixture.store, "b", NULL));
	th_extents_drop(&fixture, "file 1");
	th_ok(th_snapshot_create(fixture.store, "c", NULL));
	both[0] = id_of(&fixture, "b");
	both[1] = id_of(&fixture, "a");
	a = space_of(&fixture, &both[1], 1);
	b = space_of(&fixture, &both[0], 1);
	ck_assert_uint_ge(space_of(&fixture, both, 2), a + b + 8);
	ck_assert_uint_lt(a, 8);
	ck_assert_uint_lt(b, 8);
	th_ok(th_snapshot_space(fixture.store, NULL, 0, &empty));
	ck_assert_uint_eq(empty, 0);
	/* While one is being deleted, but not reclaimed yet, the other one holds the file alone. */
	th_ok(th_snapshot_delete(fixture.store, "a"));
	ck_assert_uint_ge(space_of(&fixture, both, 1), 8);
	th_fixture_release(&fixture);
}
END_TEST

/* Data that two files of one snapshot share is free with the last of them. */
START_TEST(shared_blocks_count_when_all_references_go)
{
	struct th_random random = { 1 };
	struct th_fixture fixture;
	uint64_t id;

	th_fixture_init(&fixture, 32, &options);
	put_file(&fixture, &random, "file 1");
	for (unsigned i = 2; i <= 3; i++) {
		char key[16];

		snprintf(key, sizeof(key), "file %u", i);
		share_file(&fixture, &(struct th_random){ 1 }, "file 1", key);
	}
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	id = id_of(&fixture, "s");
	th_extents_drop(&fixture, "file 1");
	th_extents_drop(&fixture, "file 2");
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_lt(space_of(&fixture, &id, 1), 8 + 4);
	th_extents_drop(&fixture, "file 3");
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_uint_ge(space_of(&fixture, &id, 1), 8);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(unknown_and_missing)
{
	struct th_fixture fixture;
	uint64_t a, missing = 77, space, ids[2];

	th_fixture_init(&fixture, 32, &options);
	th_ok(th_snapshot_create(fixture.store, "a", NULL));
	th_ok(th_snapshot_create(fixture.store, "b", NULL));
	th_expect(th_snapshot_space(fixture.store, &missing, 1, &space), -ENOENT);
	ids[0] = a = id_of(&fixture, "a");
	ids[1] = id_of(&fixture, "b");
	th_ok(th_branch_create(fixture.store, "branch", "a", NULL));
	th_expect(th_snapshot_space(fixture.store, &a, 1, &space), 1);
	th_expect(th_snapshot_space(fixture.store, ids, 2, &space), 1);
	th_ok(th_branch_delete(fixture.store, "branch", false));
	th_ok(th_snapshot_space(fixture.store, ids, 2, &space));
	th_ok(th_store_rollback(fixture.store, "a"));
	th_expect(th_snapshot_space(fixture.store, &ids[1], 1, &space), 1); /* the last one of a detached branch */
	th_ok(th_snapshot_delete(fixture.store, "b"));
	th_expect(th_snapshot_space(fixture.store, &ids[1], 1, &space), -ENOENT);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(snapshots_follow_each_other)
{
	struct th_snapshot snapshot;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 32, &options);
	th_expect(th_snapshot_next(fixture.store, 0, &snapshot), -ENOENT);
	th_ok(th_snapshot_create(fixture.store, "a", NULL));
	th_ok(th_snapshot_create(fixture.store, "b", NULL));
	th_ok(th_snapshot_create(fixture.store, "c", NULL));
	th_ok(th_snapshot_delete(fixture.store, "b"));
	th_ok(th_snapshot_next(fixture.store, 0, &snapshot));
	ck_assert_str_eq(snapshot.name, "a");
	th_ok(th_snapshot_next(fixture.store, snapshot.id, &snapshot));
	ck_assert_str_eq(snapshot.name, "c");
	th_expect(th_snapshot_next(fixture.store, snapshot.id, &snapshot), -ENOENT);
	th_expect(th_snapshot_next(fixture.store, UINT64_MAX, &snapshot), -ENOENT);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { predicted_space_is_what_deletion_frees,
				       two_snapshots_share_what_neither_holds_alone,
				       shared_blocks_count_when_all_references_go, unknown_and_missing,
				       snapshots_follow_each_other };

	seed = th_test_seed("snapshot_space");
	return th_tests_run("snapshot_space", tests, sizeof(tests) / sizeof(tests[0]));
}
