/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: range reads through all pending messages.
 *
 * A cursor works in batches.  A batch has the entries of one leaf's key range: the leaf's records with the messages of
 * the overlays above it, and of a transaction, applied.  It is copied under the tree's lock, so that the cursor holds
 * neither lock nor node between calls.  The position of a cursor is a gap between two entries of the batch.
 */
#include "tree/view/cursor.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/btree/merge_iter.h"
#include "tree/btree/path.h"
#include "tree/io/chunk.h"
#include "tree/layers/window.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

/* Limits of a forward batch, in entries: many cursors read few entries, and copying more would be wasted.  The limit
 * grows by the factor with each batch; a batch ends at the end of its leaf in any case. */
#define TH_BATCH_FIRST 16
#define TH_BATCH_GROWTH 8
#define TH_BATCH_LAST 4096
/* Memory of a batch at first; it grows. */
#define TH_BATCH_ITEMS 128
#define TH_BATCH_BYTES 16384

/* Readahead begins after this number of leaves in one direction, so that short reads cause none.  The window is then 4
 * leaves and doubles up to the maximum.  Too large a window reads leaves that may not be needed. */
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

enum failure {
	FAILED_NOT, /* or for want of memory, or of a node that a non-blocking read may not wait for */
	FAILED_NODE, /* a node could not be read */
	FAILED_VALUE, /* the large value of the entry before the position could not be read */
};

struct th_cursor {
	struct th_view *view;
	const struct th_layers *layers; /* of a transaction, or NULL */
	struct th_window *own; /* on the layers, if they are more than one memtable; NULL: not needed yet */
	const struct th_memtable *memtable; /* the transaction's messages in the range of the next batch; NULL: none */
	struct th_span range;
	/* The batch has all entries of [lo, hi); hi_open: no upper bound. */
	struct th_key lo, hi;
	bool hi_open;
	bool at_open_end; /* it is after all keys, and has no batch yet */
	struct item *item;
	size_t count, capacity, at;
	uint8_t *arena;
	size_t arena_size, arena_capacity;
	size_t limit; /* entries in the next forward batch, when more than `expected` are read */
	size_t read; /* entries read since the last seek */
	size_t expected; /* entries read between the two last seeks: as many are expected now */
	enum failure failure; /* of the last call; th_cursor_skip() skips it */
	struct th_key hole_lo,
		hole_hi; /* FAILED_NODE: hole_hi is the upper fence of the node; both: the hole skipped */
	bool hole_open; /* FAILED_NODE: the node has no upper fence */
	void *large; /* value of the entry last returned, if it is off-tree */
	th_node_visit *visit;
	void *visit_arg;
	/* readahead */
	struct th_key leaf; /* lower fence of the leaf of the last batch */
	unsigned leaves; /* visited one after the other in one direction */
	unsigned window, asked; /* leaves to be read ahead, and leaves ahead that were requested already */
	bool backward;
	struct ahead_leaf *ahead; /* TH_READAHEAD_MAX; NULL: not needed yet */
};

/* --- batches --- */

static uint8_t *arena_take(struct th_cursor *c, size_t size, uint32_t *ret_offset)
{
	size_t need = c->arena_size + size;

	/* th_grow() is kept out of the common path, which is taken for each record of a scan */
	if ((!c->arena || need > c->arena_capacity) &&
	    th_grow(c->arena, c->arena_capacity, need < TH_BATCH_BYTES ? TH_BATCH_BYTES : need))
		return NULL;
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

	if (c->count == c->capacity &&
	    th_grow(c->item, c->capacity, c->count < TH_BATCH_ITEMS ? TH_BATCH_ITEMS : c->count + 1))
		return -ENOMEM;
	item = &c->item[c->count];
	bytes = arena_take(c, key_size + value.size, &item->key);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, m->prefix.data, m->prefix.size);
	/* in an entry the value follows the key */
	memcpy(bytes + m->prefix.size, (const uint8_t *)value.data - found->suffix.size,
	       found->suffix.size + value.size);
	item->value = item->key + (uint32_t)key_size;
	item->key_size = (uint16_t)key_size;
	item->value_size = (uint16_t)value.size;
	item->refs = found->refs;
	item->chunk = th_entry_is_large(found->value);
	c->count++;
	return 0;
}

/* Returns the messages of a transaction (NULL: none) from a key on. */
static struct th_overlay_row staged_from(const struct th_memtable *memtable, struct th_slice from)
{
	size_t block;

	if (!memtable || !th_memtable_block(memtable, from, &block))
		return (struct th_overlay_row){ NULL, 0 };
	return (struct th_overlay_row){ memtable->block + block, memtable->count - block };
}

/* Fills the batch with the entries of [from, *to) in the path's leaf.  After `limit` entries it stops, and sets *to to
 * the key after the last one. */
static int batch_merge(struct th_cursor *c, const struct th_path *path, struct th_slice from, struct th_key *to,
		       bool *open, size_t limit)
{
	struct th_merge_iter m;
	struct th_merged found;

	c->count = 0;
	c->arena_size = 0;
	th_merge_iter_init(&m, path, staged_from(c->memtable, from), from,
			   *open ? (struct th_slice){ NULL, 0 } : th_key_slice(to));
	while (th_merge_iter_next(&m, &found)) {
		int err;

		if (!found.value)
			continue;
		err = batch_add(c, &m, &found);
		if (err)
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

/* Descends to a leaf, loading missing nodes without the lock.  Returns 0 with the view's lock held and *path to be
 * ended by ascend(), or the error of reading a node, without lock. */
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
		if (!err)
			break;
		th_view_unlock(view);
		if (err == -EAGAIN)
			err = th_need_load(&need, view->store->cache);
		if (err)
			break;
	}
	th_need_release(&need);
	if (!err && c->visit)
		for (unsigned i = 0; i < path->depth; i++)
			c->visit(c->visit_arg, path->node[i]);
	return err;
}

static void ascend(struct th_cursor *c, struct th_path *path)
{
	th_path_release(path);
	th_view_unlock(c->view);
}

/* --- readahead --- */

/* A walk over the leaves ahead of a path, with the view's lock held. */
struct ahead_walk {
	struct th_cursor *c;
	unsigned skip, want, found; /* leaves: requested already, to be looked at, to be read */
};

/* Is a leaf that begins at the fence (backward: that ends there) beyond the range? */
static bool ahead_beyond(const struct th_cursor *c, const struct th_key *fence)
{
	if (c->backward)
		return th_slice_compare(th_key_slice(fence), th_key_slice(&c->range.from)) <= 0;
	return !c->range.open && th_slice_compare(th_key_slice(fence), th_key_slice(&c->range.to)) >= 0;
}

/* Collects the leaves below children of `node`, from child i on in the cursor's direction.  Returns false if the walk
 * is over.  An interior node that is not in memory is collected itself and ends the walk, as its leaves are not known.
 */
static bool ahead_below(struct ahead_walk *w, struct th_node *node, int i)
{
	struct th_cursor *c = w->c;
	int step = c->backward ? -1 : 1;

	for (; i >= 0 && i < node->base.count; i += step) {
		struct ahead_leaf *leaf = &c->ahead[w->found];
		struct th_node *child = node->children ? node->children[i] : NULL;
		bool enough;

		/* backward, a child ends where the child after it begins */
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

/* Collects the leaves in the window that were not requested yet.  Returns their number. */
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

/* Does the batch have all entries that are still expected to be read? */
static bool ends_here(const struct th_cursor *c)
{
	return !c->backward && c->read < c->expected && c->read + c->count >= c->expected;
}

/* Notes that the cursor is in the path's leaf, and collects leaves to be read ahead.  Returns their number; the caller
 * passes it to ahead_read() after it has dropped the lock. */
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

/* Begins to read the leaves that were collected.  The lock is not held. */
static void ahead_read(struct th_cursor *c, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		th_cache_prefetch(c->view->store->cache, &c->ahead[i].ptr, th_key_slice(&c->ahead[i].fence));
}

/* --- a transaction's own messages --- */

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

/* Finds the transaction's messages for keys from `key` on, or with `before` for keys before it (data NULL: before the
 * end).  *ret: the window that bounds the range of these messages; NULL: they are all. */
static int look_through(struct th_cursor *c, struct th_slice key, bool before, const struct th_window **ret)
{
	int err;

	*ret = NULL;
	c->memtable = c->layers ? th_layers_memtable(c->layers) : NULL;
	if (!c->layers || c->layers->count == 0 || c->memtable)
		return 0;
	err = make_window(c);
	if (!err)
		err = before ? th_window_backward(c->own, key) : th_window_forward(c->own, key);
	if (err)
		return err;
	c->memtable = &c->own->memtable;
	*ret = c->own;
	return 0;
}

/* --- the next batch --- */

static bool at_range_end(const struct th_cursor *c)
{
	if (c->hi_open)
		return true;
	return !c->range.open && th_slice_compare(th_key_slice(&c->hi), th_key_slice(&c->range.to)) >= 0;
}

/* Ends the batch at the key, if it does not end before. */
static void end_at(struct th_cursor *c, const struct th_key *key)
{
	if (!c->hi_open && th_slice_compare(th_key_slice(&c->hi), th_key_slice(key)) <= 0)
		return;
	th_key_copy(&c->hi, key);
	c->hi_open = false;
}

/* Begins the batch at the key, if it does not begin after. */
static void begin_at(struct th_cursor *c, const struct th_key *key)
{
	if (th_slice_compare(th_key_slice(&c->lo), th_key_slice(key)) < 0)
		th_key_copy(&c->lo, key);
}

/* Returns the limit of the next batch: all entries that are still expected, or else the growing limit. */
static size_t next_limit(struct th_cursor *c)
{
	size_t limit = c->limit;

	if (c->read + limit < c->expected)
		return c->expected - c->read;
	if (c->read >= c->expected && limit < TH_BATCH_LAST)
		c->limit *= TH_BATCH_GROWTH;
	return limit;
}

static bool is_damage(int err)
{
	return err == -EBADMSG || err == -EUCLEAN || err == -EIO;
}

/* Notes the node that a descent could not read. */
static void note_failure(struct th_cursor *c, int err, const struct th_path *path)
{
	if (!is_damage(err))
		return;
	c->failure = FAILED_NODE;
	c->hole_open = path->open;
	if (!path->open)
		th_key_copy(&c->hole_hi, &path->hi);
}

static int fill_forward(struct th_cursor *c)
{
	struct th_path path;
	unsigned ahead;
	const struct th_window *own;
	int err;

	th_key_copy(&c->lo, &c->hi);
	err = look_through(c, th_key_slice(&c->lo), false, &own);
	if (err)
		return err;
	err = descend(c, th_key_slice(&c->lo), false, &path);
	if (err) {
		note_failure(c, err, &path);
		return err;
	}
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
	if (!err)
		err = descend(c, before, true, &path);
	if (err)
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

/* Returns an entry of the batch, and reads its value if that is off-tree. */
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
	if (is_damage(err))
		c->failure = FAILED_VALUE;
	if (!err)
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
	if (err) {
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

/* Begins to read leaves from the beginning of the range on.  Returns 0, or 1 if an interior node was missing and has
 * been loaded, so that the next call finds more leaves; or the error of reading the first leaf. */
static int prefetch_some(struct th_cursor *c)
{
	struct th_path path;
	struct th_node *node;
	unsigned count;
	int err = descend(c, th_key_slice(&c->range.from), false, &path);

	if (err)
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
	if (err)
		return 0; /* a reader of the node will report it */
	th_node_unref(node);
	return 1;
}

int th_prefetch(struct th_view *view, const struct th_range *range)
{
	struct th_cursor *c;
	int more = 1, err = th_cursor_new(view, NULL, range, &c);

	if (err)
		return err;
	for (unsigned i = 0; i < TH_HEIGHT_MAX && more == 1; i++)
		more = prefetch_some(c);
	th_cursor_close(c);
	return more < 0 ? more : 0;
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
	c->failure = FAILED_NOT;
	while (c->at == c->count) {
		int err;

		if (at_range_end(c))
			return 1;
		err = fill_forward(c);
		if (err)
			return err;
	}
	c->read++;
	return emit(c, &c->item[c->at++], ret);
}

/* Moves after the node that could not be read.  Returns 0, or -EUCLEAN if a manipulated image has a fence there that
 * lies before the position. */
static int skip_node(struct th_cursor *c)
{
	if (!c->hole_open && th_slice_compare(th_key_slice(&c->hole_hi), th_key_slice(&c->hi)) <= 0)
		return -EUCLEAN;
	th_key_copy(&c->hole_lo, &c->hi);
	c->hi_open = c->hole_open;
	if (!c->hole_open)
		th_key_copy(&c->hi, &c->hole_hi);
	if (!c->range.open)
		end_at(c, &c->range.to);
	th_key_copy(&c->lo, &c->hi);
	c->count = c->at = 0;
	c->leaves = c->window = c->asked = 0;
	return 0;
}

/* The cursor is after the value already. */
static void skip_value(struct th_cursor *c)
{
	const struct item *item = &c->item[c->at - 1];

	th_key_set(&c->hole_lo, (struct th_slice){ c->arena + item->key, item->key_size });
	th_key_copy(&c->hole_hi, &c->hole_lo);
	th_key_successor(&c->hole_hi);
}

int th_cursor_skip(struct th_cursor *c, struct th_range *ret)
{
	bool to_end = false;
	int err;

	if (c->failure == FAILED_NOT)
		return -EINVAL;
	if (c->failure == FAILED_NODE) {
		err = skip_node(c);
		if (err)
			return err;
		to_end = at_range_end(c);
		th_key_copy(&c->hole_hi, &c->hi);
	} else {
		skip_value(c);
	}
	c->failure = FAILED_NOT;
	ret->from = th_view_strip(c->view, th_key_slice(&c->hole_lo));
	ret->to = to_end ? (struct th_slice){ NULL, 0 } : th_view_strip(c->view, th_key_slice(&c->hole_hi));
	return 0;
}

int th_cursor_prev(struct th_cursor *c, struct th_cursor_entry *ret)
{
	while (c->at == 0) {
		int err;

		if (!c->at_open_end && th_slice_compare(th_key_slice(&c->lo), th_key_slice(&c->range.from)) <= 0)
			return 1;
		err = fill_backward(c);
		if (err)
			return err;
	}
	return emit(c, &c->item[--c->at], ret);
}

/* Moves the cursor to a key, with an empty batch there. */
static void move_to(struct th_cursor *c, const struct th_key *key)
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

	if (err)
		return err;
	if (th_slice_compare(th_key_slice(&at), th_key_slice(&c->range.from)) < 0)
		at = c->range.from;
	else if (!c->range.open && th_slice_compare(th_key_slice(&at), th_key_slice(&c->range.to)) > 0)
		at = c->range.to;
	move_to(c, &at);
	return 0;
}

void th_cursor_seek_end(struct th_cursor *c)
{
	static const struct th_key none;

	move_to(c, c->range.open ? &none : &c->range.to);
	c->hi_open = c->at_open_end = c->range.open;
}

void th_cursor_set_range(struct th_cursor *c, struct th_slice from, struct th_slice to)
{
	c->range.open = !to.data;
	th_key_set(&c->range.from, from);
	if (to.data)
		th_key_set(&c->range.to, to);
	move_to(c, &c->range.from);
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
