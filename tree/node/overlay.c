/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/overlay.h"

#include <errno.h>

const struct th_entry *th_overlay_covering(const struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned i = th_slab_find(node, &node->overlay, key, &exact);
	const struct th_entry *e;

	if (!exact && i == 0)
		return NULL;
	e = th_slab_entry(&node->overlay, exact ? i : i - 1);
	return th_message_covers(e, key) ? e : NULL;
}

const struct th_entry *th_overlay_deciding(const struct th_node *node, struct th_slice key)
{
	const struct th_entry *e;
	bool exact;
	unsigned at = th_slab_find(node, &node->overlay, key, &exact);

	if (!exact)
		return th_overlay_covering(node, key);
	e = th_slab_entry(&node->overlay, at);
	return th_message_hides_value(e) ? e : NULL;
}

bool th_overlay_hides(const struct th_node *node, struct th_slice key)
{
	return th_overlay_deciding(node, key) != NULL;
}

/* Inserts a range message before slot i, unless it is empty. */
static int insert_range(struct th_node *node, unsigned i, struct th_slice from, struct th_slice to, uint64_t seq)
{
	struct th_entry *e;
	int err;

	if (th_slice_compare(from, to) >= 0)
		return 0;
	e = th_message_delete_range(from, to, seq);
	if (!e)
		return -ENOMEM;
	err = th_slab_insert(node, &node->overlay, i, e);
	if (err)
		th_entry_unref(e);
	return err;
}

/*
 *      a-----------b     ->     a---key  rest--b
 */
int th_overlay_cut_range(struct th_node *node, unsigned i, struct th_slice key, struct th_slice rest)
{
	const struct th_entry *old = th_entry_ref(th_slab_entry(&node->overlay, i));
	uint64_t seq = th_entry_seq(old);
	struct th_key from, end;
	struct th_page *page = node->page ? th_page_ref(node->page) : NULL;
	int err;

	th_node_key(node, old, &from);
	th_key_set(&end, th_entry_value(old));
	th_slab_remove(node, &node->overlay, i, i + 1, true);
	err = insert_range(node, i, rest, th_key_slice(&end), seq);
	if (!err)
		err = insert_range(node, i, th_key_slice(&from), key, seq);
	th_entry_unref(old);
	th_page_unref(page);
	return err;
}

int th_overlay_cut(struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned i = th_slab_find(node, &node->overlay, key, &exact);

	if (exact || i == 0 || !th_message_covers(th_slab_entry(&node->overlay, i - 1), key))
		return 0;
	return th_overlay_cut_range(node, i - 1, key, key);
}
