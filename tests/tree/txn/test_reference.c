/* SPDX-License-Identifier: Apache-2.0 */
/* References compared with a simple model: created, changed, followed, listed and deleted, also in snapshots. */
#include "tests/tree/fixture.h"
#include "tree/reference.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 30
#define ABSENT (-2)
#define PLAIN (-1)
#define SNAPSHOTS 5

static const struct th_slice prefix = { "index/", 6 };

/* The model: for each key, whether it is absent, has a plain value, or refers to the key of a number. */
struct graph {
	int to[KEYS];
};

struct run {
	struct th_fixture fixture;
	struct th_random random;
	struct graph graph;
	struct graph snapshots[SNAPSHOTS];
	uint64_t ids[SNAPSHOTS];
	size_t count;
};

static struct th_slice key_of(unsigned i, char *space)
{
	snprintf(space, 16, "k%.*s%02u", (int)(i % 4), "xxx", i);
	return th_slice_of(space);
}

static unsigned referrers_of(const struct graph *graph, int i)
{
	unsigned count = 0;

	for (unsigned k = 0; k < KEYS; k++)
		count += graph->to[k] == i;
	return count;
}

static unsigned number_of(struct th_slice key)
{
	const char *digits = (const char *)key.data + key.size - 2;

	return (unsigned)(digits[0] - '0') * 10 + (unsigned)(digits[1] - '0');
}

/* Removes a reference to the target. */
static void drop_reference(struct graph *graph, int target, bool delete_last)
{
	while (delete_last && target >= 0 && graph->to[target] != ABSENT && referrers_of(graph, target) == 0) {
		int next = graph->to[target];

		graph->to[target] = ABSENT;
		target = next;
	}
}

/* --- what must hold --- */

static void verify_end(struct th_view *view, struct th_txn *txn, const struct graph *graph, int i)
{
	unsigned steps = 0;
	struct th_value value;
	struct th_slice target;
	char space[16];
	int at = i, end, err;

	while (steps < KEYS && at >= 0 && graph->to[at] >= 0) {
		at = graph->to[at];
		steps++;
	}
	err = txn ? th_txn_follow(txn, key_of((unsigned)i, space), KEYS - 1, &value)
		  : th_follow(view, key_of((unsigned)i, space), KEYS - 1, &value);
	if (steps == KEYS) {
		th_expect(err, -ELOOP);
		return;
	}
	th_ok(err);
	ck_assert(!th_reference_target((struct th_slice){ value.data, value.size }, &target));
	ck_assert_uint_eq(value.size, sizeof(end));
	memcpy(&end, value.data, sizeof(end));
	ck_assert_int_eq(end, at);
	th_value_release(&value);
	if (steps > 0)
		th_expect(txn ? th_txn_follow(txn, key_of((unsigned)i, space), steps - 1, &value)
			      : th_follow(view, key_of((unsigned)i, space), steps - 1, &value),
			  -ELOOP);
}

static void verify_referrers(struct th_view *view, struct th_txn *txn, const struct graph *graph, int i)
{
	const struct th_references refs = { .index = prefix };
	struct th_referrers *referrers;
	bool seen[KEYS] = { false };
	char space[16], other[16];
	struct th_slice key;
	unsigned count = 0, number;

	th_ok(txn ? th_txn_referrers(txn, &refs, key_of((unsigned)i, space), &referrers)
		  : th_referrers_open(view, &refs, key_of((unsigned)i, space), &referrers));
	while (th_referrers_next(referrers, &key) == 0) {
		number = number_of(key);
		ck_assert_int_eq(graph->to[number], i);
		ck_assert(!seen[number]);
		ck_assert_uint_eq(key.size, key_of(number, other).size);
		ck_assert_mem_eq(key.data, other, key.size);
		seen[number] = true;
		count++;
	}
	th_referrers_close(referrers);
	ck_assert_uint_eq(count, referrers_of(graph, i));
}

/* Verifies counts, index and the values at the end of references. */
static void verify(struct th_view *view, struct th_txn *txn, const struct graph *graph)
{
	struct th_value value;
	char space[16];

	for (int i = 0; i < KEYS; i++) {
		struct th_slice key = key_of((unsigned)i, space);
		int err = txn ? th_txn_get(txn, key, &value) : th_get(view, key, &value);

		verify_referrers(view, txn, graph, i);
		if (graph->to[i] == ABSENT) {
			th_expect(err, -ENOENT);
			continue;
		}
		th_ok(err);
		ck_assert_int_eq(value.refs, (int)referrers_of(graph, i));
		th_value_release(&value);
		verify_end(view, txn, graph, i);
	}
}

/* --- the steps --- */

static void step_put(struct th_txn *txn, struct graph *graph, int i)
{
	char space[16];

	if (graph->to[i] >= 0)
		return; /* a reference is unlinked before its key gets another value */
	th_ok(th_txn_put(txn, key_of((unsigned)i, space), (struct th_slice){ &i, sizeof(i) }));
	graph->to[i] = PLAIN;
}

static void step_link(struct th_txn *txn, const struct th_references *refs, struct graph *graph, int i, int target)
{
	char space[16], target_space[16];
	int old = graph->to[i];
	int err = th_txn_link(txn, refs, key_of((unsigned)i, space), key_of((unsigned)target, target_space));

	if (i == target) {
		th_expect(err, -EINVAL);
	} else if (graph->to[target] == ABSENT) {
		th_expect(err, -ENOENT);
	} else {
		th_ok(err);
		graph->to[i] = target;
		if (old >= 0 && old != target)
			drop_reference(graph, old, refs->delete_last);
	}
}

static void step_unlink(struct th_txn *txn, const struct th_references *refs, struct graph *graph, int i)
{
	char space[16];
	int old = graph->to[i], err = th_txn_unlink(txn, refs, key_of((unsigned)i, space));

	if (old == ABSENT) {
		th_expect(err, -ENOENT);
	} else if (old == PLAIN) {
		th_expect(err, -EINVAL);
	} else if (referrers_of(graph, i) > 0) {
		th_expect(err, -EBUSY);
	} else {
		th_ok(err);
		graph->to[i] = ABSENT;
		drop_reference(graph, old, refs->delete_last);
	}
}

static void change(struct run *run, bool commit)
{
	struct graph graph = run->graph;
	struct th_txn *txn;

	th_ok(th_txn_begin(run->fixture.store, &txn));
	for (unsigned n = th_random_between(&run->random, 1, 12); n > 0; n--) {
		int i = (int)th_random_below(&run->random, KEYS), target = (int)th_random_below(&run->random, KEYS);
		struct th_references refs = { prefix, th_random_percent(&run->random, 50) };
		uint32_t what = th_random_below(&run->random, 100);

		if (what < 25)
			step_put(txn, &graph, i);
		else if (what < 70)
			step_link(txn, &refs, &graph, i, target);
		else
			step_unlink(txn, &refs, &graph, i);
	}
	verify(NULL, txn, &graph);
	if (commit) {
		th_ok(th_txn_commit(txn));
		run->graph = graph;
	} else {
		th_txn_rollback(txn);
	}
	verify(th_view_live(run->fixture.store), NULL, &run->graph);
}

static void take_snapshot(struct run *run)
{
	struct th_snapshot snapshot;
	char name[16];

	snprintf(name, sizeof(name), "%zu", run->count);
	th_ok(th_snapshot_create(run->fixture.store, name, &snapshot));
	run->ids[run->count] = snapshot.id;
	run->snapshots[run->count++] = run->graph;
}

static void verify_snapshots(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct th_view *view;

		th_ok(th_view_snapshot(run->fixture.store, run->ids[i], &view));
		verify(view, NULL, &run->snapshots[i]);
		th_view_close(view);
	}
}

START_TEST(references_equal_the_model)
{
	struct run *run = calloc(1, sizeof(*run));
	unsigned rounds = th_test_rounds(400);

	th_fixture_init(&run->fixture, 32, NULL);
	run->random.state = th_test_seed("references_equal_the_model");
	for (unsigned i = 0; i < KEYS; i++)
		run->graph.to[i] = ABSENT;
	for (unsigned round = 0; round < rounds; round++) {
		change(run, th_random_percent(&run->random, 80));
		if (round % 50 == 25 && run->count < SNAPSHOTS)
			take_snapshot(run);
		if (round % 40 == 39)
			th_fixture_reopen(&run->fixture);
		if (round % 20 == 19)
			verify_snapshots(run);
	}
	th_verify_check(run->fixture.store, NULL);
	th_fixture_release(&run->fixture);
	free(run);
}
END_TEST

START_TEST(longest_keys_can_be_referenced)
{
	const struct th_references refs = { .index = prefix };
	char target[TH_KEY_MAX], key[TH_KEY_MAX];
	struct th_referrers *referrers;
	struct th_fixture fixture;
	struct th_slice found;
	struct th_txn *txn;
	size_t room = TH_KEY_MAX - 2 - prefix.size;

	memset(target, 't', sizeof(target));
	memset(key, 'k', sizeof(key));
	th_fixture_init(&fixture, 16, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_put(txn, (struct th_slice){ target, 700 }, th_slice_of("value")));
	th_expect(th_txn_link(txn, &refs, (struct th_slice){ key, room - 700 + 1 }, (struct th_slice){ target, 700 }),
		  -ENAMETOOLONG);
	th_ok(th_txn_link(txn, &refs, (struct th_slice){ key, room - 700 }, (struct th_slice){ target, 700 }));
	th_expect(th_txn_link(txn, &refs, (struct th_slice){ key, 1 }, (struct th_slice){ target, room }),
		  -ENAMETOOLONG);
	th_ok(th_txn_commit(txn));
	th_expect(th_referrers_open(th_view_live(fixture.store), &refs, (struct th_slice){ target, room + 1 },
				    &referrers),
		  -ENAMETOOLONG);
	th_ok(th_referrers_open(th_view_live(fixture.store), &refs, (struct th_slice){ target, 700 }, &referrers));
	th_ok(th_referrers_next(referrers, &found));
	ck_assert_uint_eq(found.size, room - 700);
	th_expect(th_referrers_next(referrers, &found), 1);
	th_referrers_close(referrers);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { references_equal_the_model, longest_keys_can_be_referenced };

	return th_tests_run("reference", tests, sizeof(tests) / sizeof(tests[0]));
}
