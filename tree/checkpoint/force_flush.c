/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining.  A large value is given up where the message that replaces or deletes it meets it.  That may be in a leaf,
 * which the message reaches much later, or never; where space runs short, such messages are sent down.
 *
 * Leaf by leaf, in the order of keys: those that name large values, and for which messages wait.  The lowest of these
 * go first, as they are the oldest.  Nothing on their way says anything of their keys then, so they go to the leaf past
 * what is between, and no overlay grows:
 *
 *      root       .  4  .
 *      .          .  3  .         3, then 4, each in a step of its own
 *      .          .  .  .
 *      leaf       1  2            values that are replaced
 *
 * A range that is deleted goes down by one node in a step, if that has room for it: it may reach beyond the leaf.
 *
 * What cannot be read is passed by.
 */
#include "tree/checkpoint/force_flush.h"

#include <errno.h>

#include "tree/btree/insert.h"
#include "tree/btree/push_down.h"
#include "tree/node/overlay.h"
#include "tree/state/state.h"

struct drain {
	struct th_tree *tree;
	struct th_need need;
	struct th_key *at; /* what has this key is to be looked at */
	struct th_key hi; /* where that ends */
	bool open; /* it has no end */
	/* Messages for it wait in the node of this level; in this one. */
	unsigned level;
	bool range; /* one of them, which deletes a range, is to go down first */
	struct th_node *source;
	uint64_t seq; /* the newest of those that were sent down */
};

/* --- looking; the tree's lock is held, as it is below --- */

/* Messages of the node's overlay between the fences. */
static void find_messages(const struct th_node *node, struct th_fences at, unsigned *ret_from, unsigned *ret_to)
{
	*ret_from = th_slab_lower(node, &node->overlay, at.lo);
	*ret_to = at.hi.data ? th_slab_lower(node, &node->overlay, at.hi) : node->overlay.count;
}

/* The slot of a message that deletes a range of what is between the fences; or -1. */
static int find_range(const struct th_node *node, struct th_fences at)
{
	unsigned from, to;

	find_messages(node, at, &from, &to);
	if (from > 0 && th_slab_entry(&node->overlay, from - 1) == th_overlay_covering(node, at.lo))
		return (int)from - 1;
	for (; from < to; from++)
		if (th_slab_entry(&node->overlay, from)->flags & TH_ENTRY_RANGE)
			return (int)from;
	return -1;
}

/* For the two pieces that a range may leave in it. */
static bool has_room_for_range(const struct th_tree *tree, const struct th_node *node)
{
	return node->overlay.count + 2 <= TH_OVERLAY_SLOTS &&
	       node->overlay.bytes + 4 * TH_KEY_MAX <= tree->overlay_bytes;
}

/* Is a value at or below child i large? */
static int has_large(const struct th_node *node, unsigned i, bool *ret)
{
	struct th_ptr ptr;
	int err = 0;

	if (node->children && node->children[i]) {
		*ret = node->children[i]->chunks;
		return 0;
	}
	err = th_node_child_ptr(node, i, &ptr);
	*ret = err == 0 && ptr.chunks;
	return err;
}

/* Of what waits for a leaf down to some node: nothing; something; or it stays where it is, whatever it is, and so does
 * what waits further up. */
enum { NOTHING, FOUND, LEFT };

/* What waits at the node, where nothing does below.  takes_range: so the node below does, if it is no leaf. */
static int look_at(struct drain *d, const struct th_node *node, bool takes_range)
{
	struct th_fences at = { th_key_slice(d->at), d->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&d->hi) };
	unsigned from, to;

	d->level = node->level;
	d->range = node->level > 1 && find_range(node, at) >= 0;
	if (d->range)
		return takes_range ? FOUND : LEFT;
	find_messages(node, at, &from, &to);
	return from == to ? NOTHING : FOUND;
}

/* Looks at the leaf that has the key d->at, or at as much as has no large values. */
static int look(struct drain *d, const struct th_node *node, struct th_fences at)
{
	unsigned i = th_node_child(node, th_key_slice(d->at));
	struct th_node *child;
	struct th_key lo, hi;
	bool large, takes_range = false;
	int err;

	at = th_child_fences(node, i, at, &lo, &hi);
	d->open = !at.hi.data;
	if (at.hi.data)
		th_key_set(&d->hi, at.hi);
	err = has_large(node, i, &large);
	if (err < 0 || !large)
		return err < 0 ? err : LEFT;
	if (node->level == 1) {
		th_key_set(d->at, at.lo); /* its neighbour may have joined it */
	} else {
		err = th_tree_child(d->tree->cache, (struct th_node *)node, i, &child, &d->need);
		if (err < 0)
			return err;
		err = look(d, child, at);
		takes_range = has_room_for_range(d->tree, child);
		th_node_unref(child);
		if (err != NOTHING)
			return err;
	}
	return look_at(d, node, takes_range);
}

/* --- sending down --- */

static int move(struct drain *d, struct th_node *leaf, struct th_fences at)
{
	struct th_node *source = d->source;
	unsigned from, to;
	int err = 0;

	d->seq = 0;
	find_messages(source, at, &from, &to);
	for (unsigned i = from; i < to && err == 0; i++) {
		const struct th_entry *message = th_node_entry_heap(source, th_slab_entry(&source->overlay, i));

		if (!message)
			return -ENOMEM;
		if (th_entry_seq(message) > d->seq)
			d->seq = th_entry_seq(message);
		err = th_push_down_accept(d->tree, leaf, at, message);
	}
	if (err == 0)
		th_slab_remove(source, &source->overlay, from, to, true);
	th_tree_account(d->tree, source);
	th_tree_account(d->tree, leaf);
	return err;
}

/* To the node below, as a flush would. */
static int move_range(struct drain *d, struct th_node *node, struct th_node *child, struct th_fences child_at)
{
	struct th_fences at = { th_key_slice(d->at), d->open ? (struct th_slice){ NULL, 0 } : th_key_slice(&d->hi) };
	unsigned i = (unsigned)find_range(node, at);
	const struct th_entry *message = th_node_entry_heap(node, th_slab_entry(&node->overlay, i));
	int err = message ? th_push_down_accept(d->tree, child, child_at, message) : -ENOMEM;

	d->seq = 0;
	if (err == 0)
		th_slab_remove(node, &node->overlay, i, i + 1, true);
	th_tree_account(d->tree, child);
	return err;
}

/* Sends down what was found: the nodes on the way become writable first. */
static int press(struct drain *d, struct th_node *node, struct th_fences at)
{
	unsigned i = th_node_child(node, th_key_slice(d->at));
	struct th_fences child_at;
	struct th_node *child;
	struct th_key lo, hi;
	int err = th_tree_child_writable(d->tree, node, i, &child, &d->need);

	if (err < 0)
		return err;
	if (node->level == d->level)
		d->source = node;
	child_at = th_child_fences(node, i, at, &lo, &hi);
	if (node->level == d->level && d->range)
		err = move_range(d, node, child, child_at);
	else
		err = node->level > 1 ? press(d, child, child_at) : move(d, child, child_at);
	if (err < 0)
		return err;
	if (d->seq > node->seq)
		node->seq = d->seq;
	return th_child_fix(d->tree, node, i, at, false);
}

/* Goes on behind what was looked at.  1: that was the end. */
static int pass(struct drain *d)
{
	if (d->open)
		return 1;
	*d->at = d->hi;
	return 0;
}

/* 0: it goes on from d->at; 1: that is the end.  -EAGAIN: d->need is to be loaded.  Another error: the tree is
 * broken. */
static int step(struct drain *d)
{
	struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	int err;

	if (d->tree->root->level == 0)
		return 1;
	err = look(d, d->tree->root, all);
	if (err == -EAGAIN)
		return err;
	if (err != FOUND)
		return pass(d);
	err = th_root_writable(d->tree);
	if (err == 0)
		err = press(d, d->tree->root, all);
	return err < 0 ? err : th_root_fix(d->tree);
}

/* For what a step makes dirty: nodes from the root to a leaf, and what these are split into, or joined with.  Both
 * locks are held, so the root stays. */
static bool has_room(struct th_store *store, size_t dirty_max)
{
	return atomic_load(&store->dirty_bytes) < dirty_max &&
	       th_store_room_now(store, (store->live.root->level + 2u) * TH_NODE_MAX, true) == 0;
}

int th_force_flush(struct th_store *store, struct th_key *at, size_t dirty_max)
{
	struct th_tree *live = &store->live;
	struct drain d = { .tree = live, .at = at };
	int err = -ENOSPC;

	th_need_init(&d.need);
	pthread_mutex_lock(&store->checkpoint_lock); /* it may put another tree in this one's place */
	pthread_mutex_lock(&store->merge_lock);
	for (bool first = true; (first || err == 0) && has_room(store, dirty_max); first = false) {
		pthread_rwlock_wrlock(&live->lock);
		err = step(&d);
		pthread_rwlock_unlock(&live->lock);
		atomic_store(&store->dirty_bytes, live->dirty_bytes);
		if (err == -EAGAIN)
			err = th_need_load(&d.need, live->cache) < 0 ? pass(&d) : 0;
		else if (err < 0)
			th_store_fail(store, err, "sending changes down");
	}
	th_store_budget(store);
	pthread_mutex_unlock(&store->merge_lock);
	pthread_mutex_unlock(&store->checkpoint_lock);
	th_need_release(&d.need);
	return err;
}
