/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/view/diff_scan.h"

#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

/* A walk over one tree. */
struct walk {
	struct th_diff_scan *to;
	struct th_cache *cache;
	struct th_span left; /* to be walked; reduced to the part that was walked when the walk stops */
	bool backward;
	size_t enough; /* the walk stops after the node with which the list has this many candidates */
	bool stopped;
	bool missing; /* it stopped before a node that has to be loaded */
	bool nothing; /* that node was the first one, so nothing was walked */
	struct th_need need;
};

/* --- the list --- */

static int add(struct th_diff_scan *to, struct th_slice from, struct th_slice end, bool point)
{
	struct th_diff_candidate *c;

	if (th_grow(to->list, to->capacity, to->count + 1))
		return -ENOMEM;
	c = malloc(sizeof(*c) + from.size + end.size);
	if (!c)
		return -ENOMEM;
	*c = (struct th_diff_candidate){ .from = { c->bytes, from.size }, .point = point };
	memcpy(c->bytes, from.data, from.size);
	if (end.data) {
		c->to = (struct th_slice){ c->bytes + from.size, end.size };
		memcpy(c->bytes + from.size, end.data, end.size);
	}
	to->list[to->count++] = c;
	return 0;
}

/* Orders candidates by their beginning; at the same key, a range before the points in it. */
static int compare(const void *a, const void *b)
{
	const struct th_diff_candidate *x = *(struct th_diff_candidate *const *)a,
				       *y = *(struct th_diff_candidate *const *)b;
	int c = th_slice_compare(x->from, y->from);

	return c ? c : x->point - y->point;
}

static bool lies_before(struct th_slice key, struct th_slice end)
{
	return !end.data || th_slice_compare(key, end) < 0;
}

/* Reduces a candidate to the part that is after the one before it (NULL: there is none) and in the span.  Returns
 * false if nothing is left of it. */
static bool clip(struct th_diff_candidate *c, const struct th_diff_candidate *before, const struct th_span *span)
{
	struct th_slice from = th_key_slice(&span->from), to = th_span_end(span);

	if (before)
		from = before->point ? before->from : before->to;
	if (before && !from.data)
		return false; /* the one before it is open */
	if (c->point)
		return th_slice_compare(c->from, from) >= 0 && lies_before(c->from, to) &&
		       !(before && before->point && th_slice_compare(c->from, from) == 0);
	if (th_slice_compare(c->from, from) < 0)
		c->from = from;
	if (to.data && (!c->to.data || th_slice_compare(c->to, to) > 0))
		c->to = to;
	return lies_before(c->from, c->to);
}

/* Makes the list ascending and disjoint. */
static void tidy(struct th_diff_scan *scan, const struct th_span *span)
{
	struct th_diff_candidate **list = scan->list;
	size_t kept = 0;

	if (scan->count == 0)
		return;
	qsort(list, scan->count, sizeof(struct th_diff_candidate *), compare);
	for (size_t i = 0; i < scan->count; i++) {
		if (clip(list[i], kept ? list[kept - 1] : NULL, span))
			list[kept++] = list[i];
		else
			free(list[i]);
	}
	scan->count = kept;
}

void th_diff_scan_clear(struct th_diff_scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		free(scan->list[i]);
	scan->count = 0;
}

void th_diff_scan_release(struct th_diff_scan *scan)
{
	th_diff_scan_clear(scan);
	free(scan->list);
}

/* --- the walk --- */

/* Adds the newer messages of the overlay, but only those in the part of the span that was walked. */
static int add_messages(struct walk *w, const struct th_node *node)
{
	const struct th_slab *overlay = &node->overlay;
	struct th_slice from = th_key_slice(&w->left.from), to = th_span_end(&w->left);
	unsigned i = th_slab_lower(node, overlay, from);
	unsigned end = to.data ? th_slab_lower(node, overlay, to) : overlay->count;
	int err = 0;

	if (i > 0 && th_message_is_range(th_slab_entry(overlay, i - 1)))
		i--; /* it may extend into the span */
	for (; i < end && !err; i++) {
		const struct th_entry *e = th_slab_entry(overlay, i);
		bool range = th_message_is_range(e);
		struct th_key key;

		if (th_entry_seq(e) <= w->to->since)
			continue;
		th_node_key(node, e, &key);
		err = add(w->to, th_key_slice(&key), range ? th_entry_value(e) : (struct th_slice){ NULL, 0 }, !range);
	}
	return err;
}

static uint64_t child_seq(const struct th_node *node, unsigned i)
{
	struct th_ptr ptr;

	if (node->children && node->children[i])
		return node->children[i]->seq;
	return th_node_child_ptr(node, i, &ptr) == 0 ? ptr.seq : UINT64_MAX;
}

/* Stops the walk before the child [lo, hi), which is not in memory. */
static void stop_before(struct walk *w, struct th_slice lo, struct th_slice hi)
{
	struct th_slice from = th_key_slice(&w->left.from);

	w->stopped = w->missing = true;
	if (w->backward ? hi.data && lies_before(hi, th_span_end(&w->left)) : th_slice_compare(lo, from) > 0) {
		th_key_set(w->backward ? &w->left.from : &w->left.to, w->backward ? hi : lo);
		w->left.open &= w->backward;
	} else {
		w->nothing = true;
	}
}

/* Stops the walk after the child [lo, hi). */
static void stop_after(struct walk *w, struct th_slice lo, struct th_slice hi)
{
	w->stopped = true;
	if (w->backward) {
		if (th_slice_compare(lo, th_key_slice(&w->left.from)) > 0)
			th_key_set(&w->left.from, lo);
	} else if (hi.data && lies_before(hi, th_span_end(&w->left))) {
		th_key_set(&w->left.to, hi);
		w->left.open = false;
	}
}

static int walk_node(struct walk *w, struct th_node *node, struct th_slice lo, struct th_slice hi);

static int walk_child(struct walk *w, struct th_node *node, unsigned i, struct th_slice node_hi)
{
	struct th_key next, key;
	struct th_slice lo, hi = node_hi;
	struct th_node *child;
	int err;

	if (child_seq(node, i) <= w->to->since)
		return 0;
	th_node_key(node, th_slab_entry(&node->base, i), &key);
	lo = th_key_slice(&key);
	if (i + 1 < node->base.count) {
		th_node_key(node, th_slab_entry(&node->base, i + 1), &next);
		hi = th_key_slice(&next);
	}
	if (!lies_before(lo, th_span_end(&w->left)) || !lies_before(th_key_slice(&w->left.from), hi))
		return 0;
	err = th_tree_child(w->cache, node, i, &child, &w->need);
	if (err == -EAGAIN) {
		stop_before(w, lo, hi);
		return 0;
	}
	if (err)
		return err;
	err = walk_node(w, child, lo, hi);
	th_node_unref(child);
	if (!err && !w->stopped && w->to->count >= w->enough)
		stop_after(w, lo, hi);
	return err;
}

static int walk_node(struct walk *w, struct th_node *node, struct th_slice lo, struct th_slice hi)
{
	unsigned count = node->base.count;
	int err = 0;

	w->to->visit(w->to->visit_arg, node);
	if (node->level == 0)
		return add(w->to, lo, hi, false);
	for (unsigned n = 0; n < count && !err && !w->stopped; n++)
		err = walk_child(w, node, w->backward ? count - 1 - n : n, hi);
	return err || w->nothing ? err : add_messages(w, node);
}

static int walk_root(struct walk *w, struct th_view *view)
{
	struct th_slice none = { NULL, 0 };
	int err = 0;

	w->stopped = w->missing = w->nothing = false;
	th_view_lock(view);
	if (view->root->seq > w->to->since)
		err = walk_node(w, view->root, TH_SLICE_EMPTY, none);
	th_view_unlock(view);
	return err;
}

/* Adds the candidates of one tree, and reduces the span to the part that was walked.  A walk holds the lock, so it
 * stops where a node has to be loaded, and continues there when it is. */
static int gather(struct th_diff_scan *to, struct th_view *view, struct th_span *span, bool backward, size_t want)
{
	struct walk w = { .to = to, .cache = view->store->cache, .backward = backward, .enough = to->count + want };
	struct th_span rest = *span;
	int err;

	th_need_init(&w.need);
	do {
		w.left = rest;
		err = walk_root(&w, view);
		if (!err && w.missing) {
			if (!w.nothing)
				th_span_take_off(&rest, &w.left, backward);
			err = th_need_load(&w.need, w.cache);
		}
	} while (!err && w.missing);
	th_need_release(&w.need);
	if (backward) {
		span->from = w.left.from;
	} else {
		span->to = w.left.to;
		span->open = w.left.open;
	}
	return err;
}

int th_diff_scan_gather(struct th_diff_scan *scan, struct th_span *span, bool backward, size_t want)
{
	int err = gather(scan, scan->view[0], span, backward, want);

	if (!err)
		err = gather(scan, scan->view[1], span, backward, want);
	if (err)
		th_diff_scan_clear(scan);
	else
		tidy(scan, span);
	return err;
}
