/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message that replaces or deletes a large value frees it when it reaches the value.  The value may be in a leaf,
 * which the message reaches late or never.  A delete of a small value frees the record's space and its own.  Where
 * space runs short, or more deletes wait than N6 allows, such messages are pushed down.
 *
 * The walk goes leaf by leaf, in key order, over leaves for which deletes wait, or which name large values and for
 * which messages wait.  For each
 * leaf it pushes the lowest messages first, as they are the oldest.  No message between them and the leaf concerns the
 * same keys then, so they go to the leaf directly, and no overlay grows:
 *
 *      root       .  4  .
 *      .          .  3  .         3, then 4, each in a step of its own
 *      .          .  .  .
 *      leaf       1  2            values that are replaced
 *
 * A message that deletes a range may concern more than the leaf.  It goes down by one node in a step, if that node has
 * room for it.
 *
 * Nodes that cannot be read are skipped.
 */
#include "tree/checkpoint/force_flush.h"

#include <errno.h>

#include "tree/btree/insert.h"
#include "tree/btree/push_down.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"
#include "tree/state/state.h"

struct push {
	struct th_tree *tree;
	struct th_need need;
	struct th_key *at; /* the walk is at the leaf with this key */
	const struct th_node *path[TH_HEIGHT_MAX]; /* from the root to the parent of the leaf */
	unsigned depth;
	struct th_key hi; /* end of the keys that were looked at */
	bool open; /* they have no end */
	/* The lowest node that has messages for the leaf, and its level. */
	unsigned level;
	struct th_node *source;
	bool range; /* one of the messages deletes a range, and is pushed first */
	uint64_t seq; /* the newest message pushed down in this step */
	bool pushed; /* some were, in any step */
};

/* --- finding messages; the lock of the tree is held, here and below --- */

/* Finds the slots of the messages between the fences in the overlay of a node. */
static void find_messages(const struct th_node *node, struct th_fences at, unsigned *ret_from, unsigned *ret_to)
{
	*ret_from = th_slab_lower(node, &node->overlay, at.lo);
	*ret_to = at.hi.data ? th_slab_lower(node, &node->overlay, at.hi) : node->overlay.count;
}

/* Returns the slot of a message that deletes a range between the fences, or -1. */
static int find_range(const struct th_node *node, struct th_fences at)
{
	unsigned from, to;

	find_messages(node, at, &from, &to);
	if (from > 0 && th_slab_entry(&node->overlay, from - 1) == th_overlay_covering(node, at.lo))
		return (int)from - 1;
	for (; from < to; from++)
		if (th_message_is_range(th_slab_entry(&node->overlay, from)))
			return (int)from;
	return -1;
}

/* Returns true if an overlay has room for the two pieces that a message which deletes a range may leave in it. */
static bool has_room_for_range(const struct th_tree *tree, const struct th_node *node)
{
	return node->overlay.count + 2 <= TH_OVERLAY_SLOTS &&
	       node->overlay.bytes + 4 * TH_KEY_MAX <= tree->overlay_bytes;
}

/* Does a message in the overlay delete keys between the fences? */
static bool has_delete(const struct th_node *node, struct th_fences at)
{
	unsigned from, to;

	find_messages(node, at, &from, &to);
	for (unsigned slot = from; slot < to; slot++)
		if (th_message_deletes(th_slab_entry(&node->overlay, slot)))
			return true;
	return th_overlay_covering(node, at.lo) != NULL;
}

/* Sets *ret if there may be a large value in child i or below, or a delete waits there or for it; `at`: the child's
 * fences. */
static int is_worth(const struct push *push, const struct th_node *node, unsigned i, struct th_fences at, bool *ret)
{
	const struct th_node *child = node->children ? node->children[i] : NULL;
	struct th_ptr ptr = { 0 };
	int err = child ? 0 : th_node_child_ptr(node, i, &ptr);

	*ret = false;
	if (err)
		return err;
	if (child)
		*ret = child->chunks || (child->level > 0 && (!child->ptr.addr || child->ptr.deletes > 0));
	else
		*ret = ptr.chunks || ptr.deletes > 0;
	for (unsigned above = 0; above < push->depth && !*ret; above++)
		*ret = has_delete(push->path[above], at);
	return 0;
}

/* Messages that wait for a leaf, down to some node: none; some; or they stay in place, and so do those further up. */
enum { NOTHING, FOUND, LEFT };

/* Looks for messages in a node; there are none below.
 *
 * takes_range: the child has room for a message that deletes a range. */
static int look_at(struct push *push, const struct th_node *node, bool takes_range)
{
	struct th_fences at = { th_key_slice(push->at),
				push->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&push->hi) };
	unsigned from, to;

	push->level = node->level;
	push->range = node->level > 1 && find_range(node, at) >= 0;
	if (push->range)
		return takes_range ? FOUND : LEFT;
	find_messages(node, at, &from, &to);
	return from == to ? NOTHING : FOUND;
}

/* Looks for messages for the leaf with the key push->at, from the leaf upwards; or sets push->hi to the end of a
 * subtree that is skipped.  Returns one of the enum above, or -errno. */
static int look(struct push *push, const struct th_node *node, struct th_fences at)
{
	unsigned i = th_node_child(node, th_key_slice(push->at));
	struct th_node *child;
	struct th_key lo, hi;
	bool worth, takes_range = false;
	int found, err;

	at = th_child_fences(node, i, at, &lo, &hi);
	push->open = !at.hi.data;
	if (at.hi.data)
		th_key_set(&push->hi, at.hi);
	push->path[push->depth++] = node;
	err = is_worth(push, node, i, at, &worth);
	if (err)
		return err;
	if (!worth)
		return LEFT;
	if (node->level == 1) {
		th_key_set(push->at, at.lo); /* the leaf may have been joined with its neighbour */
	} else {
		err = th_tree_child(push->tree->cache, (struct th_node *)node, i, &child, &push->need);
		if (err)
			return err;
		found = look(push, child, at);
		takes_range = has_room_for_range(push->tree, child);
		th_node_unref(child);
		if (found != NOTHING)
			return found;
	}
	return look_at(push, node, takes_range);
}

/* --- pushing down --- */

/* Moves the messages of push->source to the leaf. */
static int move(struct push *push, struct th_node *leaf, struct th_fences at)
{
	struct th_node *source = push->source;
	unsigned from, to;
	int err = 0;

	push->seq = 0;
	find_messages(source, at, &from, &to);
	for (unsigned i = from; i < to && !err; i++) {
		const struct th_entry *message = th_node_entry_heap(source, th_slab_entry(&source->overlay, i));

		if (!message)
			return -ENOMEM;
		if (th_entry_seq(message) > push->seq)
			push->seq = th_entry_seq(message);
		err = th_push_down_accept(push->tree, leaf, at, message);
	}
	if (!err)
		th_slab_remove(source, &source->overlay, from, to, true);
	th_tree_account(push->tree, source);
	th_tree_account(push->tree, leaf);
	return err;
}

/* Moves a message that deletes a range to the child, as a push-down does. */
static int move_range(struct push *push, struct th_node *node, struct th_node *child, struct th_fences child_at)
{
	struct th_fences at = { th_key_slice(push->at),
				push->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&push->hi) };
	unsigned i = (unsigned)find_range(node, at);
	const struct th_entry *message = th_node_entry_heap(node, th_slab_entry(&node->overlay, i));
	int err = message ? th_push_down_accept(push->tree, child, child_at, message) : -ENOMEM;

	push->seq = 0;
	if (!err)
		th_slab_remove(node, &node->overlay, i, i + 1, true);
	th_tree_account(push->tree, child);
	return err;
}

/* Pushes down the messages that were found, after it has made the nodes on the way writable. */
static int push_path(struct push *push, struct th_node *node, struct th_fences at)
{
	unsigned i = th_node_child(node, th_key_slice(push->at));
	struct th_fences child_at;
	struct th_node *child;
	struct th_key lo, hi;
	uint64_t records;
	int err = th_tree_child_writable(push->tree, node, i, &child, &push->need);

	if (err)
		return err;
	if (node->level == push->level)
		push->source = node;
	records = th_node_records(child);
	child_at = th_child_fences(node, i, at, &lo, &hi);
	if (node->level == push->level && push->range)
		err = move_range(push, node, child, child_at);
	else
		err = node->level > 1 ? push_path(push, child, child_at) : move(push, child, child_at);
	node->records += th_node_records(child) - records;
	if (err)
		return err;
	if (push->seq > node->seq)
		node->seq = push->seq;
	return th_child_fix(push->tree, node, i, at, false, NULL);
}

/* Moves past the keys that were looked at.  Returns 0, or 1 at the end of the tree. */
static int skip(struct push *push)
{
	if (push->open)
		return 1;
	*push->at = push->hi;
	return 0;
}

/* Returns the most bytes of nodes that pushing down what was found makes dirty: copies of the path and the leaf, what
 * they receive, and the pieces of those that are split. */
static size_t step_worst(const struct push *push)
{
	size_t worst = th_tree_path_bytes(0);

	for (unsigned i = 0; i < push->depth; i++) {
		const struct th_node *node = push->path[i];

		worst += 2 * TH_BLOCK_SIZE;
		if (node->gen != push->tree->gen)
			worst += th_node_packed_size(node) + TH_BLOCK_SIZE;
		if (node->level == push->level)
			worst += node->overlay.bytes;
	}
	return worst;
}

/* Does one step: finds messages for one leaf and pushes them down, or moves on.  Returns 0, 1 at the end of the tree,
 * -EAGAIN if push->need must be loaded first, -ENOSPC, or an error after which the tree is broken. */
static int step(struct push *push, struct th_store *store)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int found, err;

	if (push->tree->root->level == 0)
		return 1;
	push->depth = 0;
	found = look(push, push->tree->root, all);
	if (found == -EAGAIN)
		return found;
	if (found != FOUND) /* nothing to push, or a node that cannot be read */
		return skip(push);
	err = th_store_merge_begin(store, step_worst(push), TH_ROOM_FLUSH);
	if (!err)
		err = th_root_writable(push->tree);
	if (!err)
		err = push_path(push, push->tree->root, all);
	if (!err)
		err = th_root_fix(push->tree);
	push->pushed |= !err;
	th_store_merge_end(store);
	return err;
}

int th_force_flush(struct th_store *store, struct th_key *at, size_t dirty_max)
{
	struct th_tree *live = &store->live;
	struct push push = { .tree = live, .at = at };
	int end = 0; /* 1 at the end, or -errno */

	th_need_init(&push.need);
	pthread_mutex_lock(&store->checkpoint_lock); /* a checkpoint may replace the tree */
	pthread_mutex_lock(&store->merge_lock);
	while (end == 0 && atomic_load(&store->dirty_bytes) < dirty_max) {
		pthread_rwlock_wrlock(&live->lock);
		end = step(&push, store);
		pthread_rwlock_unlock(&live->lock);
		if (end == -EAGAIN)
			end = th_need_load(&push.need, live->cache) < 0 ? skip(&push) : 0;
		else if (end < 0 && end != -ENOSPC)
			th_store_fail(store, end, "pushing messages down");
	}
	th_store_budget(store);
	pthread_mutex_unlock(&store->merge_lock);
	pthread_mutex_unlock(&store->checkpoint_lock);
	th_need_release(&push.need);
	return end == -ENOSPC && push.pushed ? 0 : end;
}
