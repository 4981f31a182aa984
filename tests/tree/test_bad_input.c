/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong arguments: each function returns the error that its header documents, and the store is unharmed. */
#include "tests/tree/fixture.h"
#include "tree/chunk.h"
#include "tree/reference.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t long_key[TH_KEY_MAX + 2];

static struct th_slice key_of_size(size_t size)
{
	return (struct th_slice){ long_key, size };
}

/* Verifies that the store is unharmed. */
static void still_good(struct th_fixture *fixture)
{
	struct th_store_info info;
	struct th_value value;

	th_fixture_put(fixture, "good", "yes");
	th_ok(th_get(th_view_live(fixture->store), th_slice_of("good"), &value));
	th_true(th_model_same((struct th_slice){ value.data, value.size }, th_slice_of("yes")));
	th_value_release(&value);
	th_ok(th_store_checkpoint(fixture->store));
	th_store_info(fixture->store, &info);
	th_true(!info.read_only);
	th_verify_check(fixture->store, NULL);
}

/* --- the store --- */

START_TEST(format_refuses_options_outside_limits)
{
	struct th_format_options options = { 0 };
	char label[1000];
	struct th_store *store;
	struct th_disk *small, *disk;

	th_ok(th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE - 1, &small));
	th_expect(th_store_format(small, NULL), -EINVAL);
	th_disk_close(small);
	th_ok(th_disk_memory_new(TH_IMAGE_MIN / TH_BLOCK_SIZE, &disk));
	th_expect(th_store_open(disk, NULL, &store), -EMEDIUMTYPE);
	options.log_bytes = TH_IMAGE_MIN;
	th_expect(th_store_format(disk, &options), -EINVAL);
	options.log_bytes = UINT64_MAX;
	th_expect(th_store_format(disk, &options), -EINVAL);
	memset(label, 'x', sizeof(label));
	label[sizeof(label) - 1] = 0;
	options = (struct th_format_options){ .label = label };
	th_expect(th_store_format(disk, &options), -EINVAL);
	th_ok(th_store_format(disk, NULL));
	th_expect(th_store_format(disk, NULL), -EEXIST);
	options = (struct th_format_options){ .force = true };
	th_ok(th_store_format(disk, &options));
	th_expect(th_store_open(disk, &(struct th_store_options){ .branch = "none" }, &store), -ENOENT);
	th_ok(th_store_open(disk, NULL, &store)); /* a failed open leaves the disk to the caller */
	th_ok(th_store_close(store));
}
END_TEST

START_TEST(read_only_store_refuses_all_writes)
{
	struct th_fixture fixture;
	struct th_snapshot snapshot;
	struct th_store *store;
	struct th_view *view;
	struct th_txn *txn;

	th_fixture_init(&fixture, 32, NULL);
	th_ok(th_snapshot_create(fixture.store, "one", &snapshot));
	th_fixture_close(&fixture);
	fixture.options.read_only = true;
	th_fixture_open(&fixture);
	store = fixture.store;
	th_expect(th_txn_begin(store, &txn), -EROFS);
	th_expect(th_store_checkpoint(store), -EROFS);
	th_expect(th_store_sync(store), -EROFS);
	th_expect(th_snapshot_create(store, "two", &snapshot), -EROFS);
	th_expect(th_snapshot_delete(store, "one"), -EROFS);
	th_expect(th_snapshot_rename(store, "one", "two"), -EROFS);
	th_expect(th_snapshot_hold(store, "one", "tag"), -EROFS);
	th_expect(th_store_reclaim(store), -EROFS);
	th_expect(th_branch_create(store, "two", "one", NULL), -EROFS);
	th_expect(th_branch_rename(store, "main", "two"), -EROFS);
	th_expect(th_store_rollback(store, "one"), -EROFS);
	th_ok(th_view_snapshot(store, snapshot.id, &view));
	th_view_close(view);
	th_ok(th_view_freeze(store, &view));
	th_view_close(view);
	th_verify_check(store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* --- keys, values, ranges --- */

START_TEST(longer_keys_are_refused)
{
	const struct th_slice most = key_of_size(TH_KEY_MAX), more = key_of_size(TH_KEY_MAX + 1);
	struct th_fixture fixture;
	struct th_value value;
	struct th_get *get;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_txn_put(txn, more, most), -EINVAL);
	th_expect(th_txn_delete(txn, more), -EINVAL);
	th_expect(th_txn_ref(txn, more, 1), -EINVAL);
	th_expect(th_txn_get(txn, more, &value), -EINVAL);
	th_ok(th_txn_put(txn, most, more)); /* it is short for a value */
	th_ok(th_txn_put(txn, key_of_size(0), key_of_size(0)));
	th_expect(th_txn_get(txn, th_slice_of("absent"), &value), -ENOENT);
	th_ok(th_txn_commit(txn));
	th_expect(th_get(th_view_live(fixture.store), more, &value), -EINVAL);
	th_expect(th_get_async(th_view_live(fixture.store), more, &get), -EINVAL);
	th_expect(th_get(th_view_live(fixture.store), th_slice_of("absent"), &value), -ENOENT);
	th_ok(th_get_async(th_view_live(fixture.store), th_slice_of("absent"), &get));
	th_expect(th_get_finish(get, &value), -ENOENT);
	th_ok(th_get(th_view_live(fixture.store), key_of_size(0), &value));
	th_true(value.size == 0);
	th_value_release(&value);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

static void ref_much(struct th_fixture *fixture)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	for (int i = 0; i < 3; i++)
		th_ok(th_txn_ref(txn, th_slice_of("k"), INT32_MAX));
	th_ok(th_txn_commit(txn));
}

/* In a memtable, an overlay and a leaf, and in reads that add them. */
START_TEST(counts_wrap_beyond_32_bits)
{
	struct th_cursor_entry entry;
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_value value;

	th_fixture_init(&fixture, 32, NULL);
	for (int i = 0; i < 4000; i++) {
		char key[8];

		snprintf(key, sizeof(key), "k%u", i);
		th_fixture_put(&fixture, i ? key : "k", "some value that takes a little room in a leaf");
	}
	for (int i = 0; i < 4; i++) {
		ref_much(&fixture);
		th_ok(th_store_checkpoint(fixture.store));
	}
	th_ok(th_get(th_view_live(fixture.store), th_slice_of("k"), &value));
	ck_assert_int_eq(value.refs, (int32_t)(12u * INT32_MAX));
	th_value_release(&value);
	th_ok(th_cursor_open(th_view_live(fixture.store), NULL, &cursor));
	do
		th_ok(th_cursor_next(cursor, &entry));
	while (entry.key.size != 1);
	ck_assert_int_eq(entry.refs, (int32_t)(12u * INT32_MAX));
	th_cursor_close(cursor);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(larger_values_and_false_loans_are_refused)
{
	uint8_t *bytes = calloc(1, TH_VALUE_MAX + 1);
	struct th_fixture fixture;
	struct th_loan loan, other;
	struct th_txn *txn, *second;

	ck_assert_ptr_nonnull(bytes);
	th_fixture_init(&fixture, 128, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_txn_put(txn, th_slice_of("k"), (struct th_slice){ bytes, TH_VALUE_MAX + 1 }), -EINVAL);
	th_expect(th_txn_put(txn, th_slice_of("k"), (struct th_slice){ bytes, SIZE_MAX }), -EINVAL);
	th_ok(th_txn_put(txn, th_slice_of("k"), (struct th_slice){ bytes, TH_VALUE_MAX }));
	th_expect(th_txn_alloc(txn, TH_KEY_MAX + 1, 1, &loan), -EINVAL);
	th_expect(th_txn_alloc(txn, 1, TH_INLINE_MAX + 1, &loan), -EINVAL);
	th_ok(th_txn_alloc(txn, 1, TH_INLINE_MAX, &loan));
	memset(loan.key, 'l', 1);
	memset(loan.value, 'v', TH_INLINE_MAX);
	other = loan;
	th_ok(th_txn_begin(fixture.store, &second));
	th_expect(th_txn_put_loan(second, &other), -EINVAL); /* it is of another transaction */
	th_txn_rollback(second);
	other = loan;
	th_ok(th_txn_put_loan(txn, &loan));
	th_expect(th_txn_put_loan(txn, &other), -EINVAL); /* it was put already */
	th_expect(th_txn_put_loan(txn, &loan), -EINVAL);
	th_ok(th_txn_commit(txn));
	still_good(&fixture);
	th_fixture_release(&fixture);
	free(bytes);
}
END_TEST

START_TEST(large_value_without_room_leaves_transaction_unchanged)
{
	uint8_t *bytes = calloc(1, TH_VALUE_MAX);
	struct th_fixture fixture;
	struct th_value value;
	struct th_txn *txn;
	char key[8];
	int err = 0;

	ck_assert_ptr_nonnull(bytes);
	th_fixture_init(&fixture, 40, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; !err; i++) {
		snprintf(key, sizeof(key), "%u", i);
		err = th_txn_put(txn, th_slice_of(key), (struct th_slice){ bytes, TH_VALUE_MAX });
	}
	th_expect(err, -ENOSPC);
	th_expect(th_txn_get(txn, th_slice_of(key), &value), -ENOENT);
	th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of("small")));
	th_ok(th_txn_commit(txn));
	th_ok(th_get(th_view_live(fixture.store), th_slice_of("0"), &value));
	ck_assert_uint_eq(value.size, TH_VALUE_MAX);
	th_value_release(&value);
	still_good(&fixture);
	th_fixture_release(&fixture);
	free(bytes);
}
END_TEST

START_TEST(longer_bounds_are_refused)
{
	const struct th_slice most = key_of_size(TH_KEY_MAX + 1), more = key_of_size(TH_KEY_MAX + 2);
	const struct th_range behind = { key_of_size(0), most }, far = { more, { 0 } }, wide = { key_of_size(0), more };
	const struct th_range backward = { th_slice_of("b"), th_slice_of("a") };
	struct th_cursor_entry entry;
	struct th_fixture fixture;
	struct th_cursor *cursor;
	struct th_view *live, *view;
	struct th_locker *locker;
	struct th_diff *diff;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, NULL);
	live = th_view_live(fixture.store);
	th_ok(th_view_freeze(fixture.store, &view));
	th_expect(th_cursor_open(live, &far, &cursor), -EINVAL);
	th_expect(th_cursor_open(live, &wide, &cursor), -EINVAL);
	th_expect(th_prefetch(live, &wide), -EINVAL);
	th_expect(th_diff_open(view, view, &wide, &diff), -EINVAL);
	th_expect(th_diff_open(view, view, &far, &diff), -EINVAL);
	th_ok(th_diff_open(view, view, &behind, &diff));
	th_diff_close(diff);
	th_ok(th_prefetch(live, &behind));
	th_ok(th_cursor_open(live, &behind, &cursor));
	th_expect(th_cursor_seek(cursor, more), -EINVAL);
	th_expect(th_cursor_next(cursor, &entry), 1);
	th_expect(th_cursor_prev(cursor, &entry), 1);
	th_cursor_close(cursor);
	th_ok(th_cursor_open(live, &backward, &cursor)); /* it has no keys */
	th_expect(th_cursor_next(cursor, &entry), 1);
	th_cursor_close(cursor);
	th_cursor_close(NULL);
	th_ok(th_locker_new(fixture.store, &locker));
	th_expect(th_locker_lock(locker, &wide, TH_LOCK_SHARED, TH_LOCK_TRY), -EINVAL);
	th_ok(th_locker_lock(locker, &backward, TH_LOCK_EXCLUSIVE, TH_LOCK_TRY));
	th_ok(th_locker_lock(locker, NULL, TH_LOCK_SHARED, TH_LOCK_TRY));
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_txn_cursor(txn, &far, &cursor), -EINVAL);
	th_expect(th_txn_lock(txn, &wide, TH_LOCK_SHARED, TH_LOCK_TRY), -EINVAL);
	th_expect(th_txn_lock(txn, NULL, TH_LOCK_EXCLUSIVE, TH_LOCK_TRY), -EBUSY);
	th_expect(th_txn_lock(txn, NULL, TH_LOCK_EXCLUSIVE, 1), -ETIMEDOUT);
	th_expect(th_txn_delete_range(txn, far), -EINVAL);
	th_expect(th_txn_delete_range(txn, wide), -EINVAL);
	th_ok(th_txn_delete_range(txn, backward));
	th_ok(th_txn_commit(txn));
	th_locker_free(locker);
	th_locker_free(NULL);
	th_txn_rollback(NULL);
	th_view_close(view);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(prefix_range_ends_after_its_last_key)
{
	static const uint8_t last[3] = { 'a', 0xff, 0xff }, all[2] = { 0xff, 0xff };
	uint8_t space[4];
	struct th_range range = th_range_prefix((struct th_slice){ last, 3 }, space);

	th_true(th_model_same(range.to, th_slice_of("b")));
	range = th_range_prefix((struct th_slice){ all, 2 }, space);
	th_true(!range.to.data); /* no key follows its keys */
	range = th_range_prefix((struct th_slice){ NULL, 0 }, NULL);
	th_true(!range.to.data && range.from.size == 0);
}
END_TEST

/* --- names --- */

static const struct {
	const char *name;
	int error;
} bad_names[] = {
	{ "", -EINVAL }, { ".", -EINVAL }, { "..", -EINVAL }, { "a/b", -EINVAL }, { NULL, -ENAMETOOLONG },
};
#define BAD_NAMES (sizeof(bad_names) / sizeof(bad_names[0]))

static const char *bad_name(size_t i, char *space)
{
	memset(space, 'n', 256);
	space[256] = 0;
	return bad_names[i].name ? bad_names[i].name : space;
}

START_TEST(bad_snapshot_names_are_refused)
{
	struct th_snapshot one, found;
	struct th_fixture fixture;
	struct th_store *store;
	struct th_view *view;
	char space[257];

	th_fixture_init(&fixture, 32, NULL);
	store = fixture.store;
	th_ok(th_snapshot_create(store, "one", &one));
	th_ok(th_snapshot_create(store, "two", NULL));
	for (size_t i = 0; i < BAD_NAMES; i++) {
		const char *name = bad_name(i, space);

		th_expect(th_snapshot_create(store, name, &found), bad_names[i].error);
		th_expect(th_snapshot_rename(store, "one", name), bad_names[i].error);
		th_expect(th_snapshot_find(store, name, &found), -ENOENT);
		th_expect(th_snapshot_delete(store, name), -ENOENT);
		th_expect(th_store_rollback(store, name), -ENOENT);
	}
	th_expect(th_snapshot_create(store, "one", &found), -EEXIST);
	th_expect(th_snapshot_rename(store, "one", "two"), -EEXIST);
	th_expect(th_snapshot_rename(store, "none", "three"), -ENOENT);
	th_expect(th_snapshot_find_id(store, 0, &found), -ENOENT);
	th_expect(th_snapshot_find_id(store, UINT64_MAX, &found), -ENOENT);
	th_expect(th_view_snapshot(store, 0, &view), -ENOENT);
	th_expect(th_view_snapshot(store, UINT64_MAX, &view), -ENOENT);
	th_ok(th_view_snapshot(store, one.id, &view));
	th_ok(th_snapshot_delete(store, "one"));
	th_expect(th_snapshot_find_id(store, one.id, &found), -ENOENT); /* although a view of it is open */
	th_view_close(view);
	th_expect(th_view_snapshot(store, one.id, &view), -ENOENT);
	th_expect(th_snapshot_delete(store, "one"), -ENOENT);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(bad_holds_are_refused)
{
	struct th_fixture fixture;
	struct th_store *store;
	struct th_hold *list;
	char space[257];
	size_t count;

	th_fixture_init(&fixture, 32, NULL);
	store = fixture.store;
	th_ok(th_snapshot_create(store, "one", NULL));
	for (size_t i = 0; i < BAD_NAMES; i++) {
		const char *name = bad_name(i, space);

		th_expect(th_snapshot_hold(store, name, "tag"), -ENOENT);
		th_expect(th_snapshot_release(store, name, "tag"), -ENOENT);
		th_expect(th_snapshot_holds(store, name, &list, &count), -ENOENT);
	}
	th_expect(th_snapshot_hold(store, "one", ""), -EINVAL);
	th_expect(th_snapshot_hold(store, "one", space), -ENAMETOOLONG);
	th_expect(th_snapshot_release(store, "one", ""), -EINVAL);
	th_expect(th_snapshot_release(store, "one", space), -ENAMETOOLONG);
	th_expect(th_snapshot_release(store, "one", "tag"), -ENOENT);
	th_ok(th_snapshot_hold(store, "one", ".."));
	th_expect(th_snapshot_hold(store, "one", ".."), -EEXIST);
	th_expect(th_snapshot_delete(store, "one"), -EBUSY);
	th_ok(th_snapshot_release(store, "one", ".."));
	th_expect(th_snapshot_release(store, "one", ".."), -ENOENT);
	th_ok(th_snapshot_delete(store, "one"));
	th_expect(th_snapshot_hold(store, "one", "tag"), -ENOENT);
	th_ok(th_snapshot_holds(store, NULL, &list, &count));
	ck_assert_uint_eq(count, 0);
	free(list);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* Either there is nothing to reclaim, or an open view needs it. */
START_TEST(reclaim_returns_1_when_nothing_is_left)
{
	struct th_fixture fixture;
	struct th_snapshot one;
	struct th_view *view;

	th_fixture_init(&fixture, 32, NULL);
	th_expect(th_store_reclaim(fixture.store), 1);
	th_ok(th_snapshot_create(fixture.store, "one", &one));
	th_ok(th_view_snapshot(fixture.store, one.id, &view));
	th_ok(th_snapshot_delete(fixture.store, "one"));
	th_expect(th_store_reclaim(fixture.store), 1); /* the deletion is durable, and the view can still be read */
	th_expect(th_store_reclaim(fixture.store), 1);
	th_view_close(view);
	while (th_store_reclaim(fixture.store) == 0)
		;
	th_expect(th_view_snapshot(fixture.store, one.id, &view), -ENOENT);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(bad_branch_names_are_refused)
{
	struct th_fixture fixture;
	struct th_store *store;
	struct th_branch found;
	struct th_view *view;
	struct th_txn *txn;
	char space[257];

	th_fixture_init(&fixture, 32, NULL);
	store = fixture.store;
	th_ok(th_snapshot_create(store, "one", NULL));
	th_ok(th_branch_create(store, "side", "one", NULL));
	for (size_t i = 0; i < BAD_NAMES; i++) {
		const char *name = bad_name(i, space);

		th_expect(th_branch_create(store, name, "one", NULL), bad_names[i].error);
		th_expect(th_branch_create(store, "other", name, NULL), -ENOENT);
		th_expect(th_branch_rename(store, "side", name), bad_names[i].error);
		th_expect(th_branch_rename(store, name, "other"), -ENOENT);
		th_expect(th_branch_find(store, name, &found), -ENOENT);
		th_expect(th_branch_delete(store, name, false), -ENOENT);
		th_expect(th_view_branch(store, name, &view), -ENOENT);
	}
	th_expect(th_branch_create(store, "side", "one", NULL), -EEXIST);
	th_expect(th_branch_rename(store, "side", "main"), -EEXIST);
	th_expect(th_branch_delete(store, "main", true), -EBUSY);
	th_expect(th_snapshot_delete(store, "one"), -EBUSY);
	th_ok(th_txn_begin(store, &txn));
	th_expect(th_store_rollback(store, "one"), -EBUSY);
	th_txn_rollback(txn);
	th_ok(th_view_freeze(store, &view));
	th_expect(th_store_rollback(store, "one"), -EBUSY);
	th_view_close(view);
	th_ok(th_branch_delete(store, "side", false));
	th_ok(th_store_rollback(store, "one"));
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* --- references --- */

START_TEST(refused_links_leave_transaction_unchanged)
{
	const struct th_references refs = { .index = th_slice_of("index/") };
	const struct th_slice a = th_slice_of("a"), b = th_slice_of("b"), c = th_slice_of("c");
	const struct th_slice longest = key_of_size(TH_KEY_MAX - 2 - refs.index.size - a.size);
	const struct th_slice longer = key_of_size(longest.size + 1);
	struct th_fixture fixture;
	struct th_value value;
	struct th_view *part;
	struct th_txn *txn;

	th_fixture_init(&fixture, 32, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_put(txn, a, b));
	th_ok(th_txn_put(txn, longer, b));
	th_expect(th_txn_link(txn, &refs, a, a), -EINVAL);
	th_expect(th_txn_link(txn, &refs, b, c), -ENOENT);
	th_expect(th_txn_link(txn, &refs, longer, a), -ENAMETOOLONG);
	th_expect(th_txn_link(txn, &refs, a, longer), -ENAMETOOLONG);
	th_expect(th_txn_link(txn, &refs, key_of_size(SIZE_MAX), a), -ENAMETOOLONG);
	th_expect(th_txn_link(txn, &(struct th_references){ .index = key_of_size(TH_KEY_MAX) }, b, a), -ENAMETOOLONG);
	th_expect(th_txn_unlink(txn, &refs, b), -ENOENT);
	th_expect(th_txn_unlink(txn, &refs, a), -EINVAL);
	th_expect(th_txn_unlink(txn, &refs, key_of_size(TH_KEY_MAX + 1)), -EINVAL);
	th_ok(th_txn_link(txn, &refs, longest, a));
	th_ok(th_txn_link(txn, &refs, b, a));
	th_ok(th_txn_link(txn, &refs, c, b));
	th_expect(th_txn_unlink(txn, &refs, b), -EBUSY);
	th_ok(th_txn_get(txn, a, &value));
	ck_assert_int_eq(value.refs, 2);
	th_value_release(&value);
	th_ok(th_txn_unlink(txn, &refs, c));
	th_ok(th_txn_unlink(txn, &refs, b));
	th_ok(th_txn_unlink(txn, &refs, longest));
	th_expect(th_txn_unlink(txn, &refs, longest), -ENOENT);
	th_ok(th_txn_commit(txn));
	th_ok(th_get(th_view_live(fixture.store), a, &value));
	ck_assert_int_eq(value.refs, 0);
	th_value_release(&value);

	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("part/"), &part));
	th_ok(th_txn_begin_in(part, &txn));
	th_ok(th_txn_put(txn, a, b));
	th_expect(th_txn_link(txn, &refs, longest, a), -EINVAL); /* with the view's prefix it is too long */
	th_txn_rollback(txn);
	th_view_close(part);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* Puts a value that looks like a reference, but is in no index and not counted. */
static void put_false_reference(struct th_txn *txn, const char *key, const void *target, size_t size)
{
	static const uint8_t mark[TH_REFERENCE_MARK] = { 0xff, 'T', 'H', 'R', 'E', 'F', 0, 1 };
	uint8_t value[TH_REFERENCE_MARK + TH_KEY_MAX + 1];

	memcpy(value, mark, sizeof(mark));
	memcpy(value + sizeof(mark), target, size);
	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(mark) + size }));
}

START_TEST(false_references_are_followed_to_an_error)
{
	const struct th_references refs = { .index = th_slice_of("index/") };
	const struct th_slice ring = th_slice_of("ring");
	struct th_referrers *referrers;
	struct th_fixture fixture;
	struct th_slice key;
	struct th_value value;
	struct th_view *live;
	struct th_txn *txn;

	th_fixture_init(&fixture, 32, NULL);
	live = th_view_live(fixture.store);
	th_ok(th_txn_begin(fixture.store, &txn));
	put_false_reference(txn, "nowhere", "absent", 6);
	put_false_reference(txn, "empty", "", 0);
	put_false_reference(txn, "ring", "ring", 4);
	put_false_reference(txn, "far", long_key, TH_KEY_MAX);
	put_false_reference(txn, "too far", long_key, TH_KEY_MAX + 1); /* too long for a reference */
	th_ok(th_txn_commit(txn));
	th_expect(th_follow(live, th_slice_of("absent"), 9, &value), -ENOENT);
	th_expect(th_follow(live, th_slice_of("nowhere"), 9, &value), -ENOENT);
	th_expect(th_follow(live, th_slice_of("empty"), 9, &value), -ENOENT);
	th_expect(th_follow(live, th_slice_of("far"), 9, &value), -ENOENT);
	th_expect(th_follow(live, key_of_size(TH_KEY_MAX + 1), 9, &value), -EINVAL);
	th_expect(th_follow(live, ring, 0, &value), -ELOOP);
	th_expect(th_follow(live, ring, 100000, &value), -ELOOP);
	th_ok(th_follow(live, th_slice_of("too far"), 0, &value));
	th_true(!th_reference_target((struct th_slice){ value.data, value.size }, &key));
	th_value_release(&value);
	th_true(!th_reference_target((struct th_slice){ NULL, 0 }, &key));
	th_expect(th_referrers_open(live, &refs, key_of_size(TH_KEY_MAX), &referrers), -ENAMETOOLONG);
	th_ok(th_referrers_open(live, &refs, th_slice_of("absent"), &referrers)); /* the index has none */
	th_expect(th_referrers_next(referrers, &key), 1);
	th_expect(th_referrers_next(referrers, &key), 1);
	th_referrers_close(referrers);
	th_referrers_close(NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_txn_follow(txn, ring, 7, &value), -ELOOP);
	th_expect(th_txn_follow(txn, th_slice_of("nowhere"), 7, &value), -ENOENT);
	th_expect(th_txn_referrers(txn, &refs, key_of_size(TH_KEY_MAX), &referrers), -ENAMETOOLONG);
	th_ok(th_txn_unlink(txn, &refs, th_slice_of("nowhere"))); /* its target is absent */
	th_ok(th_txn_unlink(txn, &refs, th_slice_of("empty")));
	th_ok(th_txn_commit(txn));
	th_expect(th_get(live, th_slice_of("nowhere"), &value), -ENOENT);
	th_expect(th_get(live, th_slice_of("absent"), &value), -ENOENT);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

/* --- views --- */

START_TEST(diffs_of_live_or_foreign_views_are_refused)
{
	struct th_fixture fixture, other;
	struct th_view *live, *view, *foreign;
	struct th_diff *diff;

	th_fixture_init(&fixture, 32, NULL);
	th_fixture_init(&other, 32, NULL);
	live = th_view_live(fixture.store);
	th_ok(th_view_freeze(fixture.store, &view));
	th_ok(th_view_freeze(other.store, &foreign));
	th_expect(th_diff_open(live, view, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(view, live, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(view, foreign, NULL, &diff), -EINVAL);
	th_view_close(live); /* ignored */
	th_view_close(NULL);
	th_view_close(view);
	th_view_close(foreign);
	still_good(&fixture);
	still_good(&other);
	th_fixture_release(&fixture);
	th_fixture_release(&other);
}
END_TEST

/* --- chunks --- */

/* Refuses runs that begin or end outside data. */
static void bad_runs(struct th_store *store, struct th_txn *txn, void *block)
{
	struct th_store_info info;
	uint64_t sum = 0;

	th_store_info(store, &info);
	const struct th_run runs[] = {
		{ .addr = 0, .blocks = 1 },
		{ .addr = 1, .blocks = 1 }, /* a superblock */
		{ .addr = 100, .blocks = 1 }, /* the log */
		{ .addr = info.blocks - 1, .blocks = 1 },
		{ .addr = info.blocks / 2, .blocks = 0 },
		{ .addr = info.blocks / 2, .blocks = UINT32_MAX },
		{ .addr = info.blocks, .blocks = 1 },
		{ .addr = UINT64_MAX, .blocks = 2 },
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct th_run shared;

		th_expect(th_chunk_drop(txn, &runs[i]), -EINVAL);
		th_expect(th_chunk_share(txn, &runs[i], &shared), -EINVAL);
		th_expect(th_chunk_write(txn, &runs[i], block, &sum), -EINVAL);
		th_expect(th_chunk_read(store, runs[i].addr, runs[i].blocks, &sum, block), -EUCLEAN);
	}
}

START_TEST(bad_runs_are_refused)
{
	char *block = th_disk_buffer(2 * TH_BLOCK_SIZE);
	struct th_fixture fixture;
	struct th_store *store;
	struct th_run run, wrong;
	struct th_txn *txn;
	uint64_t hint = 0, sum;

	ck_assert_ptr_nonnull(block);
	memset(block, 'x', TH_BLOCK_SIZE);
	th_fixture_init(&fixture, 32, NULL);
	store = fixture.store;
	th_expect(th_chunk_reserve(store, UINT32_MAX), -ENOSPC);
	th_ok(th_txn_begin(store, &txn));
	bad_runs(store, txn, block);
	th_expect(th_chunk_alloc(txn, 0, false, &hint, &run), -EINVAL);
	th_expect(th_chunk_alloc(txn, TH_RUN_MAX + 1, false, &hint, &run), -EINVAL);
	th_ok(th_chunk_alloc(txn, 1, false, &hint, &run));
	sum = th_chunk_checksum(block);
	wrong = run;
	wrong.addr++;
	th_expect(th_chunk_write(txn, &wrong, block, &sum), -EINVAL); /* not allocated by this transaction */
	th_expect(th_chunk_write(txn, &run, block + 1, &sum), -EINVAL); /* an unaligned buffer */
	th_ok(th_chunk_write(txn, &run, block, &sum));
	block = th_disk_buffer(2 * TH_BLOCK_SIZE);
	th_expect(th_chunk_write(txn, &run, block, &sum), -EINVAL); /* twice */
	th_ok(th_chunk_read(store, run.addr, 1, &sum, block));
	sum++;
	th_expect(th_chunk_read(store, run.addr, 1, &sum, block), -EBADMSG);
	th_txn_rollback(txn);
	free(block);
	still_good(&fixture);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { format_refuses_options_outside_limits,
				       read_only_store_refuses_all_writes,
				       longer_keys_are_refused,
				       counts_wrap_beyond_32_bits,
				       larger_values_and_false_loans_are_refused,
				       large_value_without_room_leaves_transaction_unchanged,
				       longer_bounds_are_refused,
				       prefix_range_ends_after_its_last_key,
				       bad_snapshot_names_are_refused,
				       bad_holds_are_refused,
				       reclaim_returns_1_when_nothing_is_left,
				       bad_branch_names_are_refused,
				       refused_links_leave_transaction_unchanged,
				       false_references_are_followed_to_an_error,
				       diffs_of_live_or_foreign_views_are_refused,
				       bad_runs_are_refused };

	return th_tests_run("bad_input", tests, sizeof(tests) / sizeof(tests[0]));
}
