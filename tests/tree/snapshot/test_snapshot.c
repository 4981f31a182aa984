/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: a thousand of them in a store that changes, their names, ids and views, and the space that they free. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/state/state.h"

#define KEYS 2000
#define SNAPSHOTS 1000
#define SPACE_SLACK (4u << (20 - TH_BLOCK_SHIFT)) /* blocks that may be missing in the end */

struct album {
	struct th_fixture fixture;
	struct th_random random;
	struct th_snapshot snapshots[SNAPSHOTS];
	uint64_t hashes[SNAPSHOTS];
	bool gone[SNAPSHOTS];
	uint64_t stamp;
};

static void put_number(struct album *album, struct th_txn *txn, unsigned number)
{
	uint8_t value[200];
	char key[24];

	snprintf(key, sizeof(key), "some/key/%06u", number);
	th_value_make(value, sizeof(value), th_slice_of(key), album->stamp++);
	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
}

static void change_some(struct album *album, unsigned count)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(album->fixture.store, &txn));
	for (unsigned i = 0; i < count; i++)
		put_number(album, txn, th_random_below(&album->random, KEYS));
	th_ok(th_txn_commit(txn));
}

static void album_init(struct album *album, const char *name)
{
	struct th_store_options options = { .cache_bytes = 1 << 20, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_txn *txn;

	album->random.state = th_test_seed(name);
	th_fixture_init(&album->fixture, 1024, &options);
	th_ok(th_txn_begin(album->fixture.store, &txn));
	for (unsigned i = 0; i < KEYS; i++)
		put_number(album, txn, i);
	th_ok(th_txn_commit(txn));
}

static uint64_t blocks_left(struct th_store *store)
{
	struct th_store_info info;

	for (int i = 0; i < 4; i++)
		th_ok(th_store_checkpoint(store));
	th_store_info(store, &info);
	return info.blocks_free + info.blocks_waiting;
}

static uint64_t snapshot_hash(struct th_store *store, uint64_t id)
{
	struct th_view *view;
	uint64_t hash;

	th_ok(th_view_snapshot(store, id, &view));
	hash = th_view_hash(view);
	th_view_close(view);
	return hash;
}

static void take_all(struct album *album)
{
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		char name[24];

		change_some(album, th_random_below(&album->random, 20));
		snprintf(name, sizeof(name), "snapshot %u", i);
		th_ok(th_snapshot_create(album->fixture.store, name, &album->snapshots[i]));
		album->hashes[i] = th_view_hash(th_view_live(album->fixture.store));
		ck_assert_uint_gt(album->snapshots[i].id, i ? album->snapshots[i - 1].id : 0);
		ck_assert_uint_lt(album->snapshots[i].id, 1u << 24);
	}
}

static void delete_some(struct album *album, unsigned percent)
{
	uint16_t order[SNAPSHOTS];

	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		unsigned j = th_random_below(&album->random, i + 1);

		order[i] = order[j];
		order[j] = (uint16_t)i;
	}
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		if (album->gone[order[i]] || !th_random_percent(&album->random, percent))
			continue;
		th_ok(th_snapshot_delete(album->fixture.store, album->snapshots[order[i]].name));
		album->gone[order[i]] = true;
		if (i % 10 == 0)
			change_some(album, 5);
	}
}

static void verify_album(struct album *album)
{
	struct th_snapshot *list;
	struct th_view *view;
	size_t count, at = 0;

	th_ok(th_snapshot_list(album->fixture.store, &list, &count));
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		if (album->gone[i]) {
			th_expect(th_view_snapshot(album->fixture.store, album->snapshots[i].id, &view), -ENOENT);
			continue;
		}
		ck_assert_uint_lt(at, count);
		ck_assert_str_eq(list[at].name, album->snapshots[i].name);
		ck_assert_uint_eq(list[at].id, album->snapshots[i].id);
		ck_assert_uint_eq(snapshot_hash(album->fixture.store, list[at].id), album->hashes[i]);
		at++;
	}
	ck_assert_uint_eq(at, count);
	free(list);
}

START_TEST(a_thousand_snapshots_free_their_space)
{
	struct album *album = calloc(1, sizeof(*album));
	uint64_t before, after;

	ck_assert_ptr_nonnull(album);
	album_init(album, "a_thousand_snapshots_free_their_space");
	before = blocks_left(album->fixture.store);
	take_all(album);
	verify_album(album);
	th_verify_check(album->fixture.store, NULL);
	th_fixture_reopen(&album->fixture);
	verify_album(album);
	delete_some(album, 50);
	verify_album(album);
	th_verify_check(album->fixture.store, NULL);
	th_fixture_reopen(&album->fixture);
	verify_album(album);
	delete_some(album, 100);
	verify_album(album);
	after = blocks_left(album->fixture.store);
	ck_assert_msg(after + SPACE_SLACK >= before, "%llu blocks were free before the snapshots, %llu after",
		      (unsigned long long)before, (unsigned long long)after);
	th_verify_check(album->fixture.store, NULL);
	th_fixture_release(&album->fixture);
	free(album);
}
END_TEST

START_TEST(names_are_checked)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/" };
	char longest[TH_SNAPSHOT_NAME_MAX + 2];
	struct th_snapshot snapshot, other;
	struct th_fixture fixture;
	struct th_view *view;

	th_fixture_init(&fixture, 16, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		th_expect(th_snapshot_create(fixture.store, bad[i], &snapshot), -EINVAL);
	memset(longest, 'n', sizeof(longest) - 1);
	longest[TH_SNAPSHOT_NAME_MAX + 1] = 0;
	th_expect(th_snapshot_create(fixture.store, longest, &snapshot), -ENAMETOOLONG);
	longest[TH_SNAPSHOT_NAME_MAX] = 0;
	th_ok(th_snapshot_create(fixture.store, longest, &snapshot));
	ck_assert_str_eq(snapshot.name, longest);
	th_ok(th_snapshot_create(fixture.store, "...", &other));
	th_ok(th_snapshot_create(fixture.store, "sp ace \xc3\xa4 \n", &other));
	th_expect(th_snapshot_create(fixture.store, "...", &other), -EEXIST);
	th_expect(th_snapshot_delete(fixture.store, "none"), -ENOENT);
	th_expect(th_snapshot_find(fixture.store, "none", &other), -ENOENT);
	th_expect(th_snapshot_find_id(fixture.store, 12345, &other), -ENOENT);
	th_expect(th_view_snapshot(fixture.store, 12345, &view), -ENOENT);
	th_expect(th_view_snapshot(fixture.store, 0, &view), -ENOENT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		th_expect(th_snapshot_rename(fixture.store, "...", bad[i]), -EINVAL);
	th_expect(th_snapshot_rename(fixture.store, "none", "other"), -ENOENT);
	th_expect(th_snapshot_rename(fixture.store, longest, "..."), -EEXIST);
	th_ok(th_snapshot_rename(fixture.store, longest, "short"));
	th_ok(th_snapshot_find(fixture.store, "short", &other));
	ck_assert_uint_eq(other.id, snapshot.id);
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_find(fixture.store, "short", &other));
	ck_assert_uint_eq(other.id, snapshot.id);
	ck_assert_uint_eq(other.created_ns, snapshot.created_ns);
	th_expect(th_snapshot_find(fixture.store, longest, &other), -ENOENT);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(an_identity_is_unique_and_stays_unless_a_copy_is_made)
{
	struct th_snapshot first, second, copy, found;
	struct th_snapshot original = { .identity = { 1, 2, 3 }, .created_ns = 12345 };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, NULL);
	th_ok(th_snapshot_create(fixture.store, "first", &first));
	th_ok(th_snapshot_create(fixture.store, "second", &second));
	ck_assert_int_ne(memcmp(first.identity, second.identity, sizeof(first.identity)), 0);
	th_ok(th_snapshot_create_copy(fixture.store, "copy", &original, &copy));
	th_expect(th_snapshot_create_copy(fixture.store, "other", &original, &copy), -EEXIST);
	th_expect(th_snapshot_create_copy(fixture.store, "first", &(struct th_snapshot){ .identity = { 4 } }, &copy),
		  -EEXIST);
	th_ok(th_snapshot_rename(fixture.store, "first", "renamed"));
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_find_identity(fixture.store, first.identity, &found));
	ck_assert_str_eq(found.name, "renamed");
	th_ok(th_snapshot_find_identity(fixture.store, original.identity, &found));
	ck_assert_str_eq(found.name, "copy");
	ck_assert_uint_eq(found.created_ns, 12345);
	th_ok(th_snapshot_delete(fixture.store, "copy"));
	th_expect(th_snapshot_find_identity(fixture.store, original.identity, &found), -ENOENT);
	th_fixture_release(&fixture);
}
END_TEST

/* Not even after all snapshots were deleted and the store was reopened. */
START_TEST(ids_are_never_reused)
{
	struct th_snapshot snapshot;
	struct th_fixture fixture;
	uint64_t last = 0;

	th_fixture_init(&fixture, 16, NULL);
	for (int i = 0; i < 6; i++) {
		th_ok(th_snapshot_create(fixture.store, "again", &snapshot));
		ck_assert_uint_gt(snapshot.id, last);
		last = snapshot.id;
		th_ok(th_snapshot_delete(fixture.store, "again"));
		if (i % 2)
			th_fixture_reopen(&fixture);
	}
	th_fixture_release(&fixture);
}
END_TEST

/* The space is freed when the view is closed. */
START_TEST(views_keep_deleted_snapshots)
{
	struct album *album = calloc(1, sizeof(*album));
	struct th_view *views[2], *diff_side;
	uint64_t before, held, after;
	struct th_snapshot other;

	ck_assert_ptr_nonnull(album);
	album_init(album, "views_keep_deleted_snapshots");
	before = blocks_left(album->fixture.store);
	for (unsigned i = 0; i < 2; i++) {
		th_ok(th_snapshot_create(album->fixture.store, i ? "two" : "one", &album->snapshots[i]));
		album->hashes[i] = th_view_hash(th_view_live(album->fixture.store));
		th_ok(th_view_snapshot(album->fixture.store, album->snapshots[i].id, &views[i]));
		change_some(album, KEYS);
	}
	th_ok(th_snapshot_delete(album->fixture.store, "two"));
	th_ok(th_snapshot_delete(album->fixture.store, "one"));
	th_expect(th_snapshot_find(album->fixture.store, "one", &other), -ENOENT);
	th_expect(th_view_snapshot(album->fixture.store, album->snapshots[0].id, &diff_side), -ENOENT);
	th_ok(th_snapshot_create(album->fixture.store, "one", &other)); /* the name is free at once */
	for (unsigned i = 0; i < 30; i++) {
		change_some(album, 200);
		th_ok(th_store_checkpoint(album->fixture.store));
	}
	ck_assert_uint_eq(th_view_hash(views[0]), album->hashes[0]);
	ck_assert_uint_eq(th_view_hash(views[1]), album->hashes[1]);
	th_ok(th_snapshot_delete(album->fixture.store, "one"));
	held = blocks_left(album->fixture.store);
	th_view_close(views[0]);
	ck_assert_uint_eq(th_view_hash(views[1]), album->hashes[1]);
	th_view_close(views[1]);
	after = blocks_left(album->fixture.store);
	ck_assert_uint_ge(after, held);
	ck_assert_uint_ge(after + SPACE_SLACK / 4, before);
	th_verify_check(album->fixture.store, NULL);
	th_fixture_reopen(&album->fixture);
	th_verify_check(album->fixture.store, NULL);
	th_fixture_release(&album->fixture);
	free(album);
}
END_TEST

/* The name is free at once.  Until a sync, a crash restores the snapshot. */
START_TEST(deletion_is_durable_after_a_sync)
{
	struct album *album = calloc(1, sizeof(*album));
	struct th_fixture *fixture = &album->fixture, crashed;
	struct th_snapshot first, second, found, *list;
	struct th_view *view;
	uint64_t commits;
	size_t count;

	album_init(album, "deletion_is_durable_after_a_sync");
	th_ok(th_snapshot_create(fixture->store, "s", &first));
	album->hashes[0] = th_view_hash(th_view_live(fixture->store));
	change_some(album, 100);
	commits = fixture->store->checkpoints;
	th_ok(th_snapshot_delete(fixture->store, "s"));
	th_expect(th_snapshot_delete(fixture->store, "s"), -ENOENT);
	th_expect(th_snapshot_rename(fixture->store, "s", "t"), -ENOENT);
	th_expect(th_snapshot_find(fixture->store, "s", &found), -ENOENT);
	th_expect(th_snapshot_find_id(fixture->store, first.id, &found), -ENOENT);
	th_expect(th_view_snapshot(fixture->store, first.id, &view), -ENOENT);
	th_expect(th_branch_create(fixture->store, "b", "s", NULL), -ENOENT);
	th_ok(th_snapshot_list(fixture->store, &list, &count));
	ck_assert_uint_eq(count, 0);
	free(list);
	ck_assert_uint_eq(fixture->store->checkpoints, commits);

	th_fixture_crash(fixture, &crashed);
	th_ok(th_snapshot_find(crashed.store, "s", &found));
	ck_assert_uint_eq(snapshot_hash(crashed.store, found.id), album->hashes[0]);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);

	th_ok(th_snapshot_create(fixture->store, "s", &second));
	ck_assert_uint_ne(second.id, first.id);
	th_ok(th_snapshot_delete(fixture->store, "s"));
	th_ok(th_store_sync(fixture->store));
	th_fixture_crash(fixture, &crashed);
	th_expect(th_snapshot_find(crashed.store, "s", &found), -ENOENT);
	th_expect(th_store_reclaim(crashed.store), 1);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(fixture);
	free(album);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		names_are_checked,
		an_identity_is_unique_and_stays_unless_a_copy_is_made,
		ids_are_never_reused,
		views_keep_deleted_snapshots,
		deletion_is_durable_after_a_sync,
		a_thousand_snapshots_free_their_space,
	};

	return th_tests_run("snapshot", tests, sizeof(tests) / sizeof(tests[0]));
}
