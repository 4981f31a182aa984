/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting and joining: how nodes keep their size.
 */
#include <errno.h>

#include "tree/btree/push_down.h"

bool th_node_too_big(const struct th_node *node)
{
	if (node->level > 0)
		return node->base.count > TH_FANOUT;
	return node->base.bytes > TH_LEAF_BYTES || node->base.count > TH_SLOTS_MAX;
}

/* How much of the base a piece of a split takes: bytes of a leaf, children of an interior node. */
static size_t piece_weight(const struct th_node *node, unsigned i)
{
	return node->level > 0 ? 1 : th_slab_cost(node, &node->base, th_slab_entry(&node->base, i));
}

/* The slot behind a piece that begins at `from`.  Pieces are even, but for a leaf that grew at its end only: then they
 * are full. */
static unsigned piece_end(const struct th_node *node, unsigned from, bool appended)
{
	size_t whole = node->level > 0 ? node->base.count : node->base.bytes;
	size_t limit = node->level > 0 ? TH_FANOUT : TH_LEAF_BYTES;
	size_t slots = node->level > 0 ? TH_FANOUT : TH_SLOTS_MAX;
	size_t pieces = whole / limit + 1, by_slots = node->base.count / slots + 1;
	size_t target, weight = 0;
	unsigned i;

	if (by_slots > pieces)
		pieces = by_slots;
	target = appended ? limit * 19 / 20 : (whole + pieces - 1) / pieces;
	for (i = from; i < node->base.count; i++) {
		weight += piece_weight(node, i);
		if (i > from && (weight > target || i - from >= slots * 19 / 20))
			break;
	}
	return i;
}

/* The shortest key that separates slot i - 1 from slot i. */
static void separator(const struct th_node *node, unsigned i, struct th_key *ret)
{
	struct th_key left;

	th_node_key(node, th_slab_entry(&node->base, i), ret);
	if (node->level > 0)
		return;
	th_node_key(node, th_slab_entry(&node->base, i - 1), &left);
	ret->size = (uint16_t)(th_slice_common(th_key_slice(&left), th_key_slice(ret)) + 1);
}

/*
 * Replaces kid i, which is too big, by pieces:
 *
 *      ... | i | ...     ->     ... | i | i' | i'' | ...
 */
int th_kid_split(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences kid_at, bool appended)
{
	struct th_node *kid = th_node_ref(node->kids[i]), *piece;
	struct th_key lo, hi;
	unsigned from = 0, overlay_from = 0, at = i;
	int r = 0;

	th_key_set(&lo, kid_at.lo);
	th_tree_unaccount(tree, kid);
	while (from < kid->base.count && r == 0) {
		unsigned to = piece_end(kid, from, appended), overlay_to = kid->overlay.count;
		struct th_slice hi_slice = kid_at.hi;

		if (to < kid->base.count) {
			separator(kid, to, &hi);
			hi_slice = th_key_slice(&hi);
			overlay_to = th_slab_lower(kid, &kid->overlay, hi_slice);
			r = th_overlay_cut(node, hi_slice);
			if (r < 0)
				break;
		}
		piece = th_node_slice(kid, from, to, overlay_from, overlay_to, th_key_slice(&lo), hi_slice);
		if (!piece) {
			r = -ENOMEM;
			break;
		}
		th_tree_account(tree, piece);
		r = at == i ? th_node_set_kid(node, i, piece) : th_node_insert_kid(node, at, th_key_slice(&lo), piece);
		at++;
		from = to;
		overlay_from = overlay_to;
		if (from < kid->base.count)
			lo = hi;
	}
	th_node_unref(kid);
	return r;
}

static bool too_small(const struct th_node *node)
{
	return node->level > 0 ? node->base.count < TH_FANOUT / 4 : node->base.bytes < TH_LEAF_BYTES / 4;
}

static bool fits_together(const struct th_node *a, const struct th_node *b)
{
	if (a->level > 0 && a->base.count + b->base.count > TH_FANOUT * 3 / 4)
		return false;
	return a->base.bytes + b->base.bytes <= TH_LEAF_BYTES * 3 / 4 &&
	       a->base.count + b->base.count <= TH_SLOTS_MAX &&
	       a->overlay.bytes + b->overlay.bytes <= TH_OVERLAY_BYTES &&
	       a->overlay.count + b->overlay.count <= TH_OVERLAY_SLOTS;
}

/* The fences of child i. */
struct th_fences th_kid_fences(const struct th_node *node, unsigned i, struct th_fences at, struct th_key *lo,
			       struct th_key *hi)
{
	struct th_fences kid = at;

	if (i > 0) {
		th_node_key(node, th_slab_entry(&node->base, i), lo);
		kid.lo = th_key_slice(lo);
	}
	if (i + 1 < node->base.count) {
		th_node_key(node, th_slab_entry(&node->base, i + 1), hi);
		kid.hi = th_key_slice(hi);
	}
	return kid;
}

/* Are children i and i + 1 in memory, and small enough together? */
static bool worth_joining(struct th_tree *tree, struct th_node *node, unsigned i)
{
	struct th_node *left, *right;
	struct th_need unused;
	bool worth = false;

	th_need_init(&unused);
	if (th_tree_child(tree->cache, node, i, &left, &unused) < 0)
		return false;
	if (th_tree_child(tree->cache, node, i + 1, &right, &unused) == 0) {
		worth = fits_together(left, right);
		th_node_unref(right);
	}
	th_node_unref(left);
	return worth;
}

/* Joins children i and i + 1 if both are in memory and small; otherwise leaves them. */
static int join_kids(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at)
{
	struct th_node *left, *right, *joined;
	struct th_need unused;
	struct th_key lo, mid, end;
	struct th_fences a, b;
	int r;

	if (!worth_joining(tree, node, i))
		return 0;
	th_need_init(&unused);
	r = th_tree_kid_writable(tree, node, i, &left, &unused);
	if (r == 0)
		r = th_tree_kid_writable(tree, node, i + 1, &right, &unused);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	a = th_kid_fences(node, i, at, &lo, &mid);
	b = th_kid_fences(node, i + 1, at, &mid, &end);
	joined = th_node_join(left, right, a.lo, b.hi);
	if (!joined)
		return -ENOMEM;
	if (joined->base.bytes > TH_LEAF_BYTES || joined->overlay.bytes > TH_OVERLAY_BYTES) {
		th_node_unref(joined); /* a shorter common prefix made it grow */
		return 0;
	}
	th_tree_unaccount(tree, left);
	th_tree_unaccount(tree, right);
	th_tree_account(tree, joined);
	r = th_node_set_kid(node, i, joined);
	if (r == 0)
		th_slab_remove(node, &node->base, i + 1, i + 2, true);
	return r;
}

/* Brings kid i, which is writable, back within its limits. */
int th_kid_fix(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at, bool appended)
{
	struct th_node *kid = node->kids[i];
	struct th_key lo, hi;
	int r = 0;

	if (th_node_too_big(kid))
		r = th_kid_split(tree, node, i, th_kid_fences(node, i, at, &lo, &hi), appended);
	else if (too_small(kid) && node->base.count > 1)
		r = join_kids(tree, node, i + 1 < node->base.count ? i : i - 1, at);
	th_tree_account(tree, node);
	return r;
}
