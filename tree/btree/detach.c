/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/detach.h"

#include "tree/node/scatter.h"
#include <errno.h>
#include <stdlib.h>

#include "tree/node/message.h"

static struct th_slice fence_prefix(struct th_slice lo, struct th_slice hi)
{
	return (struct th_slice){ lo.data, hi.data ? th_slice_common(lo, hi) : 0 };
}

/* Makes an empty leaf below as many one-child nodes as the level requires. */
static struct th_node *empty_subtree(unsigned level, struct th_slice lo, struct th_slice hi, uint64_t gen, uint64_t seq)
{
	struct th_node *node = th_node_new(0, fence_prefix(lo, hi), gen), *above;

	for (unsigned i = 1; node && i <= level; i++) {
		above = th_node_new(i, fence_prefix(lo, hi), gen);
		if (!above || th_node_insert_child(above, 0, lo, node) < 0) {
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

/* Adds child i to the tree's list. */
static int detach(struct th_tree *tree, struct th_node *node, unsigned i)
{
	struct th_detached *detached = calloc(1, sizeof(*detached));
	int err = 0;

	if (!detached)
		return -ENOMEM;
	if (node->children && node->children[i])
		detached->node = th_node_ref(node->children[i]);
	else
		err = th_node_child_ptr(node, i, &detached->ptr);
	if (err) {
		free(detached);
		return err;
	}
	th_node_key(node, th_slab_entry(&node->base, i), &detached->fence);
	detached->next = tree->detached;
	tree->detached = detached;
	return 0;
}

int th_detached_replace(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
			struct th_slice hi, uint64_t seq)
{
	struct th_node *empty = empty_subtree(node->level - 1u, lo, hi, tree->gen, seq);
	int err = empty ? 0 : -ENOMEM;

	for (unsigned i = from; i < to && !err; i++)
		err = detach(tree, node, i);
	if (!err)
		err = th_node_set_child(node, from, empty);
	if (err) {
		th_node_unref(empty);
		return err;
	}
	th_slab_remove(node, &node->base, from + 1, to, true);
	return 0;
}

void th_detached_free(struct th_detached *list)
{
	while (list) {
		struct th_detached *next = list->next;

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
	return th_node_each_run(th_cache_disk(w->cache), ptr, w->dead, w->arg);
}

static int drop_values(struct walk *w, const struct th_slab *slab)
{
	int err = 0;

	for (unsigned i = 0; i < slab->count && !err; i++)
		if (th_entry_is_large(th_slab_entry(slab, i)))
			err = th_large_value_drop(th_entry_value(th_slab_entry(slab, i)), w->values);
	return err;
}

static int walk_node(struct walk *w, struct th_node *node);

/* A leaf without large values is not read.  If a node cannot be read, which the cache reports, the nodes and values
 * below it stay allocated. */
static int walk_ptr(struct walk *w, const struct th_ptr *ptr, struct th_slice fence)
{
	struct th_node *node;
	int err;

	if (ptr->level == 0 && !ptr->chunks)
		return report_ptr(w, ptr);
	err = th_cache_load_retrying(w->cache, ptr, fence, &node);
	if (err == -EIO || err == -EBADMSG || err == -EUCLEAN)
		return report_ptr(w, ptr);
	if (err)
		return err;
	err = walk_node(w, node);
	th_node_unref(node);
	return err;
}

static int walk_node(struct walk *w, struct th_node *node)
{
	int err = node->ptr.addr ? report_ptr(w, &node->ptr) : 0;

	if (!err && node->chunks)
		err = drop_values(w, node->level > 0 ? &node->overlay : &node->base);
	for (unsigned i = 0; node->level > 0 && i < node->base.count && !err; i++) {
		struct th_key fence;
		struct th_ptr ptr;

		if (node->children && node->children[i]) {
			err = walk_node(w, node->children[i]);
			continue;
		}
		th_node_key(node, th_slab_entry(&node->base, i), &fence);
		err = th_node_child_ptr(node, i, &ptr);
		if (!err)
			err = walk_ptr(w, &ptr, th_key_slice(&fence));
	}
	return err;
}

int th_detached_walk(struct th_cache *cache, const struct th_detached *detached, struct th_drops *values,
		     int (*dead)(const struct th_run *run, void *arg), void *arg)
{
	struct walk w = { cache, values, dead, arg };

	if (detached->node)
		return walk_node(&w, detached->node);
	return walk_ptr(&w, &detached->ptr, th_key_slice(&detached->fence));
}
