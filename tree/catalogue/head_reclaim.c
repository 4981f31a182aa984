/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing a head that nobody wants any more: of a branch that was deleted, of the live tree when it is rolled back, and
 * of the last snapshot of a branch without a head, which stands for it.
 *
 * Against the snapshot before it, the head's own is what was born later; that is looked for node by node, and what is
 * older is passed by unread, with everything below.  Its list of dead is forgotten: what is on it, that snapshot has,
 * unless it is void.  But strays (dead.c) are freed, wherever they are.
 *
 * The lists go first, a bounded part of them in each commit; what is left of them is in the head's entry.  Then the
 * walk goes on from commit to commit, in the order of keys.  A node is freed when all below it has been; so the way to
 * where the walk stopped is always whole, and a crash between two commits costs nothing.
 *
 * What cannot be read is passed by, and is lost space from then on, which the checker tells of: nobody could ever read
 * it, and the rest is not to wait for it.
 */
#include "tree/catalogue/head_reclaim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/catalogue/dead_list.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"
#include "tree/state/state.h"

enum { DONE, PAUSED };

struct walk {
	struct th_store *store;
	struct th_abandoned *abandoned;
	unsigned depth, left; /* nodes on the path; to be read before the next pause */
	struct th_node *path[TH_HEIGHT_MAX];
};

/* --- what a node refers to --- */

static int free_run(const struct th_run *run, void *arg)
{
	struct walk *w = arg;
	struct th_blockrun dead = { run->addr, run->birth, run->blocks, TH_DEAD_DATA };

	if (run->birth <= w->abandoned->than)
		return 0;
	if (!th_space_in_use(w->store->space, run->addr, run->blocks))
		return -EUCLEAN;
	return th_dead_free(w->store, &dead);
}

/* Does a message further up decide what the key's value is? */
static bool hidden(const struct walk *w, struct th_slice key)
{
	for (unsigned i = 0; i + 1 < w->depth; i++)
		if (th_overlay_hides(w->path[i], key))
			return true;
	return false;
}

/* The runs that a visible large value names, unless it is as old as its place: those are older still.  If the value
 * cannot be read, they stay lost. */
static int free_named_by_large(struct walk *w, struct th_slice key, struct th_slice descriptor,
			       const struct th_large_value *chunk)
{
	struct th_slice value;
	void *bytes;
	uint32_t size;
	bool own = false;
	int err;

	for (unsigned i = 0; i < chunk->runs; i++)
		own |= chunk->run[i].birth > w->abandoned->than;
	if (!own)
		return 0;
	err = th_chunk_value_read(w->store, descriptor, &bytes, &size);
	if (err == -EIO) /* it may pass */
		err = th_chunk_value_read(w->store, descriptor, &bytes, &size);
	if (err < 0)
		return err == -ENOMEM ? err : 0;
	value = (struct th_slice){ bytes, size };
	err = w->store->options.runs(key, value, free_run, w);
	free(bytes);
	return err;
}

static int free_large(struct walk *w, struct th_slice key, struct th_slice descriptor)
{
	struct th_large_value chunk;
	int err = th_large_value_unpack(descriptor, &chunk);

	if (err == 0 && w->store->options.runs && !hidden(w, key))
		err = free_named_by_large(w, key, descriptor, &chunk);
	for (unsigned i = 0; i < chunk.runs && err == 0; i++)
		err = free_run(&chunk.run[i], w);
	return err;
}

static int free_values(struct walk *w, struct th_node *node)
{
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	bool named = w->store->options.runs != NULL;
	int err = 0;

	for (unsigned i = 0; i < slab->count && err == 0; i++) {
		const struct th_entry *e = th_slab_entry(slab, i);
		struct th_key key;

		if (!th_entry_has_value(e) || (!named && !th_entry_is_large(e)))
			continue;
		th_node_key(node, e, &key);
		if (th_entry_is_large(e))
			err = free_large(w, th_key_slice(&key), th_entry_value(e));
		else if (!hidden(w, th_key_slice(&key)))
			err = w->store->options.runs(th_key_slice(&key), th_entry_value(e), free_run, w);
	}
	return err;
}

static int free_node(struct walk *w, const struct th_node *node)
{
	struct th_blockrun run = { node->ptr.addr, node->ptr.birth, node->ptr.blocks, TH_DEAD_NODE };

	return th_space_in_use(w->store->space, run.addr, run.blocks) ? th_dead_free(w->store, &run) : -EUCLEAN;
}

/* --- the walk --- */

static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice lo, struct th_slice hi);

/* Frees what is below a node, from where the walk is. */
static int walk_children(struct walk *w, struct th_node *node, struct th_slice hi)
{
	struct th_slice at = th_key_slice(&w->abandoned->at);
	struct th_key lo, end;
	unsigned i = 0;
	int err = DONE;

	th_node_key(node, th_slab_entry(&node->base, 0), &lo);
	if (th_slice_compare(at, th_key_slice(&lo)) > 0)
		i = th_node_child(node, at);
	for (; i < node->base.count && err == DONE; i++) {
		struct th_slice child_hi = hi;
		struct th_ptr ptr;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		if (i + 1 < node->base.count) {
			th_node_key(node, th_slab_entry(&node->base, i + 1), &end);
			child_hi = th_key_slice(&end);
		}
		err = th_node_child_ptr(node, i, &ptr);
		if (err == 0)
			err = walk_ptr(w, &ptr, th_key_slice(&lo), child_hi);
		if (err != DONE || i + 1 == node->base.count)
			break; /* the node ends where its last child does: there is no stopping between them */
		w->abandoned->at = end;
		if (w->left == 0)
			err = PAUSED;
	}
	return err;
}

static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice lo, struct th_slice hi)
{
	struct th_node *node;
	int err;

	if (ptr->birth <= w->abandoned->than)
		return DONE;
	if (w->depth == TH_HEIGHT_MAX)
		return -EUCLEAN;
	err = th_cache_load_or_lose(w->store->cache, ptr, lo, &node);
	if (err < 0) /* else damaged, and the cache has said so: it stays lost, with what is below it */
		return err == -ENOMEM ? err : DONE;
	w->path[w->depth++] = node;
	w->left -= w->left > 0;
	if (node->level > 0)
		err = walk_children(w, node, hi);
	if (err == DONE)
		err = free_values(w, node);
	if (err == DONE)
		err = free_node(w, node);
	w->depth--;
	th_node_unref(node);
	return err;
}

/* --- the lists --- */

/* It was only needed by snapshots that were deleted; or else the snapshot before has it. */
static int free_dead(const struct th_blockrun *run, void *arg)
{
	struct walk *w = arg;

	return run->birth > w->abandoned->than ? th_dead_free(w->store, run) : 0;
}

/* A younger one is in the tree, or dead. */
static int free_stray(const struct th_blockrun *run, void *arg)
{
	struct walk *w = arg;

	return run->birth <= w->abandoned->than ? th_dead_free(w->store, run) : 0;
}

/* Takes runs off a list; every run was born. */
static int take_off(struct walk *w, struct th_blocklist *list, size_t *budget,
		    int (*each)(const struct th_blockrun *run, void *arg))
{
	int err = th_blocklist_filter(list, w->store->disk, w->store->space, 0, budget, each, w);

	if (err < 0)
		return err;
	if (list->max_birth > 0 && *budget == 0)
		return PAUSED;
	memset(list, 0, sizeof(*list)); /* what cannot be read of it, as the disk has said, stays lost */
	return DONE;
}

static int give_lists(struct walk *w, size_t *budget)
{
	struct th_head *head = w->abandoned->head;
	int err = take_off(w, &head->strays, budget, free_stray);

	return err == DONE ? take_off(w, &head->dead, budget, free_dead) : err;
}

/* --- in commits --- */

static struct th_abandoned *pick(struct th_store *store)
{
	struct th_abandoned *abandoned;

	pthread_mutex_lock(&store->snapshot_lock);
	abandoned = store->branches.abandoned;
	while (abandoned && abandoned->head->views > 0)
		abandoned = abandoned->next;
	pthread_mutex_unlock(&store->snapshot_lock);
	return abandoned;
}

static void forget(struct th_store *store, struct th_abandoned *abandoned)
{
	struct th_abandoned **at = &store->branches.abandoned;

	pthread_mutex_lock(&store->snapshot_lock);
	while (*at != abandoned)
		at = &(*at)->next;
	*at = abandoned->next;
	pthread_mutex_unlock(&store->snapshot_lock);
	th_head_free(abandoned->head);
	free(abandoned);
}

int th_head_reclaim_step(struct th_store *store, size_t *budget)
{
	struct walk w = { .store = store, .left = store->abandoned_nodes };
	struct th_slice none = { NULL, 0 };
	int err = DONE;

	while (err == DONE && w.left > 0 && (w.abandoned = pick(store))) {
		err = give_lists(&w, budget);
		if (err == DONE)
			err = walk_ptr(&w, &w.abandoned->head->root, TH_SLICE_EMPTY, none);
		if (err < 0)
			return err;
		if (err == PAUSED)
			return th_abandoned_put(store, w.abandoned);
		err = th_abandoned_drop(store, w.abandoned);
		forget(store, w.abandoned);
	}
	return err;
}

bool th_head_reclaim_due(struct th_store *store)
{
	return pick(store) != NULL;
}

int th_head_abandon(struct th_store *store, struct th_head *head, uint64_t than)
{
	struct th_abandoned *abandoned = calloc(1, sizeof(*abandoned));

	if (!abandoned) {
		th_head_free(head);
		return -ENOMEM;
	}
	abandoned->head = head;
	abandoned->than = than;
	abandoned->durable = head->root.birth > than || head->dead.head || head->strays.head;
	if (abandoned->durable)
		abandoned->id = ++store->super.counters[TH_SUPER_ABANDONED];
	pthread_mutex_lock(&store->snapshot_lock);
	head->abandoned = true;
	abandoned->next = store->branches.abandoned;
	store->branches.abandoned = abandoned;
	pthread_mutex_unlock(&store->snapshot_lock);
	return th_abandoned_put(store, abandoned);
}
