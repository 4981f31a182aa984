/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: range reads through every pending message.
 *
 * A cursor works in batches.  A batch holds what one leaf's key range comes to when the overlays above it (and a
 * transaction's stage) are merged onto its records; it is copied out under the tree's lock, so that the cursor holds
 * nothing between calls.  Its position is a gap between two entries of the batch.
 */
#include "tree/view/cursor.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/btree/merge_iter.h"
#include "tree/io/chunk.h"
#include "tree/layers/window.h"
#include "tree/state/state.h"

#define TH_BATCH_FIRST 16 /* entries in a cursor's first forward batch, at least: many ask for no more */
#define TH_BATCH_GROWTH 8 /* each next one may hold so many times as many */
#define TH_BATCH_LAST 4096 /* up to this */
#define TH_BATCH_ITEMS 128 /* room at first */
#define TH_BATCH_BYTES 16384

/* Leaves that lie ahead of a cursor are read before it gets there: from the third one on that it comes to, more each
 * time. */
#define TH_READAHEAD_AFTER 2
#define TH_READAHEAD_MAX 32

struct ahead_leaf {
	struct th_ptr ptr;
	struct th_key fence;
};

struct item {
	uint32_t key, value; /* offsets in the arena */
	uint16_t key_size, value_size;
	int32_t refs;
	bool chunk;
};

struct th_cursor {
	struct th_view *view;
	const struct th_layers *layers; /* of a transaction, or NULL */
	struct th_window *own; /* on them, where they are more than a stage; NULL: not needed yet */
	const struct th_memtable *memtable; /* what they come to, where the next batch is; NULL: nothing */
	struct th_span range;
	/* The batch holds all entries of [lo, hi); hi_open: to the very end. */
	struct th_key lo, hi;
	bool hi_open;
	bool at_open_end; /* stands behind everything, with no batch yet */
	struct item *item;
	size_t count, capacity, at;
	uint8_t *arena;
	size_t arena_size, arena_capacity;
	size_t limit; /* of the next forward batch, once more were read than expected */
	size_t read; /* entries, since it was placed */
	size_t expected; /* so many were read when it was placed before: as many may be wanted this time */
	void *large; /* value of the entry last returned, where it is off-tree */
	th_node_visit *visit;
	void *visit_arg;
	/* reading ahead */
	struct th_key leaf; /* lower fence of the leaf it was in last */
	unsigned leaves; /* that it came to, one after the other in one direction */
	unsigned window, asked; /* how many leaves ahead, and for how many that was done */
	bool backward;
	struct ahead_leaf *ahead; /* TH_READAHEAD_MAX; NULL: not needed yet */
};

/* --- batches --- */

static uint8_t *arena_take(struct th_cursor *c, size_t size, uint32_t *ret_offset)
{
	if (!c->arena || c->arena_size + size > c->arena_capacity) {
		size_t capacity = c->arena_capacity ? 2 * c->arena_capacity : TH_BATCH_BYTES;
		uint8_t *arena;

		while (capacity < c->arena_size + size)
			capacity *= 2;
		arena = realloc(c->arena, capacity);
		if (!arena)
			return NULL;
		c->arena = arena;
		c->arena_capacity = capacity;
	}
	*ret_offset = (uint32_t)c->arena_size;
	c->arena_size += size;
	return c->arena + *ret_offset;
}

static int batch_add(struct th_cursor *c, const struct th_merge_iter *m, const struct th_merged *found)
{
	struct th_slice value = th_entry_value(found->value);
	size_t key_size = m->prefix.size + found->suffix.size;
	struct item *item;
	uint8_t *bytes;

	if (c->count == c->capacity) {
		size_t capacity = c->capacity ? 2 * c->capacity : TH_BATCH_ITEMS;

		item = realloc(c->item, capacity * sizeof(*item));
		if (!item)
			return -ENOMEM;
		c->item = item;
		c->capacity = capacity;
	}
	item = &c->item[c->count];
	bytes = arena_take(c, key_size + value.size, &item->key);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, m->prefix.data, m->prefix.size);
	/* in an entry the value comes behind the key */
	memcpy(bytes + m->prefix.size, (const uint8_t *)value.data - found->suffix.size,
	       found->suffix.size + value.size);
	item->value = item->key + (uint32_t)key_size;
	item->key_size = (uint16_t)key_size;
	item->value_size = (uint16_t)value.size;
	item->refs = found->refs;
	item->chunk = (found->value->flags & TH_ENTRY_CHUNK) != 0;
	c->count++;
	return 0;
}

/* Fills the batch with [from, to) of the path's leaf, at most `limit` entries; then *to is moved to where it stopped.
 */
static int batch_merge(struct th_cursor *c, const struct th_path *path, struct th_slice from, struct th_key *to,
		       bool *open, size_t limit)
{
	struct th_merge_iter m;
	struct th_merged found;

	c->count = 0;
	c->arena_size = 0;
	th_merge_iter_init(&m, path, c->memtable, from, *open ? (struct th_slice){ NULL, 0 } : th_key_slice(to));
	while (th_merge_iter_next(&m, &found)) {
		int err;

		if (!found.value)
			continue;
		err = batch_add(c, &m, &found);
		if (err < 0)
			return err;
		if (c->count >= limit) {
			const struct item *last = &c->item[c->count - 1];

			th_key_set(to, (struct th_slice){ c->arena + last->key, last->key_size });
			th_key_successor(to);
			*open = false;
			break;
		}
	}
	return 0;
}

/* Descends, loading what is missing.  0 with the tree's lock held (if there is one) and *path to be released. */
static int descend(struct th_cursor *c, struct th_slice key, bool before, struct th_path *path)
{
	struct th_view *view = c->view;
	struct th_need need;
	int err;

	th_need_init(&need);
	for (;;) {
		th_view_lock(view);
		err = th_path_descend(view->store->cache, view->root ? view->root : view->tree->root, key, before, path,
				      &need);
		if (err == 0)
			break;
		th_view_unlock(view);
		if (err == -EAGAIN)
			err = th_need_load(&need, view->store->cache);
		if (err < 0)
			break;
	}
	th_need_release(&need);
	if (err == 0 && c->visit)
		for (unsigned i = 0; i < path->depth; i++)
			c->visit(c->visit_arg, path->node[i]);
	return err;
}

static void ascend(struct th_cursor *c, struct th_path *path)
{
	th_path_release(path);
	th_view_unlock(c->view);
}

/* --- reading ahead --- */

/* Where the walk over the leaves ahead of a path is: the tree is locked, or settled. */
struct ahead_walk {
	struct th_cursor *c;
	unsigned skip, want, found;
};

/* Is what begins at the fence, or ends there, beyond the range? */
static bool ahead_beyond(const struct th_cursor *c, const struct th_key *fence)
{
	if (c->backward)
		return th_slice_compare(th_key_slice(fence), th_key_slice(&c->range.from)) <= 0;
	return !c->range.open && th_slice_compare(th_key_slice(fence), th_key_slice(&c->range.to)) >= 0;
}

/* Notes the leaves below children of `node` from `i` on in the cursor's direction; false when that is enough.  A node
 * above leaves that is not in memory is noted itself, and nothing behind it. */
static bool ahead_below(struct ahead_walk *w, struct th_node *node, int i)
{
	struct th_cursor *c = w->c;
	int step = c->backward ? -1 : 1;

	for (; i >= 0 && i < node->base.count; i += step) {
		struct ahead_leaf *leaf = &c->ahead[w->found];
		struct th_node *child = node->children ? node->children[i] : NULL;
		bool enough;

		/* going back, the end of a child is the beginning of the one that came before it */
		th_node_key(node, th_slab_entry(&node->base, c->backward ? (i + 1 < node->base.count ? i + 1 : i) : i),
			    &leaf->fence);
		if (ahead_beyond(c, &leaf->fence))
			return false;
		if (node->level == 1 && w->skip > 0) {
			w->skip--;
			continue;
		}
		if (!child && th_node_child_ptr(node, (unsigned)i, &leaf->ptr) < 0)
			return false;
		th_node_key(node, th_slab_entry(&node->base, i), &leaf->fence);
		if (node->level == 1) {
			if (!child)
				w->found++;
			w->want--;
			if (w->want == 0)
				return false;
			continue;
		}
		child = child ? th_node_ref(child) : th_cache_get(c->view->store->cache, &leaf->ptr);
		if (!child) {
			w->found++;
			return false;
		}
		enough = !ahead_below(w, child, c->backward ? child->base.count - 1 : 0);
		th_node_unref(child);
		if (enough)
			return false;
	}
	return true;
}

/* Notes leaves to be read that follow those that were. */
static unsigned ahead_collect(struct th_cursor *c, const struct th_path *path)
{
	struct ahead_walk w = { .c = c, .skip = c->asked, .want = c->window - c->asked };

	if (!c->ahead)
		c->ahead = malloc(TH_READAHEAD_MAX * sizeof(*c->ahead));
	if (!c->ahead)
		return 0;
	for (unsigned d = path->depth - 1; d-- > 0;)
		if (!ahead_below(&w, path->node[d], (int)path->child[d] + (c->backward ? -1 : 1)))
			break;
	c->asked = c->window;
	return w.found;
}

/* Has the batch what is still expected to be read? */
static bool ends_here(const struct th_cursor *c)
{
	return !c->backward && c->read < c->expected && c->read + c->count >= c->expected;
}

/* The cursor is in the path's leaf: finds out what lies ahead.  Returns how many leaves are to be read. */
static unsigned ahead_note(struct th_cursor *c, const struct th_path *path, bool backward)
{
	bool same = c->leaves > 0 && th_slice_compare(th_key_slice(&c->leaf), th_key_slice(&path->lo)) == 0;

	if (c->backward != backward)
		c->leaves = c->window = c->asked = 0;
	else if (same)
		return 0;
	c->backward = backward;
	th_key_copy(&c->leaf, &path->lo);
	c->leaves++;
	if (c->asked > 0)
		c->asked--;
	if (c->leaves <= TH_READAHEAD_AFTER || ends_here(c))
		return 0;
	if (c->window == 0)
		c->window = 2;
	if (2 * c->asked > c->window)
		return 0;
	if (c->window < TH_READAHEAD_MAX)
		c->window *= 2;
	return ahead_collect(c, path);
}

/* Without the lock. */
static void ahead_read(struct th_cursor *c, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		th_cache_prefetch(c->view->store->cache, &c->ahead[i].ptr, th_key_slice(&c->ahead[i].fence));
}

/* --- a transaction's own writes --- */

static int make_window(struct th_cursor *c)
{
	if (c->own)
		return 0;
	c->own = malloc(sizeof(*c->own));
	if (!c->own)
		return -ENOMEM;
	th_window_init(c->own, c->layers, 0);
	return 0;
}

/* Finds what the transaction says of the keys from `key` on, or with `before` of those before it (NULL data: before the
 * end).  *ret: how far that goes; NULL: all the way. */
static int look_through(struct th_cursor *c, struct th_slice key, bool before, const struct th_window **ret)
{
	int err;

	*ret = NULL;
	c->memtable = c->layers ? th_layers_memtable(c->layers) : NULL;
	if (!c->layers || c->layers->count == 0 || c->memtable)
		return 0;
	err = make_window(c);
	if (err == 0)
		err = before ? th_window_backward(c->own, key) : th_window_forward(c->own, key);
	if (err < 0)
		return err;
	c->memtable = &c->own->memtable;
	*ret = c->own;
	return 0;
}

/* --- batches, one after the other --- */

static bool at_range_end(const struct th_cursor *c)
{
	if (c->hi_open)
		return true;
	return !c->range.open && th_slice_compare(th_key_slice(&c->hi), th_key_slice(&c->range.to)) >= 0;
}

/* The batch ends no later than at the key. */
static void end_at(struct th_cursor *c, const struct th_key *key)
{
	if (!c->hi_open && th_slice_compare(th_key_slice(&c->hi), th_key_slice(key)) <= 0)
		return;
	th_key_copy(&c->hi, key);
	c->hi_open = false;
}

static void begin_at(struct th_cursor *c, const struct th_key *key)
{
	if (th_slice_compare(th_key_slice(&c->lo), th_key_slice(key)) < 0)
		th_key_copy(&c->lo, key);
}

static size_t next_limit(struct th_cursor *c)
{
	size_t limit = c->limit;

	if (c->read + limit < c->expected)
		return c->expected - c->read;
	if (c->read >= c->expected && limit < TH_BATCH_LAST)
		c->limit *= TH_BATCH_GROWTH;
	return limit;
}

static int fill_forward(struct th_cursor *c)
{
	struct th_path path;
	unsigned ahead;
	const struct th_window *own;
	int err;

	th_key_copy(&c->lo, &c->hi);
	err = look_through(c, th_key_slice(&c->lo), false, &own);
	if (err == 0)
		err = descend(c, th_key_slice(&c->lo), false, &path);
	if (err < 0)
		return err;
	c->hi_open = path.open;
	if (!path.open)
		th_key_copy(&c->hi, &path.hi);
	if (!c->range.open)
		end_at(c, &c->range.to);
	if (own && !own->open)
		end_at(c, &own->hi);
	err = batch_merge(c, &path, th_key_slice(&c->lo), &c->hi, &c->hi_open, next_limit(c));
	c->at = 0;
	ahead = ahead_note(c, &path, false);
	ascend(c, &path);
	ahead_read(c, ahead);
	return err;
}

static int fill_backward(struct th_cursor *c)
{
	struct th_key end = c->lo;
	bool end_open = c->at_open_end;
	struct th_slice before = end_open ? (struct th_slice){ NULL, 0 } : th_key_slice(&end);
	struct th_path path;
	unsigned ahead;
	const struct th_window *own;
	int err;

	err = look_through(c, before, true, &own);
	if (err == 0)
		err = descend(c, before, true, &path);
	if (err < 0)
		return err;
	th_key_copy(&c->lo, &path.lo);
	begin_at(c, &c->range.from);
	if (own)
		begin_at(c, &own->lo);
	err = batch_merge(c, &path, th_key_slice(&c->lo), &end, &end_open, SIZE_MAX);
	c->hi = end;
	c->hi_open = end_open;
	c->at_open_end = false;
	c->at = c->count;
	ahead = ahead_note(c, &path, true);
	ascend(c, &path);
	ahead_read(c, ahead);
	return err;
}

static int emit(struct th_cursor *c, const struct item *item, struct th_cursor_entry *ret)
{
	uint32_t size;
	int err;

	ret->key = th_view_strip(c->view, (struct th_slice){ c->arena + item->key, item->key_size });
	ret->value = (struct th_slice){ c->arena + item->value, item->value_size };
	ret->refs = item->refs;
	if (!item->chunk)
		return 0;
	free(c->large);
	c->large = NULL;
	err = th_chunk_value_read(c->view->store, ret->value, &c->large, &size);
	if (err == 0)
		ret->value = (struct th_slice){ c->large, size };
	return err;
}

/* --- public --- */

int th_cursor_new(struct th_view *view, const struct th_layers *layers, const struct th_range *range,
		  struct th_cursor **ret)
{
	struct th_cursor *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	err = th_view_span(view, range, &c->range);
	if (err < 0) {
		free(c);
		return err;
	}
	c->view = view;
	c->layers = layers;
	c->lo = c->hi = c->range.from;
	c->limit = TH_BATCH_FIRST;
	*ret = c;
	return 0;
}

/* Begins to read leaves from the cursor's first one on.  Returns 1 if a node above more of them had to be loaded first,
 * which was done. */
static int prefetch_some(struct th_cursor *c)
{
	struct th_path path;
	struct th_node *node;
	unsigned count;
	int err = descend(c, th_key_slice(&c->range.from), false, &path);

	if (err < 0)
		return err;
	c->window = TH_READAHEAD_MAX;
	c->asked = 0;
	count = ahead_collect(c, &path);
	ascend(c, &path);
	ahead_read(c, count);
	if (count == 0 || c->ahead[count - 1].ptr.level == 0)
		return 0;
	err = th_cache_load_quietly(c->view->store->cache, &c->ahead[count - 1].ptr,
				    th_key_slice(&c->ahead[count - 1].fence), &node);
	if (err < 0)
		return 0; /* whoever reads it in earnest is told */
	th_node_unref(node);
	return 1;
}

int th_prefetch(struct th_view *view, const struct th_range *range)
{
	struct th_cursor *c;
	int err = th_cursor_new(view, NULL, range, &c);

	if (err < 0)
		return err;
	for (unsigned i = 0; i < TH_HEIGHT_MAX; i++) {
		err = prefetch_some(c);
		if (err <= 0)
			break;
	}
	th_cursor_close(c);
	return err < 0 ? err : 0;
}

int th_cursor_open(struct th_view *view, const struct th_range *range, struct th_cursor **ret)
{
	return th_cursor_new(view, NULL, range, ret);
}

void th_cursor_watch(struct th_cursor *cursor, th_node_visit *visit, void *arg)
{
	cursor->visit = visit;
	cursor->visit_arg = arg;
}

int th_cursor_next(struct th_cursor *c, struct th_cursor_entry *ret)
{
	while (c->at == c->count) {
		int err;

		if (at_range_end(c))
			return 1;
		err = fill_forward(c);
		if (err < 0)
			return err;
	}
	c->read++;
	return emit(c, &c->item[c->at++], ret);
}

int th_cursor_prev(struct th_cursor *c, struct th_cursor_entry *ret)
{
	while (c->at == 0) {
		int err;

		if (!c->at_open_end && th_slice_compare(th_key_slice(&c->lo), th_key_slice(&c->range.from)) <= 0)
			return 1;
		err = fill_backward(c);
		if (err < 0)
			return err;
	}
	return emit(c, &c->item[--c->at], ret);
}

/* An empty batch at a key. */
static void stand_at(struct th_cursor *c, const struct th_key *key)
{
	th_key_copy(&c->lo, key);
	th_key_copy(&c->hi, key);
	c->hi_open = c->at_open_end = false;
	c->count = c->at = 0;
	c->limit = TH_BATCH_FIRST;
	c->expected = c->read;
	c->read = 0;
	c->leaves = c->window = c->asked = 0;
}

int th_cursor_seek(struct th_cursor *c, struct th_slice key)
{
	struct th_key at;
	int err = th_view_bound(c->view, key, &at);

	if (err < 0)
		return err;
	if (th_slice_compare(th_key_slice(&at), th_key_slice(&c->range.from)) < 0)
		at = c->range.from;
	else if (!c->range.open && th_slice_compare(th_key_slice(&at), th_key_slice(&c->range.to)) > 0)
		at = c->range.to;
	stand_at(c, &at);
	return 0;
}

void th_cursor_seek_end(struct th_cursor *c)
{
	static const struct th_key none;

	stand_at(c, c->range.open ? &none : &c->range.to);
	c->hi_open = c->at_open_end = c->range.open;
}

void th_cursor_set_range(struct th_cursor *c, struct th_slice from, struct th_slice to)
{
	c->range.open = !to.data;
	th_key_set(&c->range.from, from);
	if (to.data)
		th_key_set(&c->range.to, to);
	stand_at(c, &c->range.from);
	c->expected = 0;
	c->limit = TH_BATCH_LAST;
}

void th_cursor_close(struct th_cursor *c)
{
	if (!c)
		return;
	if (c->own)
		th_window_release(c->own);
	free(c->own);
	free(c->ahead);
	free(c->item);
	free(c->arena);
	free(c->large);
	free(c);
}
