/* SPDX-License-Identifier: Apache-2.0 */
/* Subtree views: each must behave like a store that has the keys below its prefix, and no others. */
#include "tests/tree/past.h"
#include "tests/tree/walk.h"

#include "journal/disk/future.h"

#include <stdio.h>
#include <stdlib.h>

static struct th_slice join(struct th_slice head, struct th_slice tail, uint8_t *space)
{
	memcpy(space, head.data, head.size);
	memcpy(space + head.size, tail.data, tail.size);
	return (struct th_slice){ space, head.size + tail.size };
}

static struct th_slice copy(struct th_slice key, uint8_t *space)
{
	return join(key, (struct th_slice){ "", 0 }, space);
}

/* --- reading --- */

static void verify_get_async(struct th_view *view, const struct th_model *model, struct th_slice key)
{
	const struct th_model_entry *expected = th_model_get(model, key);
	struct th_value value;
	struct th_get *get;

	th_ok(th_get_async(view, key, &get));
	th_expect(th_get_finish(get, &value), expected ? 0 : -ENOENT);
	if (!expected)
		return;
	th_true(th_model_same(expected->value, (struct th_slice){ value.data, value.size }));
	th_true(expected->refs == value.refs);
	th_value_release(&value);
}

/* Picks a key for a view with such a prefix, often one that exists. */
static struct th_slice pick_below(struct th_past *past, const struct th_model *below, size_t prefix_size,
				  uint8_t *space)
{
	struct th_keys keys = past->keys;

	keys.taken = (uint32_t)prefix_size;
	if (below->count && th_random_percent(&past->random, 70))
		return below->entries[th_random_below(&past->random, (uint32_t)below->count)]->key;
	return th_keys_pick(&keys, &past->random, space);
}

/* Verifies random walks in all of the view, or in a range of it. */
static void walk_view(struct th_past *past, struct th_view *view, const struct th_model *below, size_t prefix_size)
{
	bool bounded = th_random_percent(&past->random, 50);
	struct th_keys keys = past->keys;
	uint8_t space[2 * TH_KEY_MAX];
	struct th_range range;
	struct th_cursor *cursor;

	keys.taken = (uint32_t)prefix_size;
	range = th_range_pick(&keys, &past->random, below, space);
	th_ok(th_prefetch(view, &range));
	th_ok(th_cursor_open(view, bounded ? &range : NULL, &cursor));
	th_verify_walk(cursor, below, bounded ? &range : NULL, &keys, &past->random, 200);
	th_cursor_close(cursor);
}

static void verify_view(struct th_past *past, struct th_view *view, const struct th_model *below, size_t prefix_size)
{
	uint8_t space[TH_KEY_MAX];

	th_verify_scan(view, below, NULL);
	for (int i = 0; i < 20; i++) {
		th_verify_get(view, below, pick_below(past, below, prefix_size, space));
		verify_get_async(view, below, pick_below(past, below, prefix_size, space));
	}
	walk_view(past, view, below, prefix_size);
}

START_TEST(subtree_view_reads_only_its_keys)
{
	struct th_past *past = th_past_new(th_test_seed("subtree_view_reads_only_its_keys"));
	unsigned rounds = th_test_rounds(60);
	uint8_t space[TH_KEY_MAX];

	while (rounds--) {
		uint32_t at = th_random_below(&past->random, TH_PAST_STAGES + 1);
		struct th_view *above = at < TH_PAST_STAGES ? past->views[at] : th_view_live(past->fixture.store),
			       *view;
		struct th_slice prefix = th_past_prefix(&past->random, space);
		struct th_model *below = th_model_below(at < TH_PAST_STAGES ? past->models[at] : past->live, prefix);

		th_ok(th_view_subtree(above, prefix, &view));
		verify_view(past, view, below, prefix.size);
		th_view_close(view);
		th_model_unref(below);
	}
	th_past_free(past);
}
END_TEST

/* A subtree view of a subtree view keeps the views above it. */
static void nested(uint64_t seed)
{
	struct th_past *past = th_past_new(seed);
	struct th_slice prefix = th_slice_of("home/user1/dir3/");
	struct th_model *below = th_model_below(past->models[0], prefix);
	struct th_view *home, *user, *dir;

	th_ok(th_view_subtree(past->views[0], th_slice_of("home/"), &home));
	th_ok(th_view_subtree(home, th_slice_of("user1/"), &user));
	th_view_close(home);
	th_ok(th_view_subtree(user, th_slice_of("dir3/"), &dir));
	th_view_close(user);
	th_ok(th_snapshot_delete(past->fixture.store, "stage-0"));
	th_view_close(past->views[0]);
	past->views[0] = NULL;
	th_past_write(past, TH_PAST_WRITES);
	th_ok(th_store_checkpoint(past->fixture.store));
	verify_view(past, dir, below, prefix.size);
	th_view_close(dir);
	th_model_unref(below);
	th_past_free(past);
}

START_TEST(nested_subtree_view_outlives_the_views_above)
{
	nested(th_test_seed("nested_subtree_view_outlives_the_views_above"));
	nested(1338491208); /* once left a node with too many messages to be written (push_down.c) */
}
END_TEST

/* --- writing --- */

struct writer {
	struct th_past *past;
	struct th_slice prefix;
	struct th_txn *txn;
	struct th_model *below; /* the transaction's view of the keys below the prefix */
	uint8_t whole[TH_KEY_MAX];
};

static void writer_put(struct writer *writer, struct th_slice key)
{
	struct th_slice whole = join(writer->prefix, key, writer->whole), value;
	uint8_t bytes[2 * TH_INLINE_MAX];
	struct th_loan loan;

	value = (struct th_slice){ bytes, th_random_percent(&writer->past->random, 5) ? sizeof(bytes) : 40 };
	th_value_make(bytes, value.size, key, writer->past->stamp++);
	if (value.size > TH_INLINE_MAX || th_random_percent(&writer->past->random, 50)) {
		th_ok(th_txn_put(writer->txn, key, value));
	} else {
		th_ok(th_txn_alloc(writer->txn, key.size, value.size, &loan));
		memcpy(loan.key, key.data, key.size);
		memcpy(loan.value, value.data, value.size);
		th_ok(th_txn_put_loan(writer->txn, &loan));
	}
	th_model_put(writer->past->live, whole, value);
	th_model_put(writer->below, key, value);
}

/* Deletes a range of about five keys, or to the end of the subtree. */
static void writer_delete_range(struct writer *writer, struct th_slice key)
{
	struct th_range range = { .from = key }, whole;
	uint8_t below_end[TH_KEY_MAX], end[TH_KEY_MAX];
	size_t first, last;

	th_model_bounds(writer->below, &range, &first, &last);
	if (last - first > 5 && th_random_percent(&writer->past->random, 80))
		range.to = copy(writer->below->entries[first + 5]->key, below_end);
	whole = th_range_prefix(writer->prefix, end);
	whole.from = join(writer->prefix, key, writer->whole);
	if (range.to.data)
		whole.to = join(writer->prefix, range.to, end);
	th_ok(th_txn_delete_range(writer->txn, range));
	th_model_delete_range(writer->past->live, whole);
	th_model_delete_range(writer->below, range);
}

static void writer_step(struct writer *writer)
{
	struct th_random *random = &writer->past->random;
	uint8_t space[TH_KEY_MAX], own[TH_KEY_MAX];
	struct th_slice key = copy(pick_below(writer->past, writer->below, writer->prefix.size, space), own);
	uint32_t what = th_random_below(random, 100);

	if (what < 60) {
		writer_put(writer, key);
	} else if (what < 75) {
		th_ok(th_txn_delete(writer->txn, key));
		th_model_delete(writer->past->live, join(writer->prefix, key, writer->whole));
		th_model_delete(writer->below, key);
	} else if (what < 80) {
		writer_delete_range(writer, key);
	} else if (what < 90) {
		th_ok(th_txn_ref(writer->txn, key, 2));
		th_model_ref(writer->past->live, join(writer->prefix, key, writer->whole), 2);
		th_model_ref(writer->below, key, 2);
	} else {
		th_verify_txn_get(writer->txn, writer->below, key);
	}
}

START_TEST(transaction_in_subtree_view_writes_only_its_keys)
{
	struct th_past *past = th_past_new(th_test_seed("transaction_in_subtree_view_writes_only_its_keys"));
	unsigned rounds = th_test_rounds(60);
	uint8_t space[TH_KEY_MAX];

	while (rounds--) {
		struct writer writer = { .past = past, .prefix = th_past_prefix(&past->random, space) };
		struct th_cursor *cursor;
		struct th_view *view;

		th_ok(th_view_subtree(th_view_live(past->fixture.store), writer.prefix, &view));
		writer.below = th_model_below(past->live, writer.prefix);
		th_ok(th_txn_begin_in(view, &writer.txn));
		for (uint32_t i = th_random_below(&past->random, 200); i; i--)
			writer_step(&writer);
		th_ok(th_txn_cursor(writer.txn, NULL, &cursor));
		th_verify_cursor(cursor, writer.below, NULL);
		th_cursor_close(cursor);
		th_ok(th_txn_commit(writer.txn));
		th_verify_scan(view, writer.below, NULL);
		th_verify_scan(th_view_live(past->fixture.store), past->live, NULL);
		th_view_close(view);
		th_model_unref(writer.below);
	}
	th_past_free(past);
}
END_TEST

/* The end of the last possible subtree has no key: it is the end of the tree, also in the log and on disk. */
START_TEST(range_to_the_end_of_the_last_subtree_is_durable)
{
	static const char *const keys[] = { "a", "\xfe\xff", "\xff", "\xff\xff", "\xff\xff\xff" };
	struct th_range from = { .from = th_slice_of("\xff") };
	struct th_fixture fixture, crashed;
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_disk *image;
	struct th_view *view;
	struct th_txn *txn;
	uint8_t last[TH_KEY_MAX];

	th_fixture_init(&fixture, 16, NULL);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		th_fixture_put(&fixture, keys[i], "value");
	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("\xff"), &view));
	th_ok(th_txn_begin_in(view, &txn));
	memset(last, 0xff, sizeof(last));
	th_ok(th_txn_put(txn, (struct th_slice){ last, sizeof(last) - 1 }, th_slice_of("last")));
	th_ok(th_txn_delete_range(txn, from));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_sync(fixture.store));
	th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
	th_view_close(view);
	th_fixture_adopt(&crashed, image, NULL);
	th_fixture_open(&crashed);
	th_ok(th_store_checkpoint(crashed.store));
	th_verify_check(crashed.store, NULL);
	th_ok(th_cursor_open(th_view_live(crashed.store), NULL, &cursor));
	for (size_t i = 0; i < 3; i++) {
		th_ok(th_cursor_next(cursor, &entry));
		th_true(th_model_same(entry.key, th_slice_of(keys[i])));
	}
	th_expect(th_cursor_next(cursor, &entry), 1);
	th_cursor_close(cursor);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

/* --- locks --- */

static int try_lock(struct th_locker *locker, const char *from, const char *to)
{
	struct th_range range = { .from = th_slice_of(from) };

	if (to)
		range.to = th_slice_of(to);
	return th_locker_lock(locker, &range, TH_LOCK_EXCLUSIVE, TH_LOCK_TRY);
}

START_TEST(locks_of_subtree_views_are_of_whole_keys)
{
	struct th_locker *locker, *below, *other;
	struct th_fixture fixture;
	struct th_view *a, *b;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("a/"), &a));
	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("b/"), &b));
	th_ok(th_locker_new(fixture.store, &locker));
	th_ok(th_locker_new_in(a, &below));
	th_ok(th_locker_new_in(b, &other));
	th_ok(try_lock(below, "k", "l"));
	th_ok(try_lock(other, "k", "l"));
	th_expect(try_lock(locker, "a/kk", "a/kl"), -EBUSY);
	th_expect(try_lock(locker, "b/kk", "b/kl"), -EBUSY);
	th_ok(try_lock(locker, "a/l", "b/k"));
	th_expect(try_lock(below, "x", NULL), -EBUSY);
	th_locker_unlock(locker);
	th_ok(try_lock(below, "x", NULL)); /* to the end of a/ only */
	th_ok(try_lock(locker, "a0", "b/k"));
	th_locker_unlock(below);
	th_locker_unlock(locker);
	th_ok(th_txn_begin_in(a, &txn));
	th_ok(th_txn_lock(txn, NULL, TH_LOCK_EXCLUSIVE, TH_LOCK_TRY)); /* all of a/ */
	th_expect(try_lock(locker, "a/", "a/\x01"), -EBUSY);
	th_ok(try_lock(locker, "", "a/"));
	th_ok(try_lock(locker, "a0", "b/"));
	th_txn_rollback(txn);
	th_locker_free(locker);
	th_locker_free(below);
	th_locker_free(other);
	th_view_close(a);
	th_view_close(b);
	th_fixture_release(&fixture);
}
END_TEST

/* --- errors --- */

/* With a prefix of TH_KEY_MAX - 4 bytes, a key has at most 4. */
START_TEST(prefix_counts_in_the_length_of_keys)
{
	static uint8_t bytes[TH_KEY_MAX + 2];
	struct th_slice prefix = { bytes, TH_KEY_MAX - 4 }, longest = { bytes, 4 }, too_long = { bytes, 5 };
	struct th_slice bound_too_long = { bytes, 6 };
	struct th_range range = { .from = bound_too_long };
	struct th_fixture fixture;
	struct th_locker *locker;
	struct th_cursor *cursor;
	struct th_value value;
	struct th_view *view, *part;
	struct th_loan loan;
	struct th_get *get;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	th_expect(th_view_subtree(th_view_live(fixture.store), (struct th_slice){ bytes, TH_KEY_MAX + 1 }, &view),
		  -EINVAL);
	th_ok(th_view_subtree(th_view_live(fixture.store), prefix, &view));
	th_expect(th_view_subtree(view, too_long, &part), -EINVAL);
	th_ok(th_view_subtree(view, longest, &part));
	th_expect(th_get(view, too_long, &value), -EINVAL);
	th_expect(th_get(part, (struct th_slice){ bytes, 1 }, &value), -EINVAL);
	th_expect(th_get(part, (struct th_slice){ bytes, 0 }, &value), -ENOENT);
	th_expect(th_get_async(view, too_long, &get), -EINVAL);
	th_expect(th_cursor_open(view, &range, &cursor), -EINVAL);
	th_expect(th_prefetch(view, &range), -EINVAL);
	th_ok(th_locker_new_in(view, &locker));
	th_expect(th_locker_lock(locker, &range, TH_LOCK_SHARED, TH_LOCK_TRY), -EINVAL);
	range = (struct th_range){ .to = bound_too_long };
	th_expect(th_locker_lock(locker, &range, TH_LOCK_SHARED, TH_LOCK_TRY), -EINVAL);
	th_expect(th_cursor_open(view, &range, &cursor), -EINVAL);
	th_ok(th_cursor_open(view, NULL, &cursor));
	th_expect(th_cursor_seek(cursor, bound_too_long), -EINVAL);
	th_ok(th_cursor_seek(cursor, too_long)); /* the successor of a key */
	th_cursor_close(cursor);
	th_ok(th_txn_begin_in(view, &txn));
	th_expect(th_txn_put(txn, too_long, longest), -EINVAL);
	th_expect(th_txn_delete(txn, too_long), -EINVAL);
	th_expect(th_txn_ref(txn, too_long, 1), -EINVAL);
	th_expect(th_txn_get(txn, too_long, &value), -EINVAL);
	th_expect(th_txn_alloc(txn, too_long.size, 1, &loan), -EINVAL);
	th_expect(th_txn_alloc(txn, SIZE_MAX, 1, &loan), -EINVAL);
	th_expect(th_txn_delete_range(txn, range), -EINVAL);
	th_expect(th_txn_lock(txn, &range, TH_LOCK_SHARED, TH_LOCK_TRY), -EINVAL);
	th_ok(th_txn_put(txn, longest, longest));
	th_ok(th_txn_commit(txn));
	th_ok(th_get(part, (struct th_slice){ bytes, 0 }, &value));
	th_value_release(&value);
	th_locker_free(locker);
	th_view_close(part);
	th_view_close(view);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(frozen_views_refuse_writes_and_prevent_rollback)
{
	struct th_view *frozen, *a, *b, *live;
	struct th_fixture fixture;
	struct th_locker *locker;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "a/key", "value");
	th_ok(th_view_freeze(fixture.store, &frozen));
	th_ok(th_view_subtree(frozen, th_slice_of("a/"), &a));
	th_ok(th_view_subtree(frozen, th_slice_of("b/"), &b));
	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("a/"), &live));
	th_expect(th_txn_begin_in(a, &txn), -EINVAL);
	th_expect(th_locker_new_in(a, &locker), -EINVAL);
	th_view_close(live);
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	th_view_close(frozen);
	th_view_close(b);
	th_expect(th_store_rollback(fixture.store, "s"), -EBUSY); /* a subtree view keeps the frozen view open */
	th_view_close(a);
	th_ok(th_store_rollback(fixture.store, "s"));
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { subtree_view_reads_only_its_keys,
				       nested_subtree_view_outlives_the_views_above,
				       transaction_in_subtree_view_writes_only_its_keys,
				       range_to_the_end_of_the_last_subtree_is_durable,
				       locks_of_subtree_views_are_of_whole_keys,
				       prefix_counts_in_the_length_of_keys,
				       frozen_views_refuse_writes_and_prevent_rollback };

	return th_tests_run("view", tests, sizeof(tests) / sizeof(tests[0]));
}
