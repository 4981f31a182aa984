/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/need.h"

#include <errno.h>

void th_need_init(struct th_need *need)
{
	need->loads = 0;
	need->relieve = need->push = need->optional = need->skip_optional = false;
	need->ptr.addr = need->doubted.addr = 0;
}

int th_need_load(struct th_need *need, struct th_cache *cache)
{
	bool again = need->doubted.addr == need->ptr.addr && need->doubted.birth == need->ptr.birth;
	struct th_slice fence = th_key_slice(&need->fence);
	unsigned slot = need->loads % TH_NEED_HELD;
	struct th_node *node;
	int err = again ? th_cache_load(cache, &need->ptr, fence, &node)
			: th_cache_load_quietly(cache, &need->ptr, fence, &node);

	if (!again && (err == -EBADMSG || err == -EUCLEAN)) {
		need->doubted = need->ptr;
		return 0;
	}
	if (err && err != -ENOMEM && need->optional) {
		need->optional = false;
		need->skip_optional = true;
		return 0;
	}
	need->optional = false;
	if (err)
		return err;
	if (need->loads >= TH_NEED_HELD)
		th_node_unref(need->held[slot]);
	need->held[slot] = node;
	need->loads++;
	return 0;
}

void th_need_release(struct th_need *need)
{
	for (unsigned i = 0; i < need->loads && i < TH_NEED_HELD; i++)
		th_node_unref(need->held[i]);
	need->loads = 0;
}

/* Returns a node that was loaded for this walk, with a reference, though the cache may have evicted it; or NULL. */
static struct th_node *find_held(const struct th_need *need)
{
	for (unsigned i = 0; i < need->loads && i < TH_NEED_HELD; i++) {
		struct th_node *node = need->held[i];

		if (node->ptr.addr == need->ptr.addr && node->ptr.birth == need->ptr.birth)
			return th_node_ref(node);
	}
	return NULL;
}

int th_tree_child(struct th_cache *cache, struct th_node *node, unsigned i, struct th_node **ret, struct th_need *need)
{
	int err;

	if (node->children && node->children[i]) {
		*ret = th_node_ref(node->children[i]);
		return 0;
	}
	err = th_node_child_ptr(node, i, &need->ptr);
	if (err)
		return err;
	*ret = th_cache_get(cache, &need->ptr);
	if (!*ret)
		*ret = find_held(need);
	if (*ret)
		return 0;
	th_node_key(node, th_slab_entry(&node->base, i), &need->fence);
	return -EAGAIN;
}
