/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on their way down. */
#include <errno.h>

#include "tree/btree/push_down.h"

/* --- messages into a node --- */

static int insert_range_piece(struct th_tree *tree, struct th_node *node, struct th_slice from, struct th_slice to,
			      uint64_t seq)
{
	struct th_entry *piece;

	if (th_slice_compare(from, to) >= 0)
		return 0;
	piece = th_range_message(from, to, seq);
	return piece ? th_overlay_insert(node, piece, &tree->drops) : -ENOMEM;
}

/* Children [first, last) are covered whole: what is pending for them goes, and so do they. */
static int drop_kids(struct th_tree *tree, struct th_node *node, unsigned first, unsigned last, struct th_slice lo,
		     struct th_slice hi, uint64_t seq)
{
	bool exact;
	unsigned i;
	int r = insert_range_piece(tree, node, lo, hi, seq);

	if (r < 0)
		return r;
	i = th_slab_find(node, &node->overlay, lo, &exact);
	th_slab_remove(node, &node->overlay, i, i + 1, true);
	for (i = first; i < last; i++)
		if (node->kids && node->kids[i] && node->kids[i]->gen == tree->gen)
			th_tree_unaccount(tree, node->kids[i]);
	r = th_doomed_replace(tree, node, first, last, lo, hi, seq);
	if (r == 0)
		th_tree_account(tree, node->kids[first]);
	return r;
}

/*
 * A range message on its way into a node.  Children that it covers whole are dropped; at either end a piece is left for
 * the child that it covers in part (N3):
 *
 *      | child | child | child | child |
 *           [piece)[dropped   )[piece)
 */
static int insert_range_pieces(struct th_tree *tree, struct th_node *node, struct th_fences at,
			       const struct th_entry *message)
{
	struct th_slice from = { th_entry_key(message), th_entry_key_size(message) }, to = th_entry_value(message);
	uint64_t seq = th_entry_seq(message);
	unsigned first = th_node_child(node, from), last;
	struct th_key left, right, fence;
	int r = 0;

	th_node_key(node, th_slab_entry(&node->base, first), &fence);
	if (th_slice_compare(th_key_slice(&fence), from) < 0)
		first++;
	th_key_set(&left, to);
	if (first < node->base.count) {
		th_node_key(node, th_slab_entry(&node->base, first), &fence);
		if (th_slice_compare(th_key_slice(&fence), to) < 0)
			left = fence;
	}
	right = left;
	for (last = first; last < node->base.count; last++) {
		if (last + 1 < node->base.count)
			th_node_key(node, th_slab_entry(&node->base, last + 1), &fence);
		else if (at.hi.data)
			th_key_set(&fence, at.hi);
		else
			break;
		if (th_slice_compare(th_key_slice(&fence), to) > 0)
			break;
		right = fence;
	}
	if (last > first)
		r = drop_kids(tree, node, first, last, th_key_slice(&left), th_key_slice(&right), seq);
	if (r == 0)
		r = insert_range_piece(tree, node, from, th_key_slice(&left), seq);
	if (r == 0)
		r = insert_range_piece(tree, node, th_key_slice(&right), to, seq);
	th_entry_unref(message);
	return r;
}

/* The node is on the message's way. */
static void note_message(struct th_node *node, const struct th_entry *message)
{
	uint64_t seq = th_entry_seq(message);

	if (seq > node->seq)
		node->seq = seq;
	if (message->flags & TH_ENTRY_CHUNK)
		node->chunks = true;
}

/* Puts a message into a writable node: its overlay, or its records at a leaf.  Takes the reference over. */
int th_flush_accept(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message)
{
	note_message(node, message);
	if (node->level == 0)
		return th_leaf_apply(node, message, &tree->drops);
	if (message->flags & TH_ENTRY_RANGE)
		return insert_range_pieces(tree, node, at, message);
	return th_overlay_insert(node, message, &tree->drops);
}

/* --- a new message --- */

/* Does the overlay say anything of the key? */
static bool concerns(const struct th_node *node, struct th_slice key)
{
	const struct th_slab *slab = &node->overlay;
	bool exact;
	unsigned i;

	if (slab->count == 0)
		return false;
	i = th_slab_find(node, slab, key, &exact);
	if (exact)
		return true;
	return i > 0 && (th_slab_entry(slab, i - 1)->flags & TH_ENTRY_RANGE) && th_overlay_covering(node, key);
}

static bool is_last(const struct th_node *leaf, struct th_slice key)
{
	struct th_slice suffix;

	if (leaf->base.count == 0)
		return false;
	suffix = th_node_suffix(leaf, th_slab_entry(&leaf->base, leaf->base.count - 1));
	return key.size == leaf->prefix_size + suffix.size &&
	       memcmp((const uint8_t *)key.data + leaf->prefix_size, suffix.data, suffix.size) == 0;
}

/* What a message that went in at kid i, or below it, makes necessary. */
static int settle_kid(struct th_tree *tree, struct th_node *node, struct th_fences at, unsigned i, struct th_slice key,
		      bool shrinks)
{
	struct th_node *kid = node->kids[i];

	th_tree_account(tree, kid);
	if (!th_node_too_big(kid) && !shrinks)
		return 0;
	return th_kid_fix(tree, node, i, at, kid->level == 0 && is_last(kid, key));
}

/* The message's key is needed after the message was taken over: somebody above holds another reference. */
static int sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		struct th_need *need)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_node *kid = NULL;
	struct th_fences kid_at;
	struct th_key lo, hi;
	bool shrinks;
	unsigned i;
	int r;

	if (node->level > 0 && !(message->flags & TH_ENTRY_RANGE) && !concerns(node, key)) {
		i = th_node_child(node, key);
		kid = node->kids ? node->kids[i] : NULL;
	}
	if (!kid || kid->gen != tree->gen) {
		r = th_flush_accept(tree, node, at, message);
		return r < 0 || node->level == 0 ? r : th_flush_relieve(tree, node, at, need);
	}
	note_message(node, message);
	kid_at = th_kid_fences(node, i, at, &lo, &hi);
	shrinks = !(message->flags & TH_ENTRY_VALUE);
	r = sink(tree, kid, kid_at, message, need);
	return r < 0 ? r : settle_kid(tree, node, at, i, key, shrinks);
}

int th_flush_sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		  struct th_need *need)
{
	int r;

	th_entry_ref(message);
	r = sink(tree, node, at, message, need);
	th_entry_unref(message);
	return r;
}

static bool over_budget(const struct th_tree *tree, const struct th_node *node)
{
	return node->overlay.bytes > tree->overlay_bytes || node->overlay.count > TH_OVERLAY_SLOTS;
}

/* --- flushing --- */

/* Where child i's messages end in the overlay. */
static unsigned messages_end(const struct th_node *node, unsigned i)
{
	struct th_key fence;

	if (i + 1 >= node->base.count)
		return node->overlay.count;
	th_node_key(node, th_slab_entry(&node->base, i + 1), &fence);
	return th_slab_lower(node, &node->overlay, th_key_slice(&fence));
}

static unsigned heaviest_kid(const struct th_node *node, unsigned *ret_from, unsigned *ret_to)
{
	size_t best_weight = 0;
	unsigned best = 0, from = 0;

	for (unsigned i = 0; i < node->base.count && from < node->overlay.count; i++) {
		unsigned to = messages_end(node, i);
		size_t weight = th_slab_cost_range(node, &node->overlay, from, to);

		if (weight > best_weight) {
			best_weight = weight;
			best = i;
			*ret_from = from;
			*ret_to = to;
		}
		from = to;
	}
	return best;
}

/* Moves overlay messages [from, to) of node into its kid. */
static int move_messages(struct th_tree *tree, struct th_node *node, struct th_node *kid, struct th_fences kid_at,
			 unsigned from, unsigned to)
{
	int r = 0;

	for (unsigned j = from; j < to && r == 0; j++) {
		const struct th_entry *message = th_node_entry_heap(node, th_slab_entry(&node->overlay, j));

		r = message ? th_flush_accept(tree, kid, kid_at, message) : -ENOMEM;
	}
	if (r == 0)
		th_slab_remove(node, &node->overlay, from, to, true);
	return r;
}

/* Is everything to be moved behind the kid's last key? */
static bool appends(const struct th_node *node, unsigned from, const struct th_node *kid)
{
	struct th_key first, last;

	if (kid->level > 0 || kid->base.count == 0)
		return kid->level == 0;
	th_node_key(node, th_slab_entry(&node->overlay, from), &first);
	th_node_key(kid, th_slab_entry(&kid->base, kid->base.count - 1), &last);
	return th_slice_compare(th_key_slice(&first), th_key_slice(&last)) > 0;
}

/* Sends overlay messages [from, to), which are child i's, down, and has the child do the same if that is too much for
 * it.  A child that could not, for want of a node, stays as it is until it can: if it were split now, one piece only
 * would be found by need->key, and the other stay over its budget. */
static int flush_kid(struct th_tree *tree, struct th_node *node, struct th_fences at, unsigned i, unsigned from,
		     unsigned to, struct th_need *need)
{
	struct th_fences kid_at;
	struct th_node *kid;
	struct th_key lo, hi;
	bool appended;
	int r;

	r = th_tree_kid_writable(tree, node, i, &kid, need);
	if (r < 0) {
		th_node_key(node, th_slab_entry(&node->overlay, from), &need->key);
		return r;
	}
	appended = appends(node, from, kid);
	kid_at = th_kid_fences(node, i, at, &lo, &hi);
	r = move_messages(tree, node, kid, kid_at, from, to);
	if (r < 0)
		return r;
	th_tree_account(tree, node);
	th_tree_account(tree, kid);
	if (kid->level > 0)
		r = th_flush_relieve(tree, kid, kid_at, need);
	return r < 0 ? r : th_kid_fix(tree, node, i, at, appended);
}

static int flush_heaviest(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need)
{
	unsigned from = 0, to = 0, i = heaviest_kid(node, &from, &to);

	return flush_kid(tree, node, at, i, from, to, need);
}

int th_flush_relieve(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need)
{
	int r = 0;

	while (r == 0 && over_budget(tree, node))
		r = flush_heaviest(tree, node, at, need);
	th_tree_account(tree, node);
	return r;
}

/* Goes on where a flush had to stop for want of a node: every writable node towards the key is relieved. */
int th_flush_relieve_path(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need,
			  struct th_slice key)
{
	unsigned i = th_node_child(node, key);
	struct th_node *kid = node->kids ? node->kids[i] : NULL;
	struct th_key lo, hi;
	int r;

	/* Below first: what flows down from here must not pile up on a node that was left over its budget. */
	if (node->level >= 2 && kid && kid->gen == tree->gen) {
		r = th_flush_relieve_path(tree, kid, th_kid_fences(node, i, at, &lo, &hi), need, key);
		if (r == 0)
			r = th_kid_fix(tree, node, i, at, false);
		if (r < 0)
			return r;
	}
	return th_flush_relieve(tree, node, at, need);
}

/* --- wide ranges --- */

/* The child that holds one end of a wide range gets its messages now, and passes the range on. */
static int push_into(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice end,
		     struct th_slice from, struct th_slice to, struct th_need *need)
{
	unsigned i = th_node_child(node, end), begin, stop = messages_end(node, i);
	struct th_fences kid_at;
	struct th_node *kid;
	struct th_key fence, lo, hi;
	int r = 0;

	th_node_key(node, th_slab_entry(&node->base, i), &fence);
	begin = i > 0 ? th_slab_lower(node, &node->overlay, th_key_slice(&fence)) : 0;
	if (begin < stop)
		r = flush_kid(tree, node, at, i, begin, stop, need);
	if (r < 0)
		return r;
	i = th_node_child(node, end); /* the flush may have split it */
	kid = node->kids ? node->kids[i] : NULL;
	if (!kid || kid->gen != tree->gen || kid->level == 0)
		return 0;
	kid_at = th_kid_fences(node, i, at, &lo, &hi);
	if (th_slice_compare(from, kid_at.lo) < 0)
		from = kid_at.lo;
	if (kid_at.hi.data && th_slice_compare(to, kid_at.hi) > 0)
		to = kid_at.hi;
	r = th_flush_push_range(tree, kid, kid_at, from, to, need);
	th_tree_account(tree, kid);
	return r;
}

/*
 * A range delete over several children drops those in the middle at once; so that nothing large stays pending at its
 * ends, they are pushed down as far as they span several children.
 */
int th_flush_push_range(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice from,
			struct th_slice to, struct th_need *need)
{
	unsigned first = th_node_child(node, from), last = th_slab_lower(node, &node->base, to);
	int r;

	if (node->level == 0 || last <= first + 1)
		return 0;
	r = push_into(tree, node, at, from, from, to, need);
	if (r == 0 && (!at.hi.data || th_slice_compare(to, at.hi) < 0))
		r = push_into(tree, node, at, to, from, to, need);
	return r;
}
