/* SPDX-License-Identifier: Apache-2.0 */
/* Diffs: equality with the difference of models, position, bounds, and cost. */
#include "tests/tree/differences.h"
#include "tests/tree/past.h"
#include "tests/tree/walk.h"

#include <stdio.h>
#include <stdlib.h>

static void verify_diffs(struct th_past *past, struct th_slice prefix, unsigned a, unsigned b)
{
	struct th_model *from_model = th_model_below(past->models[a], prefix);
	struct th_model *to_model = th_model_below(past->models[b], prefix);
	struct th_keys keys = past->keys;
	uint8_t space[2 * TH_KEY_MAX];
	struct th_view *from, *to;
	struct th_range range;

	keys.taken = (uint32_t)prefix.size;
	range = th_range_pick(&keys, &past->random, from_model, space);
	th_ok(th_view_subtree(past->views[a], prefix, &from));
	th_ok(th_view_subtree(past->views[b], prefix, &to));
	th_verify_diff(from, from_model, to, to_model, NULL);
	th_verify_diff(from, from_model, to, to_model, &range);
	th_verify_diff_walk(from, from_model, to, to_model, NULL, &keys, &past->random, 300);
	th_verify_diff_walk(from, from_model, to, to_model, &range, &keys, &past->random, 100);
	th_view_close(from);
	th_view_close(to);
	th_model_unref(from_model);
	th_model_unref(to_model);
}

START_TEST(diff_of_subtree_views_equals_the_models)
{
	struct th_past *past = th_past_new(th_test_seed("diff_of_subtree_views_equals_the_models"));
	unsigned rounds = th_test_rounds(80);
	uint8_t space[TH_KEY_MAX];

	while (rounds--) {
		verify_diffs(past, th_past_prefix(&past->random, space), th_random_below(&past->random, TH_PAST_STAGES),
			     th_random_below(&past->random, TH_PAST_STAGES));
		if (rounds == 40)
			th_ok(th_store_checkpoint(past->fixture.store));
	}
	th_past_free(past);
}
END_TEST

/* --- position --- */

/* Takes a step.  key NULL: the diff is at its end. */
static void expect_step(struct th_diff *diff, bool forward, const char *key)
{
	struct th_change change;
	int end = forward ? th_diff_next(diff, &change) : th_diff_prev(diff, &change);

	th_expect(end, key ? 0 : 1);
	if (key)
		ck_assert_msg(th_model_same(change.key, th_slice_of(key)), "expected %s, found %.*s", key,
			      (int)change.key.size, (const char *)change.key.data);
}

static struct th_view *freeze(struct th_fixture *fixture)
{
	struct th_view *view;

	th_ok(th_view_freeze(fixture->store, &view));
	return view;
}

START_TEST(diff_stands_between_two_changes)
{
	struct th_fixture fixture;
	struct th_view *from, *to;
	struct th_diff *diff;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "a", "same");
	th_fixture_put(&fixture, "b", "old");
	th_fixture_put(&fixture, "c", "deleted");
	from = freeze(&fixture);
	th_fixture_put(&fixture, "a", "same"); /* written, but not changed */
	th_fixture_put(&fixture, "b", "new");
	th_fixture_delete(&fixture, "c");
	th_fixture_put(&fixture, "d", "added");
	to = freeze(&fixture);
	th_ok(th_diff_open(from, to, NULL, &diff));
	expect_step(diff, false, NULL);
	expect_step(diff, true, "b");
	expect_step(diff, true, "c");
	expect_step(diff, false, "c");
	expect_step(diff, false, "b");
	expect_step(diff, false, NULL);
	th_ok(th_diff_seek(diff, th_slice_of("bb")));
	expect_step(diff, true, "c");
	th_ok(th_diff_seek(diff, th_slice_of("c")));
	expect_step(diff, false, "b");
	expect_step(diff, true, "b");
	expect_step(diff, true, "c");
	expect_step(diff, true, "d");
	expect_step(diff, true, NULL);
	expect_step(diff, true, NULL);
	expect_step(diff, false, "d");
	th_diff_seek_end(diff);
	expect_step(diff, true, NULL);
	expect_step(diff, false, "d");
	th_diff_close(diff);
	th_diff_close(NULL);
	th_view_close(from);
	th_view_close(to);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(change_has_both_values_and_counts)
{
	struct th_fixture fixture;
	struct th_change change;
	struct th_view *from, *to;
	struct th_diff *diff;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "counted", "value");
	th_fixture_put(&fixture, "deleted", "value");
	from = freeze(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_ref(txn, th_slice_of("counted"), 3));
	th_ok(th_txn_delete(txn, th_slice_of("deleted")));
	th_ok(th_txn_put(txn, th_slice_of("empty"), th_slice_of("")));
	th_ok(th_txn_commit(txn));
	to = freeze(&fixture);
	th_ok(th_diff_open(from, to, NULL, &diff));
	th_ok(th_diff_next(diff, &change));
	th_true(th_model_same(change.from, th_slice_of("value")) && th_model_same(change.to, th_slice_of("value")));
	th_true(change.from_refs == 0 && change.to_refs == 3);
	th_ok(th_diff_next(diff, &change));
	th_true(th_model_same(change.from, th_slice_of("value")) && !change.to.data);
	th_ok(th_diff_next(diff, &change));
	th_true(!change.from.data && change.to.data && change.to.size == 0);
	th_expect(th_diff_next(diff, &change), 1);
	th_diff_close(diff);
	th_view_close(from);
	th_view_close(to);
	th_fixture_release(&fixture);
}
END_TEST

/* --- bounds --- */

START_TEST(views_of_other_prefixes_are_not_compared)
{
	static const uint8_t longest[TH_KEY_MAX];
	struct th_view *frozen, *a, *b, *live;
	struct th_change change;
	struct th_fixture fixture;
	struct th_diff *diff;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "a/key", "value");
	frozen = freeze(&fixture);
	th_ok(th_view_subtree(frozen, th_slice_of("a/"), &a));
	th_ok(th_view_subtree(frozen, th_slice_of("b/"), &b));
	th_ok(th_view_subtree(th_view_live(fixture.store), th_slice_of("a/"), &live));
	th_expect(th_diff_open(a, b, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(a, frozen, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(a, live, NULL, &diff), -EINVAL);
	th_expect(th_diff_open(a, a, &(struct th_range){ .from = { longest, sizeof(longest) } }, &diff), -EINVAL);
	th_ok(th_diff_open(a, a, NULL, &diff));
	th_expect(th_diff_seek(diff, (struct th_slice){ longest, sizeof(longest) }), -EINVAL);
	th_expect(th_diff_next(diff, &change), 1);
	th_expect(th_diff_prev(diff, &change), 1);
	th_diff_close(diff);
	th_view_close(live);
	th_view_close(a);
	th_view_close(b);
	th_view_close(frozen);
	th_fixture_release(&fixture);
}
END_TEST

/* --- cost --- */

#define MANY 40000

static struct th_diff_stats diff_cost(struct th_view *from, struct th_view *to, unsigned expected)
{
	struct th_diff_stats stats;
	struct th_change change;
	struct th_diff *diff;
	unsigned changes = 0;

	th_ok(th_diff_open(from, to, NULL, &diff));
	while (th_diff_next(diff, &change) == 0)
		changes++;
	th_diff_stats(diff, &stats);
	th_diff_close(diff);
	ck_assert_uint_eq(changes, expected);
	return stats;
}

START_TEST(diff_cost_is_proportional_to_the_changes)
{
	struct th_diff_stats one, all;
	struct th_fixture fixture;
	struct th_view *empty, *from, *to;
	struct th_txn *txn;
	char key[16];

	th_fixture_init(&fixture, 64, NULL);
	empty = freeze(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "key %06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(key)));
	}
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	from = freeze(&fixture);
	th_fixture_put(&fixture, "key 000123", "changed");
	th_ok(th_store_checkpoint(fixture.store));
	to = freeze(&fixture);
	all = diff_cost(empty, from, MANY);
	ck_assert_uint_gt(all.nodes_read, 50);
	ck_assert_uint_ge(all.entries_compared, MANY);
	one = diff_cost(from, to, 1);
	ck_assert_uint_lt(one.nodes_read, 30);
	ck_assert_uint_lt(one.entries_compared, 3000);
	ck_assert_uint_le(diff_cost(to, to, 0).nodes_read, 2);
	th_view_close(empty);
	th_view_close(from);
	th_view_close(to);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { diff_of_subtree_views_equals_the_models, diff_stands_between_two_changes,
				       change_has_both_values_and_counts, views_of_other_prefixes_are_not_compared,
				       diff_cost_is_proportional_to_the_changes };

	return th_tests_run("diff", tests, sizeof(tests) / sizeof(tests[0]));
}
