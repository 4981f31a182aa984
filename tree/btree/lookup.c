/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/node/message.h"

/* Makes *value the value of an entry, and keeps its bytes alive. */
static void value_hold(struct th_value *value, const struct th_node *node, const struct th_entry *e)
{
	struct th_slice bytes = th_entry_value(e);

	value->data = bytes.data;
	value->size = (uint32_t)bytes.size;
	if (e->flags & TH_ENTRY_HEAP)
		value->owner = (void *)(uintptr_t)th_entry_ref(e);
	else
		value->owner = (void *)((uintptr_t)th_page_ref(node->page) | TH_OWNER_PAGE);
}

/* Adds an entry for the key. */
static void lookup_add(struct th_lookup *lookup, const struct th_node *node, const struct th_entry *e)
{
	if (th_message_fold(e, &lookup->entry, &lookup->refs))
		lookup->done = true;
	if (lookup->entry == e)
		value_hold(&lookup->value, node, e);
}

void th_lookup_node(struct th_lookup *lookup, const struct th_node *node, struct th_slice key)
{
	const struct th_slab *slab = node->level > 0 ? &node->overlay : &node->base;
	bool exact;
	unsigned i;

	if (lookup->visit)
		lookup->visit(lookup->visit_arg, node);
	if (slab->count > 0) {
		i = th_slab_find(node, slab, key, &exact);
		if (exact && !th_message_is_range(th_slab_entry(slab, i))) {
			lookup_add(lookup, node, th_slab_entry(slab, i));
		} else if (node->ranges && (exact || i > 0)) {
			lookup->done |= th_message_covers(th_slab_entry(slab, exact ? i : i - 1), key);
		}
	}
	if (node->level == 0)
		lookup->done = true;
}

void th_lookup_begin(struct th_lookup *lookup, const struct th_node *root, struct th_slice key, struct th_step *next)
{
	const struct th_node *node = root;

	next->node = NULL;
	next->ptr.addr = 0;
	next->error = 0;
	while (!th_node_is_persistent(node)) {
		unsigned i;

		th_lookup_node(lookup, node, key);
		if (lookup->done)
			return;
		i = th_node_child(node, key);
		if (!node->children || !node->children[i]) {
			next->error = th_node_child_ptr(node, i, &next->ptr);
			th_node_key(node, th_slab_entry(&node->base, i), &next->fence);
			return;
		}
		node = node->children[i];
	}
	next->node = th_node_ref((struct th_node *)(uintptr_t)node);
}

/* Nodes are rarely in the processor's cache: the child is prefetched while this node is searched. */
int th_lookup_step(struct th_lookup *lookup, const struct th_node *node, struct th_cache *cache, struct th_slice key,
		   struct th_step *step, struct th_node **ret)
{
	unsigned i = 0;
	int err = 0;

	*ret = NULL;
	th_slab_prefetch(&node->base);
	if (node->level > 0) {
		th_slab_prefetch(&node->overlay);
		i = th_node_child(node, key);
		err = th_node_child_ptr(node, i, &step->ptr);
		if (!err)
			th_cache_prefetch_slot(cache, &step->ptr);
	}
	th_lookup_node(lookup, node, key);
	if (lookup->done)
		return 0;
	if (err) {
		step->ptr.addr = 0;
		return err;
	}
	*ret = th_cache_get(cache, &step->ptr);
	if (!*ret)
		th_node_key(node, th_slab_entry(&node->base, i), &step->fence);
	return 0;
}

static int step_load(struct th_step *step, struct th_cache *cache, struct th_node **ret)
{
	return th_cache_load_quietly(cache, &step->ptr, th_key_slice(&step->fence), ret);
}

int th_lookup_finish(struct th_lookup *lookup, struct th_cache *cache, struct th_slice key, struct th_step *next)
{
	struct th_node *node = next->node, *child;
	int err = next->error;

	if (!err && !lookup->done && !node)
		err = step_load(next, cache, &node);
	while (!err && !lookup->done) {
		err = th_lookup_step(lookup, node, cache, key, next, &child);
		if (!err && !lookup->done && !child)
			err = step_load(next, cache, &child);
		if (err || lookup->done)
			break;
		th_node_unref(node);
		node = child;
	}
	th_node_unref(node);
	return err;
}

int th_step_failed(struct th_step *step, struct th_cache *cache, int error)
{
	struct th_node *node;
	int err;

	if (!step->ptr.addr || error == -ENOMEM)
		return error;
	err = th_cache_load(cache, &step->ptr, th_key_slice(&step->fence), &node);
	if (err)
		return err;
	th_node_unref(node);
	return -EAGAIN;
}

void th_lookup_release(struct th_lookup *lookup)
{
	th_value_release(&lookup->value);
	*lookup = (struct th_lookup){ 0 };
}

void th_value_release(struct th_value *value)
{
	uintptr_t owner = (uintptr_t)value->owner;

	if (!owner)
		return;
	if ((owner & 3) == TH_OWNER_PAGE)
		th_page_unref((struct th_page *)(owner & ~(uintptr_t)3));
	else if ((owner & 3) == TH_OWNER_MEMORY)
		free((void *)(owner & ~(uintptr_t)3));
	else
		th_entry_unref((const struct th_entry *)owner);
	*value = (struct th_value){ 0 };
}

int th_tree_get(struct th_tree *tree, struct th_slice key, struct th_value *ret)
{
	struct th_lookup lookup = { 0 };
	struct th_step next;
	int err;

	do {
		th_lookup_release(&lookup);
		pthread_rwlock_rdlock(&tree->lock);
		th_lookup_begin(&lookup, tree->root, key, &next);
		pthread_rwlock_unlock(&tree->lock);
		err = th_lookup_finish(&lookup, tree->cache, key, &next);
		if (err)
			err = th_step_failed(&next, tree->cache, err);
	} while (err == -EAGAIN);
	if (!err && !lookup.entry)
		err = -ENOENT;
	if (err) {
		th_lookup_release(&lookup);
		return err;
	}
	*ret = lookup.value;
	ret->refs = lookup.refs;
	return 0;
}
