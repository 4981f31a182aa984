/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subtrees that a range delete covers whole.
 *
 * They are cut off at once, unread, and replaced by an empty leaf; what they held is given up when the next commit
 * walks them, outside every lock.  Leaves are not read unless a value in them is off-tree.
 */
#include <errno.h>
#include <stdlib.h>

#include "tree/btree/tree.h"
#include "tree/io/chunk.h"

static struct th_slice fence_prefix(struct th_slice lo, struct th_slice hi)
{
	return (struct th_slice){ lo.data, hi.data ? th_slice_common(lo, hi) : 0 };
}

/* An empty leaf with as many one-child nodes above it as the level asks for. */
static struct th_node *empty_subtree(unsigned level, struct th_slice lo, struct th_slice hi, uint64_t gen, uint64_t seq)
{
	struct th_node *node = th_node_new(0, fence_prefix(lo, hi), gen), *above;

	for (unsigned i = 1; node && i <= level; i++) {
		above = th_node_new(i, fence_prefix(lo, hi), gen);
		if (!above || th_node_insert_kid(above, 0, lo, node) < 0) {
			th_node_unref(above);
			th_node_unref(node);
			return NULL;
		}
		node->seq = seq;
		node = above;
	}
	if (node)
		node->seq = seq;
	return node;
}

static int doom(struct th_tree *tree, struct th_node *node, unsigned i)
{
	struct th_doomed *doomed = calloc(1, sizeof(*doomed));
	int r = 0;

	if (!doomed)
		return -ENOMEM;
	if (node->kids && node->kids[i])
		doomed->node = th_node_ref(node->kids[i]);
	else
		r = th_node_child_ptr(node, i, &doomed->ptr);
	if (r < 0) {
		free(doomed);
		return r;
	}
	th_node_key(node, th_slab_entry(&node->base, i), &doomed->fence);
	doomed->next = tree->doomed;
	tree->doomed = doomed;
	return 0;
}

int th_doomed_replace(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
		      struct th_slice hi, uint64_t seq)
{
	struct th_node *empty = empty_subtree(node->level - 1u, lo, hi, tree->gen, seq);
	int r = empty ? 0 : -ENOMEM;

	for (unsigned i = from; i < to && r == 0; i++)
		r = doom(tree, node, i);
	if (r == 0)
		r = th_node_set_kid(node, from, empty);
	if (r < 0) {
		th_node_unref(empty);
		return r;
	}
	th_slab_remove(node, &node->base, from + 1, to, true);
	return 0;
}

void th_doomed_free(struct th_doomed *list)
{
	while (list) {
		struct th_doomed *next = list->next;

		th_node_unref(list->node);
		free(list);
		list = next;
	}
}

struct walk {
	struct th_cache *cache;
	struct th_drops *values;
	int (*dead)(const struct th_run *run, void *arg);
	void *arg;
};

static int report_ptr(struct walk *w, const struct th_ptr *ptr)
{
	struct th_run run = { ptr->addr, ptr->birth, ptr->blocks };

	return w->dead(&run, w->arg);
}

static int drop_values(struct walk *w, const struct th_slab *slab)
{
	int r = 0;

	for (unsigned i = 0; i < slab->count && r == 0; i++)
		if (th_slab_entry(slab, i)->flags & TH_ENTRY_CHUNK)
			r = th_chunk_value_drop(th_entry_value(th_slab_entry(slab, i)), w->values);
	return r;
}

static int walk_node(struct walk *w, struct th_node *node);

/* A leaf without large values need not be read to be given up.  Of a node that cannot be read, which the cache tells
 * of, what it has below or names is lost. */
static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice fence)
{
	struct th_node *node;
	int r;

	if (ptr->level == 0 && !ptr->chunks)
		return report_ptr(w, ptr);
	r = th_cache_load_or_lose(w->cache, ptr, fence, &node);
	if (r == -EIO || r == -EBADMSG || r == -EUCLEAN)
		return report_ptr(w, ptr);
	if (r < 0)
		return r;
	r = walk_node(w, node);
	th_node_unref(node);
	return r;
}

static int walk_node(struct walk *w, struct th_node *node)
{
	int r = node->ptr.addr ? report_ptr(w, &node->ptr) : 0;

	if (r == 0 && node->chunks)
		r = drop_values(w, node->level > 0 ? &node->overlay : &node->base);
	for (unsigned i = 0; node->level > 0 && i < node->base.count && r == 0; i++) {
		struct th_key fence;
		struct th_ptr ptr;

		if (node->kids && node->kids[i]) {
			r = walk_node(w, node->kids[i]);
			continue;
		}
		th_node_key(node, th_slab_entry(&node->base, i), &fence);
		r = th_node_child_ptr(node, i, &ptr);
		if (r == 0)
			r = walk_ptr(w, &ptr, th_key_slice(&fence));
	}
	return r;
}

int th_doomed_walk(struct th_cache *cache, const struct th_doomed *doomed, struct th_drops *values,
		   int (*dead)(const struct th_run *run, void *arg), void *arg)
{
	struct walk w = { cache, values, dead, arg };

	if (doomed->node)
		return walk_node(&w, doomed->node);
	return walk_ptr(&w, &doomed->ptr, th_key_slice(&doomed->fence));
}
