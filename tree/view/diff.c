/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff: the keys that differ between two views, at a cost that is proportional to the changes.
 *
 * Candidates (diff_scan.h) are collected in batches.  Each is compared by reading both views: a single key by two
 * lookups, a range of keys by two cursors.  The lookups of the next candidates are already under way, so that nodes
 * that are not in memory are read in parallel.
 *
 * Like a cursor, a diff stands in a gap between two keys.  A batch continues from there in one direction; a change of
 * direction or a seek begins a new one.
 */
#include "tree/view/diff.h"

#include <stdlib.h>

#include "tree/view/cursor.h"
#include "tree/view/diff_scan.h"

/* Candidates of each tree in a batch: a small first one, for diffs of which only the first change is read, then twice
 * as many each time, up to the last.  A smaller batch walks from the roots more often, a larger one needs more memory.
 */
#define TH_DIFF_BATCH_FIRST 8
#define TH_DIFF_BATCH_LAST 64
#define TH_DIFF_UNDER_WAY 32 /* candidates that are read in parallel, at most */

/* One of the two views, and its next entry in the candidate that is being compared. */
struct side {
	struct th_cursor *cursor;
	struct th_value value; /* of a single key */
	struct th_cursor_entry entry;
	int end; /* 0: there is an entry; 1: no more entries in the candidate; or the -errno of reading it */
	bool used; /* the entry was compared */
};

struct th_diff {
	struct th_view *view; /* one of the two, which names the keys */
	struct th_span range;
	struct th_key at; /* the gap is before this key */
	bool at_end; /* or it is after all keys; only if the range is open */
	bool backward;
	struct side side[2];
	struct th_diff_scan scan; /* the batch */
	struct th_span batch; /* that the candidates are of */
	struct th_span rest; /* of the range, after the batch in the diff's direction */
	size_t taken, begun; /* numbers of candidates that were compared, and for which reads have begun */
	size_t want; /* size of the next batch */
	bool active; /* a candidate is being compared */
	pthread_mutex_t seen_lock; /* of stats and seen: lookups may continue on other threads */
	struct th_diff_stats stats;
	uintptr_t *seen; /* distinct nodes visited: a hash set */
	size_t seen_capacity;
};

/* --- counting nodes --- */

/* Returns a unique number for a node: from its address on disk, or from its address in memory if it has none. */
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

/* Makes room for one more.  False: no memory; then the node is not counted, as a statistic is not worth a failure. */
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

/* Returns candidate number n of the batch, in the diff's direction. */
static struct th_diff_candidate *candidate(const struct th_diff *diff, size_t n)
{
	return diff->scan.list[diff->backward ? diff->scan.count - 1 - n : n];
}

/* Ends and drops the reads of a candidate. */
static void drop_reads(struct th_diff_candidate *c)
{
	struct th_value value;

	for (int i = 0; i < 2; i++) {
		if (c->get[i] && th_get_finish(c->get[i], &value) == 0)
			th_value_release(&value);
		c->get[i] = NULL;
	}
}

/* Frees the batch, and all that refers to it. */
static void end_batch(struct th_diff *diff)
{
	for (; diff->taken < diff->begun; diff->taken++)
		drop_reads(candidate(diff, diff->taken));
	for (int i = 0; i < 2; i++)
		th_value_release(&diff->side[i].value);
	th_diff_scan_clear(&diff->scan);
	diff->taken = diff->begun = 0;
	diff->active = false;
}

/* Discards the batch; the next one will begin at the gap. */
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

/* Returns 0, 1 if nothing is left of the range, or the error of reading a node. */
static int next_batch(struct th_diff *diff)
{
	int err;

	end_batch(diff);
	if (th_span_is_empty(&diff->rest))
		return 1;
	diff->batch = diff->rest;
	err = th_diff_scan_gather(&diff->scan, &diff->batch, diff->backward, diff->want);
	if (err)
		return err;
	th_span_take_off(&diff->rest, &diff->batch, diff->backward);
	if (diff->want < TH_DIFF_BATCH_LAST)
		diff->want *= 2;
	return 0;
}

/* Begins to read the next candidates in both views.  For a range, that brings its first leaf into memory. */
static int read_ahead(struct th_diff *diff)
{
	while (diff->begun < diff->scan.count && diff->begun < diff->taken + TH_DIFF_UNDER_WAY) {
		struct th_diff_candidate *c = candidate(diff, diff->begun++);

		for (int i = 0; i < 2; i++) {
			int err = th_view_get_async(diff->scan.view[i], c->from, visit, diff, &c->get[i]);

			if (err)
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
		side->end = th_get_finish(c->get[i], &side->value);
		c->get[i] = NULL;
		if (side->end == -ENOENT)
			side->end = 1;
		if (side->end < 0)
			err = side->end;
		side->entry.key = c->from;
		side->entry.value = (struct th_slice){ side->value.data, side->value.size };
		side->entry.refs = side->value.refs;
		side->used = false;
	}
	return err;
}

static int begin_range(struct th_diff *diff, struct th_diff_candidate *c)
{
	drop_reads(c);
	for (int i = 0; i < 2; i++) {
		struct side *side = &diff->side[i];

		th_cursor_set_range(side->cursor, c->from, c->to);
		if (diff->backward)
			th_cursor_seek_end(side->cursor);
		side->used = true;
	}
	return 0;
}

/* Moves a side to its next entry in the candidate, if its entry was used.  Returns 0 or the error of reading. */
static int advance(struct th_diff *diff, struct side *side, bool point)
{
	if (!side->used)
		return 0;
	side->used = false;
	if (point)
		side->end = 1;
	else if (diff->backward)
		side->end = th_cursor_prev(side->cursor, &side->entry);
	else
		side->end = th_cursor_next(side->cursor, &side->entry);
	return side->end < 0 ? side->end : 0;
}

static bool same(const struct th_cursor_entry *a, const struct th_cursor_entry *b)
{
	return a->refs == b->refs && th_slice_compare(a->value, b->value) == 0;
}

/* Returns < 0 if the entry of `from` is first in the diff's direction, > 0 if that of `to` is, 0 if both have one
 * key.  At least one of them has an entry. */
static int order(const struct th_diff *diff, const struct side *from, const struct side *to)
{
	int c;

	if (from->end == 1 || to->end == 1)
		return from->end - to->end;
	c = th_slice_compare(from->entry.key, to->entry.key);
	return diff->backward ? -c : c;
}

/* Finds the next key in the candidate that differs.  Returns 0, 1 if there is none, or the error of reading. */
static int next_in_candidate(struct th_diff *diff, bool point, struct th_change *ret)
{
	struct side *from = &diff->side[0], *to = &diff->side[1];

	for (;;) {
		int c, err = advance(diff, from, point);

		if (!err)
			err = advance(diff, to, point);
		if (err)
			return err;
		if (from->end == 1 && to->end == 1)
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

/* --- moving --- */

/* Returns in *ret the candidate that is being compared, or begins the next one.  Returns 0, 1 at the end of the range,
 * or the error of reading. */
static int current(struct th_diff *diff, struct th_diff_candidate **ret)
{
	int end = 0, err = 0;

	while (!end && diff->taken == diff->scan.count)
		end = next_batch(diff);
	if (end)
		return end;
	if (!diff->active)
		err = read_ahead(diff);
	if (err)
		return err;
	*ret = candidate(diff, diff->taken);
	if (!diff->active)
		err = (*ret)->point ? begin_point(diff, *ret) : begin_range(diff, *ret);
	diff->active = true;
	return err;
}

/* Finds the next change.  Returns 0, 1 at the end of the range, or the error of reading. */
static int find_change(struct th_diff *diff, struct th_change *ret)
{
	for (;;) {
		struct th_diff_candidate *c;
		int end = current(diff, &c);

		if (end)
			return end;
		end = next_in_candidate(diff, c->point, ret);
		if (end != 1)
			return end;
		diff->active = false;
		diff->taken++;
	}
}

/* Moves the gap past the key that was found, or to the end of the range if none was. */
static void move_gap(struct th_diff *diff, bool found, struct th_slice key)
{
	diff->at_end = !found && !diff->backward && diff->range.open;
	if (found)
		th_key_set(&diff->at, key);
	else
		diff->at = diff->backward ? diff->range.from : diff->range.to;
	if (found && !diff->backward)
		th_key_successor(&diff->at);
}

static int step(struct th_diff *diff, bool backward, struct th_change *ret)
{
	int end;

	if (diff->backward != backward)
		start(diff, backward);
	end = find_change(diff, ret);
	if (end < 0) {
		start(diff, backward);
		return end;
	}
	move_gap(diff, end == 0, ret->key);
	if (end == 0)
		ret->key = th_view_strip(diff->view, ret->key);
	return end;
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

	if (err)
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
	diff->scan.since = since;
	diff->scan.visit = visit;
	diff->scan.visit_arg = diff;
	err = th_view_span(from, range, &diff->range);
	for (int i = 0; i < 2 && !err; i++) {
		diff->scan.view[i] = views[i];
		err = th_cursor_new(views[i], NULL, NULL, &diff->side[i].cursor);
		if (!err)
			th_cursor_watch(diff->side[i].cursor, visit, diff);
	}
	if (err) {
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
	th_diff_scan_release(&diff->scan);
	for (int i = 0; i < 2; i++)
		th_cursor_close(diff->side[i].cursor);
	pthread_mutex_destroy(&diff->seen_lock);
	free(diff->seen);
	free(diff);
}
