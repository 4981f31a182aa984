/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views from inside: whole keys, and lookups in steps.
 *
 * In thunderhead.h the keys of a subtree view lack its prefix, in both directions.  The functions here add it to keys
 * that come in (th_view_key, th_view_bound, th_view_span) and remove it from keys that go out (th_view_strip).  All
 * other code in tree/ has whole keys.
 */
#ifndef TH_TREE_VIEW_VIEW_H
#define TH_TREE_VIEW_VIEW_H

#include <errno.h>

#include "tree/btree/lookup.h"
#include "tree/layers/layer.h"
#include "tree/state/state.h"

/* Returns a view of nothing yet, for the constructors: the caller sets its root and the rest, and th_view_close() ends
 * it.  NULL: no memory. */
struct th_view *th_view_new(struct th_store *store);

/* Returns the view of the whole tree that a subtree view is part of; another view itself. */
static inline struct th_view *th_view_whole(struct th_view *view)
{
	return view->whole ? view->whole : view;
}

static inline bool th_view_is_live(const struct th_view *view)
{
	return !view->root;
}

/* Returns the largest size of a key of the view, in bytes. */
static inline size_t th_view_key_max(const struct th_view *view)
{
	return TH_KEY_MAX - view->prefix.size;
}

/* Makes *key whole.  space: receives the bytes if the view has a prefix, and must live as long as the key.  Returns 0,
 * or -EINVAL if the key is too long. */
static inline int th_view_key(const struct th_view *view, struct th_slice *key, struct th_key *space)
{
	if (key->size > th_view_key_max(view))
		return -EINVAL;
	if (view->prefix.size) {
		th_key_join(space, view->prefix, *key);
		*key = th_key_slice(space);
	}
	return 0;
}

/* Returns a whole key without the view's prefix, as a part of the same bytes. */
static inline struct th_slice th_view_strip(const struct th_view *view, struct th_slice key)
{
	return (struct th_slice){ (const uint8_t *)key.data + view->prefix.size, key.size - view->prefix.size };
}

/* Makes a bound whole.  A bound may be the successor of a key, so it may have one byte more than a key.  Returns 0, or
 * -EINVAL if it is too long. */
int th_view_bound(const struct th_view *view, struct th_slice bound, struct th_key *ret);
/* Makes a range of the view whole.  NULL: all keys of the view.  Returns 0, or -EINVAL if a bound is too long. */
int th_view_span(const struct th_view *view, const struct th_range *range, struct th_span *ret);

/* Loads the root that a pointer names; an empty leaf if it names none.  *ret is a reference of the caller's.  Returns 0
 * or the error of reading it. */
int th_root_load(struct th_store *store, const struct th_ptr *ptr, struct th_node **ret);

/* Take and drop the tree's lock for reading, if the view has transient nodes below its root. */
void th_view_lock(struct th_view *view);
void th_view_unlock(struct th_view *view);

/* Begins a lookup: the part that takes the view's lock.  The rest needs no lock. */
void th_view_begin(struct th_view *view, struct th_slice whole_key, struct th_lookup *lookup, struct th_step *next);
/* Ends a lookup that has reached its end, and releases it in any case.  Returns 0 with the value in *ret, for
 * th_value_release(); -ENOENT if the key has none; or the error of reading a large value. */
int th_view_finish(struct th_view *view, struct th_lookup *lookup, struct th_value *ret);
/* Looks a whole key up, in a transaction's layers first (NULL: none).  Returns as th_view_finish(), or the error of
 * reading a node. */
int th_view_look_up(struct th_view *view, const struct th_layers *layers, struct th_slice whole_key,
		    struct th_value *ret);
/* As th_get_async(), for a whole key.  visit: called for each node on the path, on the thread that continues the
 * lookup; or NULL. */
int th_view_get_async(struct th_view *view, struct th_slice whole_key, th_node_visit *visit, void *arg,
		      struct th_get **ret);
/* As th_get(), through a transaction's layers (NULL: none). */
int th_view_get(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_value *ret);

#endif
