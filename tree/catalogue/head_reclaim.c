/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/head_reclaim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tree/catalogue/dead_list.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"
#include "tree/node/scatter.h"
#include "tree/state/state.h"

/* Beside -errno: the work is complete, or goes on in the next checkpoint. */
enum { DONE, PAUSED };

struct walk {
	struct th_store *store;
	struct th_abandoned *abandoned;
	unsigned depth; /* nodes on the path */
	unsigned left; /* nodes to read before the next pause */
	struct th_node *path[TH_HEIGHT_MAX];
};

/* --- blocks that a node refers to --- */

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

/* Returns true if a message further up replaces or deletes the key's value. */
static bool hidden(const struct walk *w, struct th_slice key)
{
	for (unsigned i = 0; i + 1 < w->depth; i++)
		if (th_overlay_hides(w->path[i], key))
			return true;
	return false;
}

/* Frees the runs that a visible large value names.  A value that is not younger than `than` is skipped, since its runs
 * are older still.  If the value cannot be read, they stay lost. */
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
	if (err == -EIO) /* perhaps transient: one retry */
		err = th_chunk_value_read(w->store, descriptor, &bytes, &size);
	if (err)
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

	if (!err && w->store->options.runs && !hidden(w, key))
		err = free_named_by_large(w, key, descriptor, &chunk);
	for (unsigned i = 0; i < chunk.runs && !err; i++)
		err = free_run(&chunk.run[i], w);
	return err;
}

static int free_values(struct walk *w, struct th_node *node)
{
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	bool named = w->store->options.runs != NULL;
	int err = 0;

	for (unsigned i = 0; i < slab->count && !err; i++) {
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

static int free_node_run(const struct th_run *run, void *arg)
{
	struct walk *w = arg;
	struct th_blockrun dead = { run->addr, run->birth, run->blocks, TH_DEAD_NODE };

	return th_space_in_use(w->store->space, dead.addr, dead.blocks) ? th_dead_free(w->store, &dead) : -EUCLEAN;
}

static int free_node(struct walk *w, const struct th_node *node)
{
	return th_node_each_run(w->store->disk, &node->ptr, free_node_run, w);
}

/* --- the walk --- */

static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice lo, struct th_slice hi);

/* Frees the children of a node, from where the walk is.  Returns DONE, PAUSED or -errno. */
static int walk_children(struct walk *w, struct th_node *node, struct th_slice hi)
{
	struct th_slice at = th_key_slice(&w->abandoned->at);
	struct th_key lo, end;
	unsigned i = 0;
	int state = DONE;

	th_node_key(node, th_slab_entry(&node->base, 0), &lo);
	if (th_slice_compare(at, th_key_slice(&lo)) > 0)
		i = th_node_child(node, at);
	for (; i < node->base.count && state == DONE; i++) {
		struct th_slice child_hi = hi;
		struct th_ptr ptr;

		th_node_key(node, th_slab_entry(&node->base, i), &lo);
		if (i + 1 < node->base.count) {
			th_node_key(node, th_slab_entry(&node->base, i + 1), &end);
			child_hi = th_key_slice(&end);
		}
		state = th_node_child_ptr(node, i, &ptr);
		if (state == DONE)
			state = walk_ptr(w, &ptr, th_key_slice(&lo), child_hi);
		if (state != DONE || i + 1 == node->base.count)
			break; /* the node ends where its last child ends: no pause between them */
		w->abandoned->at = end;
		if (w->left == 0)
			state = PAUSED;
	}
	return state;
}

/* Frees a node of the head and all nodes below it.  Returns DONE, PAUSED or -errno.
 *
 * lo, hi: fences of the node. */
static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice lo, struct th_slice hi)
{
	struct th_node *node;
	int err, state = DONE;

	if (ptr->birth <= w->abandoned->than)
		return DONE;
	if (w->depth == TH_HEIGHT_MAX)
		return -EUCLEAN;
	err = th_cache_load_retrying(w->store->cache, ptr, lo, &node);
	if (err) /* damaged, as the cache has reported: it stays lost, with all nodes below it */
		return err == -ENOMEM ? err : DONE;
	w->path[w->depth++] = node;
	w->left -= w->left > 0;
	if (node->level > 0)
		state = walk_children(w, node, hi);
	if (state == DONE)
		state = free_values(w, node);
	if (state == DONE)
		state = free_node(w, node);
	w->depth--;
	th_node_unref(node);
	return state;
}

/* --- the lists --- */

/* Frees a dead run that only deleted snapshots needed; the snapshot before has the older ones. */
static int free_dead(const struct th_blockrun *run, void *arg)
{
	struct walk *w = arg;

	th_dead_leaves_list(w->store, run);
	return run->birth > w->abandoned->than ? th_dead_free(w->store, run) : 0;
}

/* Frees a stray; a younger one is in the tree, or dead. */
static int free_stray(const struct th_blockrun *run, void *arg)
{
	struct walk *w = arg;

	return run->birth <= w->abandoned->than ? th_dead_free(w->store, run) : 0;
}

/* Calls each() for runs of a list, and takes them off it. */
static int take_off(struct walk *w, struct th_blocklist *list, size_t *budget,
		    int (*each)(const struct th_blockrun *run, void *arg))
{
	int err = th_blocklist_filter(list, w->store->disk, w->store->space, 0, budget, each, w);

	if (err)
		return err;
	if (list->max_birth > 0 && *budget == 0)
		return PAUSED;
	memset(list, 0, sizeof(*list)); /* pages that cannot be read, as the disk has reported, stay lost */
	return DONE;
}

/* Processes both lists.  Returns DONE, PAUSED or -errno. */
static int reclaim_lists(struct walk *w, size_t *budget)
{
	struct th_head *head = w->abandoned->head;
	int state = take_off(w, &head->strays, budget, free_stray);

	return state == DONE ? take_off(w, &head->dead, budget, free_dead) : state;
}

/* --- in checkpoints --- */

/* Returns an abandoned head without views that a checkpoint of this generation may reclaim (C1), or NULL. */
static struct th_abandoned *pick(struct th_store *store, uint64_t generation)
{
	struct th_abandoned *abandoned;

	pthread_mutex_lock(&store->snapshot_lock);
	abandoned = store->branches.abandoned;
	while (abandoned && (abandoned->head->views.open > 0 || abandoned->head->views.closed > generation))
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
	int state = DONE;

	while (state == DONE && w.left > 0 && (w.abandoned = pick(store, store->live.checkpoint_gen))) {
		state = reclaim_lists(&w, budget);
		if (state == DONE)
			state = walk_ptr(&w, &w.abandoned->head->root, TH_SLICE_EMPTY, none);
		if (state < 0)
			return state;
		if (state == PAUSED)
			return th_abandoned_put(store, w.abandoned);
		state = th_abandoned_drop(store, w.abandoned);
		forget(store, w.abandoned);
	}
	return state;
}

bool th_head_reclaim_due(struct th_store *store)
{
	return pick(store, UINT64_MAX) != NULL;
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
