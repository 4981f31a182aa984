/* SPDX-License-Identifier: Apache-2.0 */
/* Views and point reads. */
#include "tree/view/view.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

struct th_view *th_view_live(struct th_store *store)
{
	return &store->live_view;
}

struct th_view *th_view_new(struct th_store *store)
{
	struct th_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->store = store;
	atomic_init(&view->refs, 1);
	return view;
}

int th_view_freeze(struct th_store *store, struct th_view **ret)
{
	struct th_view *view = th_view_new(store);

	if (!view)
		return -ENOMEM;
	view->tree = &store->live;
	view->branch = store->branch;
	atomic_fetch_add(&store->frozen, 1);
	if (atomic_load(&store->rolling_back)) {
		atomic_fetch_sub(&store->frozen, 1);
		free(view);
		return -EBUSY;
	}
	pthread_mutex_lock(&store->merge_lock);
	pthread_rwlock_wrlock(&store->live.lock);
	view->root = th_tree_freeze(&store->live);
	view->seq = store->seq;
	th_space_pin(store->space); /* the view still reads blocks that later checkpoints free */
	pthread_rwlock_unlock(&store->live.lock);
	pthread_mutex_unlock(&store->merge_lock);
	*ret = view;
	return 0;
}

int th_root_load(struct th_store *store, const struct th_ptr *ptr, struct th_node **ret)
{
	if (ptr->addr)
		return th_cache_load(store->cache, ptr, TH_SLICE_EMPTY, ret);
	*ret = th_node_new(0, TH_SLICE_EMPTY, 0);
	return *ret ? 0 : -ENOMEM;
}

int th_view_subtree(struct th_view *view, struct th_slice prefix, struct th_view **ret)
{
	struct th_view *whole = th_view_whole(view), *part;
	size_t above = view->prefix.size;
	uint8_t *bytes;

	if (prefix.size > th_view_key_max(view))
		return -EINVAL;
	part = malloc(sizeof(*part) + above + prefix.size);
	if (!part)
		return -ENOMEM;
	bytes = (uint8_t *)(part + 1);
	if (above)
		memcpy(bytes, view->prefix.data, above);
	if (prefix.size)
		memcpy(bytes + above, prefix.data, prefix.size);
	*part = (struct th_view){
		.store = whole->store,
		.refs = 1,
		.whole = whole,
		.prefix = { bytes, above + prefix.size },
		.tree = whole->tree,
		.root = whole->root,
		.seq = whole->seq,
		.snapshot = whole->snapshot,
		.branch = whole->branch,
	};
	atomic_fetch_add(&whole->refs, 1);
	*ret = part;
	return 0;
}

/* Frees a view of a whole tree. */
static void view_end(struct th_view *view)
{
	struct th_store *store = view->store;

	/* A frozen view may have the last reference to nodes with children, which are changed only under the lock. */
	if (view->tree)
		pthread_rwlock_wrlock(&view->tree->lock);
	th_node_unref(view->root);
	if (view->tree) {
		pthread_rwlock_unlock(&view->tree->lock);
		th_space_unpin(store->space);
		atomic_fetch_sub(&store->frozen, 1);
	}
	if (view->count) {
		pthread_mutex_lock(&store->snapshot_lock);
		view->count->open--;
		view->count->closed = th_tree_generation(&store->live);
		pthread_mutex_unlock(&store->snapshot_lock);
	}
	free(view);
}

void th_view_close(struct th_view *view)
{
	struct th_view *whole;

	if (!view || view == &view->store->live_view || atomic_fetch_sub(&view->refs, 1) > 1)
		return;
	whole = view->whole;
	if (whole) {
		free(view);
		th_view_close(whole);
	} else {
		view_end(view);
	}
}

/* --- keys --- */

int th_view_bound(const struct th_view *view, struct th_slice bound, struct th_key *ret)
{
	if (bound.size > th_view_key_max(view) + 1)
		return -EINVAL;
	th_key_join(ret, view->prefix, bound);
	return 0;
}

int th_view_span(const struct th_view *view, const struct th_range *range, struct th_span *ret)
{
	struct th_range all;
	int err = th_view_bound(view, range ? range->from : TH_SLICE_EMPTY, &ret->from);

	if (err)
		return err;
	ret->open = !range || !range->to.data;
	if (!ret->open)
		return th_view_bound(view, range->to, &ret->to);
	all = th_range_prefix(view->prefix, ret->to.data);
	ret->open = !all.to.data;
	ret->to.size = (uint16_t)all.to.size;
	return 0;
}

/* --- point reads --- */

void th_view_lock(struct th_view *view)
{
	if (view->tree)
		pthread_rwlock_rdlock(&view->tree->lock);
}

void th_view_unlock(struct th_view *view)
{
	if (view->tree)
		pthread_rwlock_unlock(&view->tree->lock);
}

/* Replaces the descriptor of a large value with the value. */
static int resolve_value(struct th_store *store, struct th_value *value)
{
	struct th_value whole = { .refs = value->refs };
	void *memory;
	int err = th_chunk_value_read(store, (struct th_slice){ value->data, value->size }, &memory, &whole.size);

	if (err)
		return err;
	whole.data = memory;
	whole.owner = (void *)((uintptr_t)memory | TH_OWNER_MEMORY);
	th_value_release(value);
	*value = whole;
	return 0;
}

void th_view_begin(struct th_view *view, struct th_slice key, struct th_lookup *lookup, struct th_step *next)
{
	th_view_lock(view);
	th_lookup_begin(lookup, view->root ? view->root : view->tree->root, key, next);
	th_view_unlock(view);
}

int th_view_finish(struct th_view *view, struct th_lookup *lookup, struct th_value *ret)
{
	int err;

	if (!lookup->entry) {
		th_lookup_release(lookup);
		return -ENOENT;
	}
	*ret = lookup->value;
	ret->refs = lookup->refs;
	err = th_entry_is_large(lookup->entry) ? resolve_value(view->store, ret) : 0;
	if (err)
		th_value_release(ret);
	return err;
}

/* Looks the key up once.  Returns -EAGAIN if a node could not be read, and a checkpoint may have freed it. */
static int look_up(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_lookup *lookup)
{
	struct th_store *store = view->store;
	uint64_t checkpoints = atomic_load_explicit(&store->checkpoints, memory_order_relaxed);
	struct th_step next;
	int err;

	err = layers ? th_layers_lookup(layers, lookup, key) : 0;
	if (err || lookup->done)
		return err;
	th_view_begin(view, key, lookup, &next);
	err = th_lookup_finish(lookup, store->cache, key, &next);
	if (!err)
		return 0;
	/* Only blocks of the live tree are freed while it is read (S3). */
	if (!view->root && atomic_load(&store->checkpoints) != checkpoints)
		return -EAGAIN;
	return th_step_failed(&next, store->cache, err);
}

int th_view_look_up(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_value *ret)
{
	struct th_lookup lookup = { 0 };
	int err;

	do {
		th_lookup_release(&lookup);
		err = look_up(view, layers, key, &lookup);
	} while (err == -EAGAIN);
	if (!err)
		return th_view_finish(view, &lookup, ret);
	th_lookup_release(&lookup);
	return err;
}

int th_view_get(struct th_view *view, const struct th_layers *layers, struct th_slice key, struct th_value *ret)
{
	struct th_key space;
	int err = th_view_key(view, &key, &space);

	return err ? err : th_view_look_up(view, layers, key, ret);
}

int th_get(struct th_view *view, struct th_slice key, struct th_value *ret)
{
	return th_view_get(view, NULL, key, ret);
}

struct th_range th_range_prefix(struct th_slice prefix, void *space)
{
	struct th_range range = { prefix, { NULL, 0 } };
	uint8_t *end = space;
	size_t n = prefix.size;

	if (n)
		memcpy(end, prefix.data, n);
	while (n > 0 && end[n - 1] == 0xff)
		n--;
	if (n > 0) {
		end[n - 1]++;
		range.to = (struct th_slice){ end, n };
	}
	return range;
}
