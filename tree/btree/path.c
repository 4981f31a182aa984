/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/btree/path.h"

#include <errno.h>

void th_path_release(struct th_path *path)
{
	for (unsigned i = 0; i < path->depth; i++)
		th_node_unref(path->node[i]);
	path->depth = 0;
}

/* The child to descend to: see th_path_descend. */
static unsigned child_for(const struct th_node *node, struct th_slice key, bool before)
{
	unsigned i;

	if (!before)
		return th_node_child(node, key);
	i = key.data ? th_slab_lower(node, &node->base, key) : node->base.count;
	return i > 0 ? i - 1 : 0;
}

/* Sets the fences of the node that a descent has reached, or could not reach: child lo_i of `lo` begins at the lower
 * one, child hi_i of `hi` at the upper one.  NULL: there is none. */
static void set_fences(struct th_path *path, const struct th_node *lo, unsigned lo_i, const struct th_node *hi,
		       unsigned hi_i)
{
	path->lo.size = 0;
	if (lo)
		th_node_key(lo, th_slab_entry(&lo->base, lo_i), &path->lo);
	path->open = !hi;
	if (hi)
		th_node_key(hi, th_slab_entry(&hi->base, hi_i), &path->hi);
}

int th_path_descend(struct th_cache *cache, struct th_node *root, struct th_slice key, bool before,
		    struct th_path *path, struct th_need *need)
{
	struct th_node *node = th_node_ref(root);
	const struct th_node *lo = NULL, *hi = NULL; /* children lo_i and hi_i of these begin at the fences */
	unsigned lo_i = 0, hi_i = 0;
	int err;

	path->depth = 0;
	for (;;) {
		unsigned i;

		path->node[path->depth++] = node;
		th_slab_prefetch(&node->base);
		if (node->level == 0)
			break;
		th_slab_prefetch(&node->overlay); /* searched when the path is complete */
		i = child_for(node, key, before);
		path->child[path->depth - 1] = i;
		if (i > 0) {
			lo = node;
			lo_i = i;
		}
		if (i + 1 < node->base.count) {
			hi = node;
			hi_i = i + 1;
		}
		err = path->depth < TH_HEIGHT_MAX ? th_tree_child(cache, node, i, &node, need) : -EUCLEAN;
		if (err) {
			set_fences(path, lo, lo_i, hi, hi_i);
			th_path_release(path);
			return err;
		}
	}
	set_fences(path, lo, lo_i, hi, hi_i);
	return 0;
}
