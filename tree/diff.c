/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff: the keys that differ between two views, at a cost that follows the changes.
 *
 * Whatever differs was brought by a message that is newer than the common past of the two views: of one branch, the
 * older of them.  So both trees are walked for such messages only: a child whose pointer says that nothing at or below
 * it is newer is passed by unread; a pending message that is newer names its key (or range); a leaf that got one may
 * differ anywhere, so its whole range is looked at.  These candidates come out in key order, and each is compared by
 * reading both views there.
 */
#include <errno.h>
#include <stdlib.h>

#include "tree/cursor.h"

/* A range of keys that may differ; a single key is the range up to its successor. */
struct candidate {
	struct th_key from, to;
	bool open;
};

/* Walks one view's tree for candidates. */
struct walk {
	struct th_view *view;
	bool known; /* `next` is the first candidate that does not end before `at` */
	bool done;
	struct candidate next;
};

struct th_diff {
	struct walk walk[2];
	uint64_t since; /* messages above this are news */
	const struct th_view *view; /* one of the two: names the keys */
	struct th_span left; /* everything below was looked at */
	bool at_end;
	struct candidate now;
	bool active; /* the cursors stand in `now` */
	struct th_cursor *from_cursor, *to_cursor;
	struct th_cursor_entry from_entry, to_entry;
	int from_r, to_r; /* what the cursors last said: 0 an entry is waiting */
	bool from_used, to_used;
	struct th_diff_stats stats;
	const struct th_node **seen; /* distinct nodes visited: a hash set */
	size_t seen_count, seen_capacity;
};

/* --- counting nodes --- */

static bool seen_insert(const struct th_node **set, size_t capacity, const struct th_node *node)
{
	size_t i = ((uintptr_t)node >> 5) * UINT64_C(0x9e3779b97f4a7c15) % capacity;

	while (set[i] && set[i] != node)
		i = (i + 1) % capacity;
	if (set[i])
		return false;
	set[i] = node;
	return true;
}

static void visit(void *arg, const struct th_node *node)
{
	struct th_diff *diff = arg;

	if (2 * diff->seen_count >= diff->seen_capacity) {
		size_t capacity = diff->seen_capacity ? 2 * diff->seen_capacity : 256;
		const struct th_node **set = calloc(capacity, sizeof(*set));

		if (!set)
			return; /* a count is not worth failing for */
		for (size_t i = 0; i < diff->seen_capacity; i++)
			if (diff->seen[i])
				seen_insert(set, capacity, diff->seen[i]);
		free(diff->seen);
		diff->seen = set;
		diff->seen_capacity = capacity;
	}
	if (seen_insert(diff->seen, diff->seen_capacity, node)) {
		diff->seen_count++;
		diff->stats.nodes_read++;
	}
}

/* --- walking for candidates --- */

/* The first message of the overlay with key >= at (or a range that covers at) that is news, if any. */
static const struct th_entry *first_news(const struct th_node *node, struct th_slice at, uint64_t since)
{
	unsigned i = th_slab_lower(node, &node->overlay, at);

	if (i > 0 && th_slice_common(at, (struct th_slice){ node->prefix, node->prefix_size }) == node->prefix_size) {
		const struct th_entry *e = th_slab_entry(&node->overlay, i - 1);

		if ((e->flags & TH_ENTRY_RANGE) && th_slice_compare(th_entry_value(e), at) > 0 &&
		    th_entry_seq(e) > since)
			return e;
	}
	for (; i < node->overlay.count; i++)
		if (th_entry_seq(th_slab_entry(&node->overlay, i)) > since)
			return th_slab_entry(&node->overlay, i);
	return NULL;
}

/* Lowers the candidate to [from, to) if that begins earlier. */
static void offer(struct candidate *best, bool *found, const struct th_key *from, const struct th_key *to, bool open)
{
	if (*found && th_slice_compare(th_key_slice(&best->from), th_key_slice(from)) <= 0)
		return;
	best->from = *from;
	best->open = open;
	if (!open)
		best->to = *to;
	*found = true;
}

static void offer_message(const struct th_node *node, struct th_slice at, uint64_t since, struct candidate *best,
			  bool *found)
{
	const struct th_entry *e = first_news(node, at, since);
	struct th_key from, to;

	if (!e)
		return;
	th_node_key(node, e, &from);
	if (e->flags & TH_ENTRY_RANGE) {
		th_key_set(&to, th_entry_value(e));
		if (th_slice_compare(th_key_slice(&from), at) < 0)
			th_key_set(&from, at);
	} else {
		to = from;
		th_key_successor(&to);
	}
	offer(best, found, &from, &to, false);
}

static uint64_t child_seq(const struct th_node *node, unsigned i)
{
	struct th_ptr ptr;

	if (node->kids && node->kids[i])
		return node->kids[i]->seq;
	return th_node_child_ptr(node, i, &ptr) == 0 ? ptr.seq : UINT64_MAX;
}

/*
 * The earliest candidate at or after `at` below node, whose fences are lo and hi (NULL data: none).  Messages of this
 * node and news in its children compete; a child is entered only if its pointer announces news.
 */
static int earliest(struct th_diff *diff, struct th_node *node, struct th_slice lo, struct th_slice hi,
		    struct candidate *best, bool *found, struct th_need *need)
{
	struct th_slice at = th_key_slice(&diff->left.from);
	unsigned i = 0;

	visit(diff, node);
	if (node->level == 0) {
		struct th_key from, to;

		th_key_set(&from, th_slice_compare(lo, at) > 0 ? lo : at);
		if (hi.data)
			th_key_set(&to, hi);
		offer(best, found, &from, &to, !hi.data);
		return 0;
	}
	offer_message(node, at, diff->since, best, found);
	if (th_slice_compare(at, lo) > 0)
		i = th_node_child(node, at);
	for (; i < node->base.count; i++) {
		struct th_key kid_lo, kid_hi;
		struct th_slice kid_end = hi;
		struct th_node *kid;
		bool had = *found;
		int r;

		th_node_key(node, th_slab_entry(&node->base, i), &kid_lo);
		if (had && th_slice_compare(th_key_slice(&best->from), th_key_slice(&kid_lo)) < 0)
			return 0;
		if (child_seq(node, i) <= diff->since)
			continue;
		if (i + 1 < node->base.count) {
			th_node_key(node, th_slab_entry(&node->base, i + 1), &kid_hi);
			kid_end = th_key_slice(&kid_hi);
		}
		r = th_tree_child(diff->walk[0].view->store->cache, node, i, &kid, need);
		if (r < 0)
			return r;
		*found = false;
		{
			struct candidate below;
			bool below_found = false;

			r = earliest(diff, kid, th_key_slice(&kid_lo), kid_end, &below, &below_found, need);
			th_node_unref(kid);
			*found = had;
			if (r < 0)
				return r;
			if (below_found) {
				offer(best, found, &below.from, &below.to, below.open);
				return 0;
			}
		}
	}
	return 0;
}

/* The tree's first candidate at or after diff->at. */
static int find_next(struct th_diff *diff, struct walk *walk)
{
	struct th_view *view = walk->view;
	struct th_slice none = { NULL, 0 };
	struct th_need need;
	bool found;
	int r;

	th_need_init(&need);
	do {
		found = false;
		if (view->tree)
			pthread_rwlock_rdlock(&view->tree->lock);
		r = view->root->seq > diff->since
			    ? earliest(diff, view->root, TH_SLICE_EMPTY, none, &walk->next, &found, &need)
			    : 0;
		if (view->tree)
			pthread_rwlock_unlock(&view->tree->lock);
		if (r == -EAGAIN) {
			r = th_need_load(&need, view->store->cache);
			if (r == 0)
				r = -EAGAIN;
		}
	} while (r == -EAGAIN);
	th_need_release(&need);
	walk->known = r == 0;
	walk->done = r == 0 && !found;
	return r;
}

/* Cuts the candidate off where the diff's range ends; false if it lies behind. */
static bool clip(const struct th_diff *diff, struct candidate *candidate)
{
	struct th_slice end = th_span_end(&diff->left);

	if (!end.data)
		return true;
	if (th_slice_compare(th_key_slice(&candidate->from), end) >= 0)
		return false;
	if (candidate->open || th_slice_compare(th_key_slice(&candidate->to), end) > 0) {
		candidate->to = diff->left.to;
		candidate->open = false;
	}
	return true;
}

/* What was looked at is no candidate any more: a tree's next one that begins there has to be found anew. */
static void move_on(struct th_diff *diff, const struct candidate *past)
{
	diff->at_end = past->open;
	if (past->open)
		return;
	diff->left.from = past->to;
	for (int i = 0; i < 2; i++) {
		struct walk *walk = &diff->walk[i];

		if (walk->known && !walk->done &&
		    th_slice_compare(th_key_slice(&walk->next.from), th_key_slice(&diff->left.from)) < 0)
			walk->known = false;
	}
}

/* The next candidate of either tree; 1 at the end.  They are ascending and disjoint. */
static int next_candidate(struct th_diff *diff, struct candidate *ret)
{
	struct walk *first = NULL;

	if (diff->at_end)
		return 1;
	for (int i = 0; i < 2; i++) {
		struct walk *walk = &diff->walk[i];
		int r = walk->known ? 0 : find_next(diff, walk);

		if (r < 0)
			return r;
		if (!walk->done &&
		    (!first || th_slice_compare(th_key_slice(&walk->next.from), th_key_slice(&first->next.from)) < 0))
			first = walk;
	}
	diff->at_end = !first || !clip(diff, &first->next);
	if (diff->at_end)
		return 1;
	*ret = first->next;
	move_on(diff, ret);
	return 0;
}

/* --- comparing --- */

static int begin_candidate(struct th_diff *diff)
{
	struct th_slice end = diff->now.open ? (struct th_slice){ NULL, 0 } : th_key_slice(&diff->now.to);
	struct th_cursor *cursors[] = { diff->from_cursor, diff->to_cursor };

	for (int i = 0; i < 2; i++) {
		int r;

		th_cursor_set_end(cursors[i], end);
		r = th_cursor_seek(cursors[i], th_key_slice(&diff->now.from));
		if (r < 0)
			return r;
	}
	diff->active = true;
	diff->from_used = diff->to_used = true;
	return 0;
}

static bool same(const struct th_cursor_entry *a, const struct th_cursor_entry *b)
{
	return a->refs == b->refs && th_slice_compare(a->value, b->value) == 0;
}

/* Moves on whichever side was used up. */
static int advance(struct th_diff *diff)
{
	if (diff->from_used)
		diff->from_r = th_cursor_next(diff->from_cursor, &diff->from_entry);
	if (diff->to_used)
		diff->to_r = th_cursor_next(diff->to_cursor, &diff->to_entry);
	if (diff->from_r < 0)
		return diff->from_r;
	return diff->to_r < 0 ? diff->to_r : 0;
}

/* The next key in the candidate that differs; 1 if there is none. */
static int next_in_candidate(struct th_diff *diff, struct th_change *ret)
{
	for (;;) {
		int c, r = advance(diff);

		if (r < 0)
			return r;
		if (diff->from_r == 1 && diff->to_r == 1)
			return 1;
		c = diff->from_r == 1 ? 1
		    : diff->to_r == 1 ? -1
				      : th_slice_compare(diff->from_entry.key, diff->to_entry.key);
		diff->from_used = c <= 0;
		diff->to_used = c >= 0;
		diff->stats.entries_compared++;
		if (c == 0 && same(&diff->from_entry, &diff->to_entry))
			continue;
		*ret = (struct th_change){
			.key = th_view_strip(diff->view, c <= 0 ? diff->from_entry.key : diff->to_entry.key),
		};
		if (c <= 0) {
			ret->from = diff->from_entry.value;
			ret->from_refs = diff->from_entry.refs;
		}
		if (c >= 0) {
			ret->to = diff->to_entry.value;
			ret->to_refs = diff->to_entry.refs;
		}
		return 0;
	}
}

int th_diff_next(struct th_diff *diff, struct th_change *ret)
{
	for (;;) {
		int r;

		if (diff->active) {
			r = next_in_candidate(diff, ret);
			if (r != 1)
				return r;
			diff->active = false;
		}
		r = next_candidate(diff, &diff->now);
		if (r != 0)
			return r;
		r = begin_candidate(diff);
		if (r < 0)
			return r;
	}
}

int th_diff_open(struct th_view *from, struct th_view *to, const struct th_range *range, struct th_diff **ret)
{
	struct th_diff *diff;
	int r;

	if (th_view_is_live(from) || th_view_is_live(to) || from->store != to->store ||
	    th_slice_compare(from->prefix, to->prefix) != 0)
		return -EINVAL;
	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return -ENOMEM;
	diff->walk[0].view = from;
	diff->walk[1].view = to;
	diff->since = th_branch_common(from, to);
	diff->view = from;
	r = th_view_span(from, range, &diff->left);
	if (r == 0)
		r = th_cursor_new(th_view_whole(from), NULL, NULL, &diff->from_cursor);
	if (r == 0)
		r = th_cursor_new(th_view_whole(to), NULL, NULL, &diff->to_cursor);
	if (r < 0) {
		th_diff_close(diff);
		return r;
	}
	th_cursor_watch(diff->from_cursor, visit, diff);
	th_cursor_watch(diff->to_cursor, visit, diff);
	*ret = diff;
	return 0;
}

void th_diff_stats(const struct th_diff *diff, struct th_diff_stats *ret)
{
	*ret = diff->stats;
}

void th_diff_close(struct th_diff *diff)
{
	if (!diff)
		return;
	th_cursor_close(diff->from_cursor);
	th_cursor_close(diff->to_cursor);
	free(diff->seen);
	free(diff);
}
