/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff: the keys that differ between two views, at a cost that follows the changes.
 *
 * Candidates (candidates.h) are gathered in batches, and each is compared by reading both views there: a single key by
 * two lookups, a range of keys by two cursors.  The lookups of the next candidates are under way meanwhile, so that
 * nodes which are not in memory are read side by side.
 *
 * Like a cursor, a diff stands in a gap between two keys.  The batch goes on from there in one direction; whoever turns
 * around or seeks begins a new one.
 */
#include "tree/view/diff.h"

#include <stdlib.h>

#include "tree/view/cursor.h"
#include "tree/view/diff_scan.h"

#define TH_DIFF_BATCH_FIRST 8 /* candidates of each tree that are wanted in a batch: at first */
#define TH_DIFF_BATCH_LAST 64 /* and in the end */
#define TH_DIFF_UNDER_WAY 32 /* candidates that are being read */

/* One of the two views, and what it has next in the candidate that is being compared. */
struct side {
	struct th_cursor *cursor;
	struct th_value value; /* of a single key */
	struct th_cursor_entry entry;
	int r; /* 0: there is an entry; 1: none any more */
	bool used; /* the entry was dealt with */
};

struct th_diff {
	struct th_view *view; /* one of the two, which names the keys */
	struct th_span range;
	struct th_key at; /* the gap is before this key */
	bool at_end; /* or behind everything, where the range is open */
	bool backward;
	struct side side[2];
	struct th_diff_scan candidates;
	struct th_span batch; /* what these are of */
	struct th_span rest; /* what follows it in the range */
	size_t taken, begun; /* in the diff's direction: how many were compared, and how many have lookups */
	size_t want;
	bool active; /* one is being compared */
	pthread_mutex_t seen_lock; /* lookups go on in other threads */
	struct th_diff_stats stats;
	uintptr_t *seen; /* distinct nodes visited: a hash set */
	size_t seen_capacity;
};

/* --- counting nodes --- */

/* A number of its own for each node: its address, or where it has none, its place in memory. */
static uintptr_t node_number(const struct th_node *node)
{
	return node->ptr.addr ? (uintptr_t)node->ptr.addr << 1 | 1 : (uintptr_t)node;
}

static bool seen_insert(uintptr_t *set, size_t capacity, uintptr_t number)
{
	size_t i = (number * UINT64_C(0x9e3779b97f4a7c15) >> 32) % capacity;

	while (set[i] && set[i] != number)
		i = (i + 1) % capacity;
	if (set[i])
		return false;
	set[i] = number;
	return true;
}

/* Has room for one more; a count is not worth failing for. */
static bool seen_reserve(struct th_diff *diff)
{
	size_t capacity = diff->seen_capacity ? 2 * diff->seen_capacity : 256;
	uintptr_t *set;

	if (2 * diff->stats.nodes_read < diff->seen_capacity)
		return true;
	set = calloc(capacity, sizeof(*set));
	if (!set)
		return false;
	for (size_t i = 0; i < diff->seen_capacity; i++)
		if (diff->seen[i])
			seen_insert(set, capacity, diff->seen[i]);
	free(diff->seen);
	diff->seen = set;
	diff->seen_capacity = capacity;
	return true;
}

static void visit(void *arg, const struct th_node *node)
{
	struct th_diff *diff = arg;

	pthread_mutex_lock(&diff->seen_lock);
	if (seen_reserve(diff) && seen_insert(diff->seen, diff->seen_capacity, node_number(node)))
		diff->stats.nodes_read++;
	pthread_mutex_unlock(&diff->seen_lock);
}

/* --- batches of candidates --- */

/* Number n of the batch, in the diff's direction. */
static struct th_diff_candidate *candidate(const struct th_diff *diff, size_t n)
{
	return diff->candidates.list[diff->backward ? diff->candidates.count - 1 - n : n];
}

/* What was read ahead and is not wanted any more. */
static void forget_lookups(struct th_diff_candidate *c)
{
	struct th_value value;

	for (int i = 0; i < 2; i++) {
		if (c->get[i] && th_get_finish(c->get[i], &value) == 0)
			th_value_release(&value);
		c->get[i] = NULL;
	}
}

/* The batch is over: nothing refers to it any more. */
static void end_batch(struct th_diff *diff)
{
	for (; diff->taken < diff->begun; diff->taken++)
		forget_lookups(candidate(diff, diff->taken));
	for (int i = 0; i < 2; i++)
		th_value_release(&diff->side[i].value);
	th_diff_scan_clear(&diff->candidates);
	diff->taken = diff->begun = 0;
	diff->active = false;
}

/* Begins anew at the gap. */
static void start(struct th_diff *diff, bool backward)
{
	end_batch(diff);
	diff->backward = backward;
	diff->want = TH_DIFF_BATCH_FIRST;
	diff->rest = diff->range;
	if (backward) {
		diff->rest.to = diff->at;
		diff->rest.open = diff->at_end;
	} else if (diff->at_end) {
		diff->rest = (struct th_span){ 0 };
	} else {
		diff->rest.from = diff->at;
	}
}

/* 1: nothing is left. */
static int next_batch(struct th_diff *diff)
{
	int err;

	end_batch(diff);
	if (th_span_is_empty(&diff->rest))
		return 1;
	diff->batch = diff->rest;
	err = th_diff_scan_gather(&diff->candidates, &diff->batch, diff->backward, diff->want);
	if (err < 0)
		return err;
	th_span_take_off(&diff->rest, &diff->batch, diff->backward);
	if (diff->want < TH_DIFF_BATCH_LAST)
		diff->want *= 2;
	return 0;
}

/* Begins to read both views where the next candidates are.  Of a range, that brings its first leaf into memory. */
static int look_ahead(struct th_diff *diff)
{
	while (diff->begun < diff->candidates.count && diff->begun < diff->taken + TH_DIFF_UNDER_WAY) {
		struct th_diff_candidate *c = candidate(diff, diff->begun++);

		for (int i = 0; i < 2; i++) {
			int err = th_view_get_async(diff->candidates.view[i], c->from, visit, diff, &c->get[i]);

			if (err < 0)
				return err;
		}
	}
	return 0;
}

/* --- comparing --- */

static int begin_point(struct th_diff *diff, struct th_diff_candidate *c)
{
	int err = 0;

	for (int i = 0; i < 2; i++) {
		struct side *side = &diff->side[i];

		th_value_release(&side->value);
		side->r = th_get_finish(c->get[i], &side->value);
		c->get[i] = NULL;
		if (side->r == -ENOENT)
			side->r = 1;
		if (side->r < 0)
			err = side->r;
		side->entry.key = c->from;
		side->entry.value = (struct th_slice){ side->value.data, side->value.size };
		side->entry.refs = side->value.refs;
		side->used = false;
	}
	return err;
}

static int begin_range(struct th_diff *diff, struct th_diff_candidate *c)
{
	forget_lookups(c);
	for (int i = 0; i < 2; i++) {
		struct side *side = &diff->side[i];

		th_cursor_set_range(side->cursor, c->from, c->to);
		if (diff->backward)
			th_cursor_seek_end(side->cursor);
		side->used = true;
	}
	return 0;
}

/* Goes to a side's next entry in the candidate. */
static int advance(struct th_diff *diff, struct side *side, bool point)
{
	if (!side->used)
		return 0;
	side->used = false;
	if (point)
		side->r = 1;
	else if (diff->backward)
		side->r = th_cursor_prev(side->cursor, &side->entry);
	else
		side->r = th_cursor_next(side->cursor, &side->entry);
	return side->r < 0 ? side->r : 0;
}

static bool same(const struct th_cursor_entry *a, const struct th_cursor_entry *b)
{
	return a->refs == b->refs && th_slice_compare(a->value, b->value) == 0;
}

/* Which side's entry comes first: < 0 `from`, > 0 `to`, 0 both.  One of them has one. */
static int order(const struct th_diff *diff, const struct side *from, const struct side *to)
{
	int c;

	if (from->r == 1 || to->r == 1)
		return from->r - to->r;
	c = th_slice_compare(from->entry.key, to->entry.key);
	return diff->backward ? -c : c;
}

/* The next key in the candidate that differs; 1 if there is none. */
static int next_in_candidate(struct th_diff *diff, bool point, struct th_change *ret)
{
	struct side *from = &diff->side[0], *to = &diff->side[1];

	for (;;) {
		int c, err = advance(diff, from, point);

		if (err == 0)
			err = advance(diff, to, point);
		if (err < 0)
			return err;
		if (from->r == 1 && to->r == 1)
			return 1;
		c = order(diff, from, to);
		from->used = c <= 0;
		to->used = c >= 0;
		diff->stats.entries_compared++;
		if (c == 0 && same(&from->entry, &to->entry))
			continue;
		*ret = (struct th_change){ .key = c <= 0 ? from->entry.key : to->entry.key };
		if (c <= 0) {
			ret->from = from->entry.value;
			ret->from_refs = from->entry.refs;
		}
		if (c >= 0) {
			ret->to = to->entry.value;
			ret->to_refs = to->entry.refs;
		}
		return 0;
	}
}

/* --- going on --- */

/* The candidate to be compared, the next one if there is none under way; 1 at the end. */
static int current(struct th_diff *diff, struct th_diff_candidate **ret)
{
	int err = 0;

	while (err == 0 && diff->taken == diff->candidates.count)
		err = next_batch(diff);
	if (err == 0 && !diff->active)
		err = look_ahead(diff);
	if (err != 0)
		return err;
	*ret = candidate(diff, diff->taken);
	if (!diff->active)
		err = (*ret)->point ? begin_point(diff, *ret) : begin_range(diff, *ret);
	diff->active = true;
	return err;
}

static int find_change(struct th_diff *diff, struct th_change *ret)
{
	for (;;) {
		struct th_diff_candidate *c;
		int err = current(diff, &c);

		if (err == 0)
			err = next_in_candidate(diff, c->point, ret);
		else if (err == 1)
			return 1;
		if (err != 1)
			return err;
		diff->active = false;
		diff->taken++;
	}
}

/* The gap is next to what was found, or at the end of the range. */
static void stand(struct th_diff *diff, int found, struct th_slice key)
{
	diff->at_end = found == 1 && !diff->backward && diff->range.open;
	if (found == 0)
		th_key_set(&diff->at, key);
	else
		diff->at = diff->backward ? diff->range.from : diff->range.to;
	if (found == 0 && !diff->backward)
		th_key_successor(&diff->at);
}

static int step(struct th_diff *diff, bool backward, struct th_change *ret)
{
	int err;

	if (diff->backward != backward)
		start(diff, backward);
	err = find_change(diff, ret);
	if (err < 0) {
		start(diff, backward);
		return err;
	}
	stand(diff, err, ret->key);
	if (err == 0)
		ret->key = th_view_strip(diff->view, ret->key);
	return err;
}

int th_diff_next(struct th_diff *diff, struct th_change *ret)
{
	return step(diff, false, ret);
}

int th_diff_prev(struct th_diff *diff, struct th_change *ret)
{
	return step(diff, true, ret);
}

int th_diff_seek(struct th_diff *diff, struct th_slice key)
{
	struct th_slice end = th_span_end(&diff->range);
	struct th_key at;
	int err = th_view_bound(diff->view, key, &at);

	if (err < 0)
		return err;
	if (th_slice_compare(th_key_slice(&at), th_key_slice(&diff->range.from)) < 0)
		at = diff->range.from;
	else if (end.data && th_slice_compare(th_key_slice(&at), end) > 0)
		at = diff->range.to;
	diff->at = at;
	diff->at_end = false;
	start(diff, diff->backward);
	return 0;
}

void th_diff_seek_end(struct th_diff *diff)
{
	diff->at = diff->range.to;
	diff->at_end = diff->range.open;
	start(diff, diff->backward);
}

int th_diff_new(struct th_view *from, struct th_view *to, const struct th_range *range, uint64_t since,
		struct th_diff **ret)
{
	struct th_view *views[] = { th_view_whole(from), th_view_whole(to) };
	struct th_diff *diff;
	int err;

	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return -ENOMEM;
	pthread_mutex_init(&diff->seen_lock, NULL);
	diff->view = from;
	diff->candidates.since = since;
	diff->candidates.visit = visit;
	diff->candidates.visit_arg = diff;
	err = th_view_span(from, range, &diff->range);
	for (int i = 0; i < 2 && err == 0; i++) {
		diff->candidates.view[i] = views[i];
		err = th_cursor_new(views[i], NULL, NULL, &diff->side[i].cursor);
		if (err == 0)
			th_cursor_watch(diff->side[i].cursor, visit, diff);
	}
	if (err < 0) {
		th_diff_close(diff);
		return err;
	}
	diff->at = diff->range.from;
	start(diff, false);
	*ret = diff;
	return 0;
}

void th_diff_stats(struct th_diff *diff, struct th_diff_stats *ret)
{
	pthread_mutex_lock(&diff->seen_lock);
	*ret = diff->stats;
	pthread_mutex_unlock(&diff->seen_lock);
}

void th_diff_close(struct th_diff *diff)
{
	if (!diff)
		return;
	end_batch(diff);
	th_diff_scan_release(&diff->candidates);
	for (int i = 0; i < 2; i++)
		th_cursor_close(diff->side[i].cursor);
	pthread_mutex_destroy(&diff->seen_lock);
	free(diff->seen);
	free(diff);
}
