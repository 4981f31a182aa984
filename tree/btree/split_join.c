/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/split_join.h"

#include <errno.h>

#include "tree/node/overlay.h"

bool th_node_too_big(const struct th_node *node)
{
	if (node->level > 0)
		return node->base.count > TH_FANOUT;
	return node->base.bytes > TH_LEAF_BYTES || node->base.count > TH_SLOTS_MAX;
}

/* The weight of slot i when a base is divided into pieces: bytes in a leaf, 1 in an interior node. */
static size_t slot_weight(const struct th_node *node, unsigned i)
{
	return node->level > 0 ? 1 : th_slab_cost(node, &node->base, th_slab_entry(&node->base, i));
}

/* The slot after a piece that begins at `from`.  Pieces are of equal size, unless the leaf grew at its end only: then
 * they are filled, as their keys will hardly change again. */
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
		weight += slot_weight(node, i);
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

int th_child_split(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences child_at, bool appended)
{
	struct th_node *child = th_node_ref(node->children[i]), *piece;
	struct th_key lo, hi;
	unsigned from = 0, overlay_from = 0, at = i;
	int err = 0;

	th_key_set(&lo, child_at.lo);
	th_tree_unaccount(tree, child);
	while (from < child->base.count && !err) {
		unsigned to = piece_end(child, from, appended), overlay_to = child->overlay.count;
		struct th_slice hi_slice = child_at.hi;

		if (to < child->base.count) {
			separator(child, to, &hi);
			hi_slice = th_key_slice(&hi);
			overlay_to = th_slab_lower(child, &child->overlay, hi_slice);
			err = th_overlay_cut(node, hi_slice);
			if (err)
				break;
		}
		piece = th_node_slice(child, from, to, overlay_from, overlay_to, th_key_slice(&lo), hi_slice);
		if (!piece) {
			err = -ENOMEM;
			break;
		}
		th_tree_account(tree, piece);
		err = at == i ? th_node_set_child(node, i, piece)
			      : th_node_insert_child(node, at, th_key_slice(&lo), piece);
		at++;
		from = to;
		overlay_from = overlay_to;
		if (from < child->base.count)
			lo = hi;
	}
	th_node_unref(child);
	return err;
}

static bool too_small(const struct th_node *node)
{
	if (node->level > 0)
		return node->base.count < TH_FANOUT / 4 || node->records == 0;
	return node->base.bytes < TH_LEAF_BYTES / 4;
}

static bool fits_together(const struct th_node *a, const struct th_node *b)
{
	if (a->level == 0 && (a->base.count == 0 || b->base.count == 0))
		return true;
	if (a->level > 0 && a->base.count + b->base.count > TH_FANOUT * 3 / 4)
		return false;
	return a->base.bytes + b->base.bytes <= TH_LEAF_BYTES * 3 / 4 &&
	       a->base.count + b->base.count <= TH_SLOTS_MAX &&
	       a->overlay.bytes + b->overlay.bytes <= TH_OVERLAY_BYTES &&
	       a->overlay.count + b->overlay.count <= TH_OVERLAY_SLOTS;
}

struct th_fences th_child_fences(const struct th_node *node, unsigned i, struct th_fences at, struct th_key *lo,
				 struct th_key *hi)
{
	struct th_fences child = at;

	if (i > 0) {
		th_node_key(node, th_slab_entry(&node->base, i), lo);
		child.lo = th_key_slice(lo);
	}
	if (i + 1 < node->base.count) {
		th_node_key(node, th_slab_entry(&node->base, i + 1), hi);
		child.hi = th_key_slice(hi);
	}
	return child;
}

/* Do children i and i + 1 fit into one node?  Returns 0, 1 if they do, -EAGAIN and *need if one is not in memory. */
static int worth_joining(struct th_tree *tree, struct th_node *node, unsigned i, struct th_need *need)
{
	struct th_node *left, *right;
	int ret = th_tree_child(tree->cache, node, i, &left, need);

	if (ret < 0)
		return ret;
	ret = th_tree_child(tree->cache, node, i + 1, &right, need);
	if (ret == 0) {
		ret = fits_together(left, right);
		th_node_unref(right);
	}
	th_node_unref(left);
	return ret;
}

/* Is a small node worth reading its neighbour?  Only at powers of two, so that a node that cannot be joined costs a
 * logarithmic number of reads while it shrinks. */
static bool wants_neighbour(const struct th_node *child, const struct th_need *need)
{
	return need && !need->skip_optional && (child->base.count & (child->base.count - 1u)) == 0;
}

/* Joins children i and i + 1 if they are in memory and small enough.  load: NULL, or takes the one that is not in
 * memory, with -EAGAIN. */
static int join_children(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at,
			 struct th_need *load)
{
	struct th_node *left, *right, *joined;
	struct th_need unused;
	struct th_key lo, mid, end;
	struct th_fences a, b;
	unsigned seam;
	int err;

	if (!th_tree_may_dirty(tree, 2 * th_tree_path_bytes(0)))
		return 0;
	th_need_init(&unused);
	err = worth_joining(tree, node, i, load ? load : &unused);
	if (err != 1)
		return load && err == -EAGAIN ? err : 0;
	err = th_tree_child_writable(tree, node, i, &left, &unused);
	if (!err)
		err = th_tree_child_writable(tree, node, i + 1, &right, &unused);
	if (err)
		return err == -EAGAIN ? 0 : err;
	a = th_child_fences(node, i, at, &lo, &mid);
	b = th_child_fences(node, i + 1, at, &mid, &end);
	joined = th_node_join(left, right, a.lo, b.hi);
	if (!joined)
		return -ENOMEM;
	if (joined->base.bytes > TH_LEAF_BYTES || joined->overlay.bytes > TH_OVERLAY_BYTES) {
		th_node_unref(joined); /* the common prefix is shorter, so its keys take more */
		return 0;
	}
	seam = left->base.count;
	th_tree_unaccount(tree, left);
	th_tree_unaccount(tree, right);
	th_tree_account(tree, joined);
	err = th_node_set_child(node, i, joined);
	if (!err)
		th_slab_remove(node, &node->base, i + 1, i + 2, true);
	if (err || joined->level == 0)
		return err;
	/* The children that became neighbours may be small for the same reason. */
	err = join_children(tree, joined, seam - 1, (struct th_fences){ a.lo, b.hi }, NULL);
	th_tree_account(tree, joined);
	return err;
}

/* Joins child i with the neighbour after it, or else with the one before: of two small neighbours, the one that became
 * small last finds the other. */
static int join_with_neighbour(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at,
			       struct th_need *load)
{
	unsigned count = node->base.count;
	int err = i + 1 < count ? join_children(tree, node, i, at, load) : 0;

	if (!err && node->base.count == count && i > 0)
		err = join_children(tree, node, i - 1, at, load);
	if (err == -EAGAIN) {
		th_node_key(node, th_slab_entry(&node->base, i), &load->key);
		load->optional = true;
	}
	return err;
}

/* Has no leaf below the interior node a record, and is no message pending at or below it?  Does not rely on the sums in
 * interior nodes.  Returns false if that takes an interior node that is not in memory. */
static bool is_empty(struct th_tree *tree, struct th_node *node)
{
	bool empty = node->overlay.count == 0;

	for (unsigned i = 0; i < node->base.count && empty; i++) {
		struct th_node *child;
		struct th_need unused;

		if (node->level == 1) {
			empty = th_node_child_records(node, i) == 0;
			continue;
		}
		th_need_init(&unused);
		if (th_tree_child(tree->cache, node, i, &child, &unused) < 0)
			return false;
		empty = is_empty(tree, child);
		th_node_unref(child);
	}
	return empty;
}

int th_node_collapse(struct th_tree *tree, struct th_node *node, struct th_fences at)
{
	int err;

	if (node->level == 0 || node->records > 0 || node->base.count == 1 || !is_empty(tree, node))
		return 0;
	err = th_tree_detach(tree, node, 0, node->base.count, at.lo, at.hi, node->seq);
	th_tree_account(tree, node);
	return err;
}

int th_child_fix(struct th_tree *tree, struct th_node *node, unsigned i, struct th_fences at, bool appended,
		 struct th_need *need)
{
	struct th_node *child = node->children[i];
	struct th_key lo, hi;
	struct th_fences child_at = th_child_fences(node, i, at, &lo, &hi);
	int err = 0;

	if (th_node_too_big(child)) {
		err = th_child_split(tree, node, i, child_at, appended);
	} else {
		err = th_node_collapse(tree, child, child_at);
		if (!err && too_small(child))
			err = join_with_neighbour(tree, node, i, at, wants_neighbour(child, need) ? need : NULL);
	}
	th_tree_account(tree, node);
	return err;
}
