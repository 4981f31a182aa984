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
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/io/chunk.h"
#include "tree/store.h"

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
			       const struct th_chunk *chunk)
{
	struct th_slice value;
	void *bytes;
	uint32_t size;
	bool own = false;
	int r;

	for (unsigned i = 0; i < chunk->runs; i++)
		own |= chunk->run[i].birth > w->abandoned->than;
	if (!own)
		return 0;
	r = th_chunk_value_read(w->store, descriptor, &bytes, &size);
	if (r == -EIO) /* it may pass */
		r = th_chunk_value_read(w->store, descriptor, &bytes, &size);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	value = (struct th_slice){ bytes, size };
	r = w->store->options.runs(key, value, free_run, w);
	free(bytes);
	return r;
}

static int free_large(struct walk *w, struct th_slice key, struct th_slice descriptor)
{
	struct th_chunk chunk;
	int r = th_chunk_unpack(descriptor, &chunk);

	if (r == 0 && w->store->options.runs && !hidden(w, key))
		r = free_named_by_large(w, key, descriptor, &chunk);
	for (unsigned i = 0; i < chunk.runs && r == 0; i++)
		r = free_run(&chunk.run[i], w);
	return r;
}

static int free_values(struct walk *w, struct th_node *node)
{
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	bool named = w->store->options.runs != NULL;
	int r = 0;

	for (unsigned i = 0; i < slab->count && r == 0; i++) {
		const struct th_entry *e = th_slab_entry(slab, i);
		struct th_key key;

		if (!(e->flags & TH_ENTRY_VALUE) || (!named && !(e->flags & TH_ENTRY_CHUNK)))
			continue;
		th_node_key(node, e, &key);
		if (e->flags & TH_ENTRY_CHUNK)
			r = free_large(w, th_key_slice(&key), th_entry_value(e));
		else if (!hidden(w, th_key_slice(&key)))
			r = w->store->options.runs(th_key_slice(&key), th_entry_value(e), free_run, w);
	}
	return r;
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
	int r = DONE;

	th_node_key(node, th_slab_entry(&node->base, 0), &lo);
	if (th_slice_compare(at, th_key_slice(&lo)) > 0)
		i = th_node_child(node, at);
	for (; i < node->base.count && r == DONE; i++) {
		struct th_slice kid_hi = hi;
		struct th_ptr ptr;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		if (i + 1 < node->base.count) {
			th_node_key(node, th_slab_entry(&node->base, i + 1), &end);
			kid_hi = th_key_slice(&end);
		}
		r = th_node_child_ptr(node, i, &ptr);
		if (r == 0)
			r = walk_ptr(w, &ptr, th_key_slice(&lo), kid_hi);
		if (r != DONE || i + 1 == node->base.count)
			break; /* the node ends where its last child does: there is no stopping between them */
		w->abandoned->at = end;
		if (w->left == 0)
			r = PAUSED;
	}
	return r;
}

static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice lo, struct th_slice hi)
{
	struct th_node *node;
	int r;

	if (ptr->birth <= w->abandoned->than)
		return DONE;
	if (w->depth == TH_HEIGHT_MAX)
		return -EUCLEAN;
	r = th_cache_load_or_lose(w->store->cache, ptr, lo, &node);
	if (r < 0) /* else damaged, and the cache has said so: it stays lost, with what is below it */
		return r == -ENOMEM ? r : DONE;
	w->path[w->depth++] = node;
	w->left -= w->left > 0;
	if (node->level > 0)
		r = walk_children(w, node, hi);
	if (r == DONE)
		r = free_values(w, node);
	if (r == DONE)
		r = free_node(w, node);
	w->depth--;
	th_node_unref(node);
	return r;
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
	int r = th_blocklist_filter(list, w->store->disk, w->store->space, 0, budget, each, w);

	if (r < 0)
		return r;
	if (list->max_birth > 0 && *budget == 0)
		return PAUSED;
	memset(list, 0, sizeof(*list)); /* what cannot be read of it, as the disk has said, stays lost */
	return DONE;
}

static int give_lists(struct walk *w, size_t *budget)
{
	struct th_head *head = w->abandoned->head;
	int r = take_off(w, &head->strays, budget, free_stray);

	return r == DONE ? take_off(w, &head->dead, budget, free_dead) : r;
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

int th_abandoned_step(struct th_store *store, size_t *budget)
{
	struct walk w = { .store = store, .left = store->abandoned_nodes };
	struct th_slice none = { NULL, 0 };
	int r = DONE;

	while (r == DONE && w.left > 0 && (w.abandoned = pick(store))) {
		r = give_lists(&w, budget);
		if (r == DONE)
			r = walk_ptr(&w, &w.abandoned->head->root, TH_SLICE_EMPTY, none);
		if (r < 0)
			return r;
		if (r == PAUSED)
			return th_abandoned_put(store, w.abandoned);
		r = th_abandoned_drop(store, w.abandoned);
		forget(store, w.abandoned);
	}
	return r;
}

bool th_abandoned_due(struct th_store *store)
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
