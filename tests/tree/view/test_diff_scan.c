/* SPDX-License-Identifier: Apache-2.0 */
/* The diff's scan: its candidates cover all changes, and unchanged subtrees are not visited. */
#include "tree/view/diff_scan.h"

#include <stdio.h>

#include "tests/tree/past.h"
#include "tree/state/state.h"

static void count_visit(void *arg, const struct th_node *node)
{
	(void)node;
	++*(unsigned *)arg;
}

static bool has_key(const struct th_diff_candidate *c, struct th_slice key)
{
	if (c->point)
		return th_model_same(c->from, key);
	return th_model_compare(c->from, key) <= 0 && (!c->to.data || th_model_compare(key, c->to) < 0);
}

static bool is_candidate(const struct th_diff_scan *scan, struct th_slice key)
{
	for (size_t i = 0; i < scan->count; i++)
		if (has_key(scan->list[i], key))
			return true;
	return false;
}

static bool in_span(const struct th_span *span, struct th_slice key)
{
	return th_model_compare(th_key_slice(&span->from), key) <= 0 &&
	       (span->open || th_model_compare(key, th_key_slice(&span->to)) < 0);
}

/* Verifies that the candidates are ascending, disjoint, and in the span. */
static void verify_order(const struct th_diff_scan *scan, const struct th_span *span)
{
	for (size_t i = 0; i < scan->count; i++) {
		const struct th_diff_candidate *c = scan->list[i],
					       *next = i + 1 < scan->count ? scan->list[i + 1] : NULL;

		th_true(in_span(span, c->from));
		th_true(!next || th_model_compare(c->from, next->from) < 0);
		th_true(!next || c->point || (c->to.data && th_model_compare(c->to, next->from) <= 0));
	}
}

/* Verifies that each key of `in` in the span whose entry differs in `other` is a candidate.  Returns the number of
 * them. */
static unsigned verify_covered(const struct th_diff_scan *scan, const struct th_span *span, const struct th_model *in,
			       const struct th_model *other)
{
	const struct th_model_entry *entry, *twin;
	unsigned count = 0;
	size_t at = 0;

	while ((entry = th_model_next(in, &at))) {
		twin = th_model_get(other, entry->key);
		if (!in_span(span, entry->key) ||
		    (twin && th_model_same(twin->value, entry->value) && twin->refs == entry->refs))
			continue;
		th_true(is_candidate(scan, entry->key));
		count++;
	}
	return count;
}

/* Gathers all candidates between two stages in batches.  Returns the number of keys that differ. */
static unsigned gather_all(struct th_past *past, unsigned a, unsigned b, bool backward)
{
	unsigned visits = 0, count = 0;
	struct th_diff_scan scan = {
		.view = { past->views[a], past->views[b] },
		.since = past->views[a < b ? a : b]->seq,
		.visit = count_visit,
		.visit_arg = &visits,
	};
	struct th_span rest = { .open = true };

	while (!th_span_is_empty(&rest)) {
		struct th_span span = rest;

		th_ok(th_diff_scan_gather(&scan, &span, backward, th_random_between(&past->random, 1, 20)));
		verify_order(&scan, &span);
		count += verify_covered(&scan, &span, past->models[a], past->models[b]);
		count += verify_covered(&scan, &span, past->models[b], past->models[a]);
		th_span_take_off(&rest, &span, backward);
		th_diff_scan_clear(&scan);
	}
	th_diff_scan_release(&scan);
	return count;
}

START_TEST(candidates_cover_all_changes)
{
	struct th_past *past = th_past_new(th_test_seed("candidates_cover_all_changes"));

	for (unsigned a = 0; a < TH_PAST_STAGES; a++) {
		for (unsigned b = 0; b < TH_PAST_STAGES; b++) {
			unsigned forward = gather_all(past, a, b, false);

			ck_assert_uint_eq(gather_all(past, a, b, true), forward);
			ck_assert_uint_eq(forward > 0, a != b);
		}
	}
	th_past_free(past);
}
END_TEST

START_TEST(unchanged_subtrees_are_not_visited)
{
	unsigned visits = 0;
	struct th_diff_scan scan = { .visit = count_visit, .visit_arg = &visits };
	struct th_span span = { .open = true };
	struct th_fixture fixture;
	struct th_txn *txn;
	char key[16];

	th_fixture_init(&fixture, 64, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of(key)));
	}
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_ok(th_view_freeze(fixture.store, &scan.view[0]));
	th_fixture_put(&fixture, "key 000123", "changed");
	th_ok(th_view_freeze(fixture.store, &scan.view[1]));
	scan.since = scan.view[0]->seq;
	th_ok(th_diff_scan_gather(&scan, &span, false, 100));
	ck_assert_uint_eq(scan.count, 1);
	th_true(is_candidate(&scan, th_slice_of("key 000123")));
	ck_assert_uint_le(visits, 3);
	th_true(span.open);
	th_diff_scan_clear(&scan);
	scan.since = 0; /* everything is newer */
	visits = 0;
	th_ok(th_diff_scan_gather(&scan, &span, false, 100000));
	ck_assert_uint_gt(visits, 20);
	th_diff_scan_release(&scan);
	th_view_close(scan.view[0]);
	th_view_close(scan.view[1]);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { candidates_cover_all_changes, unchanged_subtrees_are_not_visited };

	return th_tests_run("diff_scan", tests, sizeof(tests) / sizeof(tests[0]));
}
