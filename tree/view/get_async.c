/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Point reads that nobody waits for yet.
 *
 * What takes the lock is done at once.  Below that everything is settled, so the rest needs no lock and may go on
 * wherever a transfer completes: each node that is not in memory is asked for, and whoever brings it takes the lookup
 * one level further.  As a rule that is whoever ends a read, on his own thread, for all reads that are under way.
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
	bool watched; /* nobody need wait for the future */
};

static void get_drive(struct th_future *future)
{
	struct th_get *get = future->owner;

	th_disk_reap(get->view->store->disk, future);
}

static void get_over(struct th_get *get, int result)
{
	th_future_complete(&get->future, result);
}

static void get_loaded(void *arg, int result, struct th_node *node);

/* From a settled node, a reference to which is taken over, to the first one that is not in memory. */
static void get_below(struct th_get *get, struct th_node *node)
{
	struct th_cache *cache = get->view->store->cache;
	struct th_slice key = th_key_slice(&get->key);
	struct th_node *child = NULL;
	int err;

	for (;;) {
		err = th_lookup_step(&get->lookup, node, cache, key, &get->next, &child);
		th_node_unref(node);
		if (err < 0 || get->lookup.done) {
			get_over(get, err);
			return;
		}
		if (!child) {
			/* the get may be gone when this returns */
			th_cache_load_async(cache, &get->next.ptr, th_key_slice(&get->next.fence), get_loaded, get);
			return;
		}
		node = child;
	}
}

static void get_loaded(void *arg, int result, struct th_node *node)
{
	if (result < 0)
		get_over(arg, result);
	else
		get_below(arg, node);
}

int th_get_async(struct th_view *view, struct th_slice key, struct th_get **ret)
{
	struct th_key space;
	int err = th_view_key(view, &key, &space);

	return err < 0 ? err : th_view_get_async(view, key, NULL, NULL, ret);
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
		get_over(get, get->next.error);
	else if (get->next.node)
		get_below(get, get->next.node);
	else
		th_cache_load_async(view->store->cache, &get->next.ptr, th_key_slice(&get->next.fence), get_loaded,
				    get);
	return 0;
}

/* From now on it may be that nobody waits. */
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
	/* Whatever was wrong is found out, and said, by looking again in the plain way. */
	if (err < 0) {
		th_lookup_release(&get->lookup);
		err = th_view_look_up(get->view, NULL, th_key_slice(&get->key), ret);
	} else {
		err = th_view_finish(get->view, &get->lookup, ret);
	}
	free(get);
	return err;
}
