/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views from inside: whole keys, and lookups in steps.
 *
 * Keys of a subtree view lack its prefix where they pass thunderhead.h, in both directions.  What is here puts it
 * before those that come in (th_view_key, th_view_bound, th_view_span) and takes it off those that go out
 * (th_view_strip); everything else in tree/ has whole keys.
 */
#ifndef TH_TREE_VIEW_VIEW_H
#define TH_TREE_VIEW_VIEW_H

#include <errno.h>

#include "tree/layers/layer.h"

/* Returns a view of nothing yet, for the constructors: the caller sets its root and the rest, and th_view_close() ends
 * it.  NULL: no memory. */
struct th_view *th_view_new(struct th_store *store);

/* The view of the whole tree. */
static inline struct th_view *th_view_whole(struct th_view *view)
{
	return view->whole ? view->whole : view;
}

static inline bool th_view_is_live(const struct th_view *view)
{
	return !view->root;
}

/* Bytes that a key of the view may have. */
static inline size_t th_view_key_max(const struct th_view *view)
{
	return TH_KEY_MAX - view->prefix.size;
}

/* Makes the key whole, in `space` if it is not.  -EINVAL: too long. */
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

static inline struct th_slice th_view_strip(const struct th_view *view, struct th_slice key)
{
	return (struct th_slice){ (const uint8_t *)key.data + view->prefix.size, key.size - view->prefix.size };
}

/* The whole key of a bound, which may be a key's successor.  -EINVAL: too long. */
int th_view_bound(const struct th_view *view, struct th_slice bound, struct th_key *ret);
/* The whole keys of a range (NULL: all) of the view.  -EINVAL: a bound is too long. */
int th_view_span(const struct th_view *view, const struct th_range *range, struct th_span *ret);

/* Loads the root that a pointer names: an empty leaf if it names none. */
int th_root_load(struct th_store *store, const struct th_ptr *ptr, struct th_node **ret);

void th_view_lock(struct th_view *view);
void th_view_unlock(struct th_view *view);

/* The part of a lookup that takes the view's lock, and what comes when the lookup is over: the value, or -ENOENT. */
void th_view_begin(struct th_view *view, struct th_slice whole_key, struct th_lookup *lookup, struct th_step *next);
int th_view_finish(struct th_view *view, struct th_lookup *lookup, struct th_value *ret);
/* The whole lookup, through a transaction's layers (NULL: none). */
int th_view_look_up(struct th_view *view, const struct th_layers *layers, struct th_slice whole_key,
		    struct th_value *ret);
/* th_get_async of a whole key, which tells of the nodes that it comes to, on whatever thread that is. */
int th_view_get_async(struct th_view *view, struct th_slice whole_key, th_node_visit *visit, void *arg,
		      struct th_get **ret);
/* th_get through layers. */
int th_view_get(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_value *ret);

#endif
