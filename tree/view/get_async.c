/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous point reads.
 *
 * The part of a lookup that needs the tree's lock is done at once.  All nodes below are clean, so the rest needs no
 * lock and may run on the thread that completes a transfer: the lookup requests a node that is not in memory, and its
 * completion continues the lookup one level further.  Usually that is a thread that waits for some read to end: it
 * completes the transfers of all reads.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/disk/future.h"
#include "tree/state/state.h"
#include "tree/view/view.h"

struct th_get {
	struct th_view *view;
	struct th_lookup lookup;
	struct th_step next;
	struct th_key key; /* whole */
	struct th_future future;
	bool watched; /* the disk completes transfers although no thread waits for the future */
};

static void get_drive(struct th_future *future)
{
	struct th_get *get = future->owner;

	th_disk_reap(get->view->store->disk, future);
}

static void get_complete(struct th_get *get, int result)
{
	th_future_complete(&get->future, result);
}

static void get_loaded(void *arg, int result, struct th_node *node);

/* Continues the lookup from a clean node to the first node that is not in memory.  Takes over the reference to it. */
static void get_below(struct th_get *get, struct th_node *node)
{
	struct th_cache *cache = get->view->store->cache;
	struct th_slice key = th_key_slice(&get->key);
	struct th_node *child = NULL;
	int err;

	for (;;) {
		err = th_lookup_step(&get->lookup, node, cache, key, &get->next, &child);
		th_node_unref(node);
		if (err || get->lookup.done) {
			get_complete(get, err);
			return;
		}
		if (!child) {
			/* the get may be freed when this returns */
			th_cache_load_async(cache, &get->next.ptr, th_key_slice(&get->next.fence), get_loaded, get);
			return;
		}
		node = child;
	}
}

static void get_loaded(void *arg, int result, struct th_node *node)
{
	if (result < 0)
		get_complete(arg, result);
	else
		get_below(arg, node);
}

int th_get_async(struct th_view *view, struct th_slice key, struct th_get **ret)
{
	struct th_key space;
	int err = th_view_key(view, &key, &space);

	return err ? err : th_view_get_async(view, key, NULL, NULL, ret);
}

int th_view_get_async(struct th_view *view, struct th_slice key, th_node_visit *visit, void *arg, struct th_get **ret)
{
	struct th_get *get = malloc(sizeof(*get));

	if (!get)
		return -ENOMEM;
	get->view = view;
	get->lookup = (struct th_lookup){ .visit = visit, .visit_arg = arg };
	th_key_set(&get->key, key);
	get->watched = false;
	th_future_init(&get->future, get->view->store->disk->ops->reap ? get_drive : NULL, get);
	*ret = get;
	th_view_begin(view, th_key_slice(&get->key), &get->lookup, &get->next);
	if (get->next.error < 0 || get->lookup.done)
		get_complete(get, get->next.error);
	else if (get->next.node)
		get_below(get, get->next.node);
	else
		th_cache_load_async(view->store->cache, &get->next.ptr, th_key_slice(&get->next.fence), get_loaded,
				    get);
	return 0;
}

/* The caller may poll the future or give it a continuation, so from now on there may be no thread that waits for it. */
struct th_future *th_get_future(struct th_get *get)
{
	if (!get->watched)
		th_disk_watch(get->view->store->disk, true);
	get->watched = true;
	return &get->future;
}

int th_get_finish(struct th_get *get, struct th_value *ret)
{
	int err = th_future_wait(&get->future);

	if (get->watched)
		th_disk_watch(get->view->store->disk, false);
	/* A second, waiting lookup finds the cause of an error and reports it; or it succeeds. */
	if (err) {
		th_lookup_release(&get->lookup);
		err = th_view_look_up(get->view, NULL, th_key_slice(&get->key), ret);
	} else {
		err = th_view_finish(get->view, &get->lookup, ret);
	}
	free(get);
	return err;
}
