/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/push_down.h"

#include <errno.h>

#include "tree/node/message.h"
#include "tree/node/message_apply.h"

/* --- messages into a node --- */

static int insert_range_piece(struct th_tree *tree, struct th_node *node, struct th_slice from, struct th_slice to,
			      uint64_t seq)
{
	struct th_entry *piece;

	if (th_slice_compare(from, to) >= 0)
		return 0;
	piece = th_message_delete_range(from, to, seq);
	return piece ? th_message_insert(node, piece, &tree->drops) : -ENOMEM;
}

/* Detaches children [first, last), which the range [lo, hi) covers entirely, and drops their pending messages. */
static int detach_children(struct th_tree *tree, struct th_node *node, unsigned first, unsigned last,
			   struct th_slice lo, struct th_slice hi, uint64_t seq)
{
	bool exact;
	unsigned i;
	int err = insert_range_piece(tree, node, lo, hi, seq);

	if (err)
		return err;
	i = th_slab_find(node, &node->overlay, lo, &exact);
	th_slab_remove(node, &node->overlay, i, i + 1, true);
	for (i = first; i < last; i++)
		node->records -= th_node_child_records(node, i);
	return th_tree_detach(tree, node, first, last, lo, hi, seq);
}

/*
 * Puts a range message into a node.  Children that it covers entirely are detached; at either end a piece remains for
 * the child that it covers in part (N3):
 *
 *      | child | child | child | child |
 *           [piece)[detached  )[piece)
 */
static int insert_range_pieces(struct th_tree *tree, struct th_node *node, struct th_fences at,
			       const struct th_entry *message)
{
	struct th_slice from = { th_entry_key(message), th_entry_key_size(message) }, to = th_entry_value(message);
	uint64_t seq = th_entry_seq(message);
	unsigned first = th_node_child(node, from), last;
	struct th_key left, right, fence;
	int err = 0;

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
		err = detach_children(tree, node, first, last, th_key_slice(&left), th_key_slice(&right), seq);
	if (!err)
		err = insert_range_piece(tree, node, from, th_key_slice(&left), seq);
	if (!err)
		err = insert_range_piece(tree, node, th_key_slice(&right), to, seq);
	th_entry_unref(message);
	return err;
}

/* Updates a node that a message enters, or passes on its way down. */
static void note_message(struct th_node *node, const struct th_entry *message)
{
	uint64_t seq = th_entry_seq(message);

	if (seq > node->seq)
		node->seq = seq;
	if (th_entry_is_large(message))
		node->chunks = true;
}

int th_push_down_accept(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message)
{
	note_message(node, message);
	if (node->level == 0)
		return th_message_apply(node, message, &tree->drops);
	if (th_message_is_range(message))
		return insert_range_pieces(tree, node, at, message);
	return th_message_insert(node, message, &tree->drops);
}

/* --- a new message --- */

/* Does the overlay have a message for the key? */
static bool has_message(const struct th_node *node, struct th_slice key)
{
	const struct th_slab *slab = &node->overlay;
	bool exact;
	unsigned i;

	if (slab->count == 0)
		return false;
	i = th_slab_find(node, slab, key, &exact);
	if (exact)
		return true;
	return i > 0 && th_message_covers(th_slab_entry(slab, i - 1), key);
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

static int relieve_deletes(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice key,
			   struct th_need *need);

/* Accounts for child i, and brings it and the messages for it back within their limits, after a message went into it or
 * below it.  fewer: there are fewer records below the child than before.  That happens for a put, too, where it pushed
 * other messages down. */
static int fix_child(struct th_tree *tree, struct th_node *node, struct th_fences at, unsigned i,
		     const struct th_entry *message, bool fewer, struct th_need *need)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_node *child = node->children[i];
	int err;

	th_tree_account(tree, child);
	if (!th_node_too_big(child) && (message->flags & TH_ENTRY_VALUE) && !fewer)
		return 0;
	err = th_child_fix(tree, node, i, at, child->level == 0 && is_last(child, key), need);
	if (!err && (fewer || th_message_deletes(message)))
		err = relieve_deletes(tree, node, at, key, need);
	return err;
}

/* Brings the overlay back within its limits, after a message went into it. */
static int fix_overlay(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		       struct th_need *need)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	int err = th_push_down_relieve(tree, node, at, need);

	if (err == 0 && th_message_deletes(message))
		err = relieve_deletes(tree, node, at, key, need);
	if (err == 0 && (message->flags & TH_ENTRY_RANGE))
		err = relieve_deletes(tree, node, at, th_entry_value(message), need);
	return err;
}

/* As th_push_down_sink, but the caller holds another reference to the message: its key is needed after the message was
 * taken over. */
static int sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		struct th_need *need)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_node *child = NULL;
	struct th_fences child_at;
	struct th_key lo, hi;
	uint64_t records;
	unsigned i;
	int err;

	if (node->level > 0 && !th_message_is_range(message) && !has_message(node, key)) {
		i = th_node_child(node, key);
		child = node->children ? node->children[i] : NULL;
	}
	if (!child || child->gen != tree->gen) {
		err = th_push_down_accept(tree, node, at, message);
		return err || node->level == 0 ? err : fix_overlay(tree, node, at, message, need);
	}
	note_message(node, message);
	child_at = th_child_fences(node, i, at, &lo, &hi);
	records = th_node_records(child);
	err = sink(tree, child, child_at, message, need);
	node->records += th_node_records(child) - records;
	return err ? err : fix_child(tree, node, at, i, message, th_node_records(child) < records, need);
}

int th_push_down_sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		      struct th_need *need)
{
	int err;

	th_entry_ref(message);
	err = sink(tree, node, at, message, need);
	th_entry_unref(message);
	return err;
}

static bool over_budget(const struct th_tree *tree, const struct th_node *node)
{
	return node->overlay.bytes > tree->overlay_bytes || node->overlay.count > TH_OVERLAY_SLOTS;
}

/* --- pushing messages down --- */

/* The overlay slot of the first message of child i. */
static unsigned messages_begin(const struct th_node *node, unsigned i)
{
	struct th_key fence;

	if (i == 0)
		return 0;
	th_node_key(node, th_slab_entry(&node->base, i), &fence);
	return th_slab_lower(node, &node->overlay, th_key_slice(&fence));
}

/* The overlay slot after the last message of child i. */
static unsigned messages_end(const struct th_node *node, unsigned i)
{
	struct th_key fence;

	if (i + 1 >= node->base.count)
		return node->overlay.count;
	th_node_key(node, th_slab_entry(&node->base, i + 1), &fence);
	return th_slab_lower(node, &node->overlay, th_key_slice(&fence));
}

/* Finds the child with the most messages, by their bytes or by their number. */
static unsigned heaviest_child(const struct th_node *node, bool by_count, unsigned *ret_from, unsigned *ret_to)
{
	size_t best_weight = 0;
	unsigned best = 0, from = 0;

	for (unsigned i = 0; i < node->base.count && from < node->overlay.count; i++) {
		unsigned to = messages_end(node, i);
		size_t weight = by_count ? to - from : th_slab_cost_range(node, &node->overlay, from, to);

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

/* Moves overlay messages [from, to) of a node into its child. */
static int move_messages(struct th_tree *tree, struct th_node *node, struct th_node *child, struct th_fences child_at,
			 unsigned from, unsigned to)
{
	int err = 0;

	for (unsigned j = from; j < to && !err; j++) {
		const struct th_entry *message = th_node_entry_heap(node, th_slab_entry(&node->overlay, j));

		err = message ? th_push_down_accept(tree, child, child_at, message) : -ENOMEM;
	}
	if (!err)
		th_slab_remove(node, &node->overlay, from, to, true);
	return err;
}

/* Are all messages from slot `from` on greater than the last key of the child, a leaf? */
static bool appends(const struct th_node *node, unsigned from, const struct th_node *child)
{
	struct th_key first, last;

	if (child->level > 0 || child->base.count == 0)
		return child->level == 0;
	th_node_key(node, th_slab_entry(&node->overlay, from), &first);
	th_node_key(child, th_slab_entry(&child->base, child->base.count - 1), &last);
	return th_slice_compare(th_key_slice(&first), th_key_slice(&last)) > 0;
}

static int relieve_all(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need);

/* Pushes overlay messages [from, to) of child i down into it, and relieves the child if its overlay exceeds
 * the budget.  If that lacks a node, the child is not split before the push-down was continued: need->key would lead
 * to only one of the pieces, and the other would stay over its budget. */
static int push_child(struct th_tree *tree, struct th_node *node, struct th_fences at, unsigned i, unsigned from,
		      unsigned to, struct th_need *need)
{
	struct th_fences child_at;
	struct th_node *child;
	struct th_key lo, hi;
	uint64_t records;
	bool appended;
	int err;

	err = th_tree_child_writable(tree, node, i, &child, need);
	if (err) {
		th_node_key(node, th_slab_entry(&node->overlay, from), &need->key);
		need->optional = false;
		return err;
	}
	records = th_node_records(child);
	appended = appends(node, from, child);
	child_at = th_child_fences(node, i, at, &lo, &hi);
	err = move_messages(tree, node, child, child_at, from, to);
	if (err)
		return err;
	th_tree_account(tree, node);
	th_tree_account(tree, child);
	if (child->level > 0)
		err = relieve_all(tree, child, child_at, need);
	node->records += th_node_records(child) - records;
	return err ? err : th_child_fix(tree, node, i, at, appended, need);
}

/* May overlay messages [from, to) be pushed down within the tree's limit?  Those that a child cannot keep go on in
 * portions, each by a path of its own. */
static bool may_push(const struct th_tree *tree, const struct th_node *node, unsigned from, unsigned to)
{
	size_t bytes = th_slab_cost_range(node, &node->overlay, from, to), paths = 1;

	if (node->level > 1)
		paths += (to - from) / TH_PORTION_SLOTS + bytes / (TH_PORTION_BYTES / 2);
	return th_tree_may_dirty(tree, paths * th_tree_path_bytes(node->level - 1u) + 2 * bytes);
}

/* Returns the slot after a portion that begins at `from`. */
static unsigned portion_end(const struct th_node *node, unsigned from, unsigned to)
{
	size_t bytes = 0;
	unsigned end = from;

	while (end < to && end - from < TH_PORTION_SLOTS) {
		bytes += th_slab_cost(node, &node->overlay, th_slab_entry(&node->overlay, end));
		if (end > from && bytes > TH_PORTION_BYTES)
			break;
		end++;
	}
	return end;
}

static int push_heaviest(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need)
{
	unsigned from = 0, to = 0, i = heaviest_child(node, false, &from, &to);

	if (!may_push(tree, node, from, to)) {
		i = heaviest_child(node, node->overlay.bytes <= tree->overlay_bytes, &from, &to);
		to = portion_end(node, from, to);
	}
	return push_child(tree, node, at, i, from, to, need);
}

int th_push_down_relieve(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need)
{
	int err = 0;

	while (!err && over_budget(tree, node))
		err = push_heaviest(tree, node, at, need);
	th_tree_account(tree, node);
	return err;
}

/* --- bounds --- */

static bool is_transient(const struct th_tree *tree, const struct th_node *node)
{
	return node && node->gen == tree->gen;
}

/* Bytes for the second pieces of nodes that are split because a leaf is: full ancestors in a row, and a new root. */
static size_t split_worst(const struct th_node *const *path, unsigned depth)
{
	unsigned nodes = 1;

	while (depth > 0 && path[depth - 1]->base.count >= TH_FANOUT) {
		nodes++;
		depth--;
	}
	return (nodes + (depth == 0)) * 2 * TH_BLOCK_SIZE;
}

/* May the overlay exceed its budget?  A message that falls into a range cuts it, so that two or three entries are added
 * for one, with keys of the range. */
static bool may_overflow(const struct th_tree *tree, const struct th_node *node, const struct th_push_worst *sum)
{
	size_t bytes = sum->bytes, count = sum->count;

	if (node->ranges || sum->ranges) {
		bytes = 2 * (bytes + count * TH_KEY_MAX);
		count *= 3;
	}
	return node->overlay.bytes + bytes > tree->overlay_bytes || node->overlay.count + count > TH_OVERLAY_SLOTS;
}

void th_push_down_worst(const struct th_tree *tree, const struct th_entry *message, struct th_push_worst *sum)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	const struct th_node *path[TH_HEIGHT_MAX], *node = tree->root;
	unsigned depth = 0;

	sum->worst += TH_BLOCK_SIZE; /* the last block of the node that gets it was full */
	if (th_message_is_range(message)) {
		sum->worst += (node->level + 2u) * TH_BLOCK_SIZE; /* an empty subtree, and a second message */
	} else {
		while (node->level > 0 && !has_message(node, key)) {
			const struct th_node *child = node->children ? node->children[th_node_child(node, key)] : NULL;

			if (!is_transient(tree, child))
				break;
			path[depth++] = node;
			node = child;
		}
	}
	if (node->level == 0) {
		if (node->base.bytes + sum->bytes > TH_LEAF_BYTES || node->base.count + sum->count > TH_SLOTS_MAX)
			sum->worst += split_worst(path, depth);
	} else if (may_overflow(tree, node, sum)) {
		sum->overflows = true;
	}
}

size_t th_push_down_worst_end(const struct th_tree *tree, const struct th_push_worst *sum)
{
	size_t worst = sum->worst + sum->bytes, paths = 1 + sum->bytes / TH_PORTION_LEAST;

	if (!is_transient(tree, tree->root))
		worst += th_node_packed_size(tree->root) + TH_BLOCK_SIZE;
	if (sum->overflows)
		worst += paths * th_tree_path_bytes(tree->root->level);
	return worst;
}

/* --- deletes --- */

/* May the range, which lies within child i, delete many records?  It does if it lies in one leaf, which is the child,
 * as it may cover most of that; or if it spans several nodes below the child, as these are detached once it is there.
 * Returns true if a node is not in memory: it is to be read. */
static bool is_wide(struct th_tree *tree, struct th_node *node, unsigned i, struct th_slice from, struct th_slice to)
{
	struct th_node *child;
	struct th_need unused;
	unsigned first;
	bool wide;

	if (node->level < 2)
		return true;
	th_need_init(&unused);
	if (th_tree_child(tree->cache, node, i, &child, &unused) < 0)
		return true;
	first = th_node_child(child, from);
	wide = th_slab_lower(child, &child->base, to) > first + 1 ||
	       (child->level > 1 && is_wide(tree, child, first, from, to));
	th_node_unref(child);
	return wide;
}

static bool message_is_wide(struct th_tree *tree, struct th_node *node, unsigned i, const struct th_entry *message)
{
	struct th_key from;

	if (!th_message_is_range(message))
		return false;
	th_node_key(node, message, &from);
	return is_wide(tree, node, i, th_key_slice(&from), th_entry_value(message));
}

/* Do messages [from, to), all of child i, violate N6? */
static bool deletes_too_much(struct th_tree *tree, struct th_node *node, unsigned i, unsigned from, unsigned to)
{
	uint64_t records = th_node_child_records(node, i), deletes = 0;

	for (; from < to; from++) {
		const struct th_entry *message = th_slab_entry(&node->overlay, from);

		deletes += th_message_deletes(message);
		if (deletes * TH_DELETES_PART > records || message_is_wide(tree, node, i, message))
			return true;
	}
	return false;
}

/* Pushes the messages of child i down if they violate N6.  At the tree's limit they wait: later deletes, or
 * th_force_flush(), push them down. */
static int relieve_child_deletes(struct th_tree *tree, struct th_node *node, struct th_fences at, unsigned i,
				 struct th_need *need)
{
	unsigned from = messages_begin(node, i), to = messages_end(node, i);
	struct th_node *child;
	int err;

	if (from == to || !deletes_too_much(tree, node, i, from, to) || !may_push(tree, node, from, to))
		return 0;
	err = th_tree_child_writable(tree, node, i, &child, need);
	if (err == -EAGAIN) {
		if (need->skip_optional)
			return 0;
		th_node_key(node, th_slab_entry(&node->overlay, from), &need->key);
		need->optional = true;
		return err;
	}
	return err < 0 ? err : push_child(tree, node, at, i, from, to, need);
}

/* The same for the child with the key. */
static int relieve_deletes(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice key,
			   struct th_need *need)
{
	return node->overlay.count > 0 ? relieve_child_deletes(tree, node, at, th_node_child(node, key), need) : 0;
}

/* Brings the overlay back within all of its limits. */
static int relieve_all(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need)
{
	int err = th_push_down_relieve(tree, node, at, need);
	unsigned i = 0;

	while (i < node->base.count && node->overlay.count > 0 && err == 0) {
		unsigned count = node->base.count;

		err = relieve_child_deletes(tree, node, at, i, need);
		if (node->base.count >= count)
			i++;
		else if (i > 0)
			i--; /* the child was joined with a neighbour, perhaps the one before */
	}
	return err;
}

int th_push_down_relieve_path(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need,
			      struct th_slice key)
{
	unsigned i = th_node_child(node, key);
	struct th_node *child = node->children ? node->children[i] : NULL;
	struct th_key lo, hi;
	int err = 0;

	/* The child first: messages from this node must not be added to one that is over its budget already. */
	if (child && child->gen == tree->gen) {
		uint64_t records = th_node_records(child);

		if (child->level > 0)
			err = th_push_down_relieve_path(tree, child, th_child_fences(node, i, at, &lo, &hi), need, key);
		node->records += th_node_records(child) - records;
		if (!err)
			err = th_child_fix(tree, node, i, at, false, need);
		if (err)
			return err;
	}
	return relieve_all(tree, node, at, need);
}

/* --- wide ranges --- */

/* Pushes all messages of the child with the key `end`, one end of a wide range, down into it, and continues there. */
static int push_into(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice end,
		     struct th_slice from, struct th_slice to, struct th_need *need)
{
	unsigned i = th_node_child(node, end), begin = messages_begin(node, i), stop = messages_end(node, i);
	struct th_fences child_at;
	struct th_node *child;
	struct th_key lo, hi;
	uint64_t records;
	int err = 0;

	if (begin < stop)
		err = push_child(tree, node, at, i, begin, stop, need);
	if (err)
		return err;
	i = th_node_child(node, end); /* the push-down may have split it */
	child = node->children ? node->children[i] : NULL;
	if (!child || child->gen != tree->gen || child->level == 0)
		return 0;
	child_at = th_child_fences(node, i, at, &lo, &hi);
	if (th_slice_compare(from, child_at.lo) < 0)
		from = child_at.lo;
	if (child_at.hi.data && th_slice_compare(to, child_at.hi) > 0)
		to = child_at.hi;
	records = th_node_records(child);
	err = th_push_down_range(tree, child, child_at, from, to, need);
	node->records += th_node_records(child) - records;
	th_tree_account(tree, child);
	return err;
}

int th_push_down_range(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice from,
		       struct th_slice to, struct th_need *need)
{
	unsigned first = th_node_child(node, from), last = th_slab_lower(node, &node->base, to);
	int err;

	if (node->level == 0 || last <= first + 1 || !may_push(tree, node, 0, node->overlay.count))
		return 0;
	err = push_into(tree, node, at, from, from, to, need);
	if (!err && (!at.hi.data || th_slice_compare(to, at.hi) < 0))
		err = push_into(tree, node, at, to, from, to, need);
	return err;
}
