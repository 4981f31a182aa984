/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/overlay.h"

#include <errno.h>

/* The entry's value is forgotten: so are the runs behind it. */
static int drop_value(const struct th_entry *e, struct th_drops *drops)
{
	return e->flags & TH_ENTRY_CHUNK ? th_large_value_drop(th_entry_value(e), drops) : 0;
}

/* A heap entry with these flags, key of `like`, value of `value`. */
static struct th_entry *entry_like(const struct th_node *node, const struct th_entry *like,
				   const struct th_entry *value, unsigned flags, int32_t refs)
{
	struct th_slice head = { node->prefix, th_node_strip(node, like) };
	struct th_slice tail = { th_entry_key(like), th_entry_key_size(like) };
	struct th_entry *e = th_entry_new(flags, head, tail, value ? th_entry_value(value) : TH_SLICE_EMPTY);

	if (e)
		th_entry_set_refs(e, refs);
	return e;
}

/*
 * The newer message on the older one (a message, or a record if `record`).  Takes the newer one's reference over and
 * returns one, or NULL without memory.
 */
static const struct th_entry *compose(const struct th_node *node, const struct th_entry *older,
				      const struct th_entry *newer, bool record, struct th_drops *drops)
{
	unsigned flags = newer->flags & (TH_ENTRY_RESET | TH_ENTRY_VALUE | TH_ENTRY_CHUNK);
	const struct th_entry *value = newer->flags & TH_ENTRY_VALUE ? newer : NULL;
	int32_t refs = th_entry_refs(newer);
	struct th_entry *result;

	if (newer->flags & TH_ENTRY_RESET) {
		if (drop_value(older, drops) < 0)
			goto fail;
		return newer;
	}
	refs = th_refs_add(refs, th_entry_refs(older));
	if (!record)
		flags |= older->flags & TH_ENTRY_RESET;
	if (value) {
		if (drop_value(older, drops) < 0)
			goto fail;
		if (refs == th_entry_refs(newer) && !(flags & TH_ENTRY_RESET))
			return newer;
	} else if (older->flags & TH_ENTRY_VALUE) {
		value = older;
		flags |= older->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK);
	}
	result = entry_like(node, newer, value, flags, refs);
	if (result)
		th_entry_set_seq(result, th_entry_seq(newer));
	th_entry_unref(newer);
	return result;
fail:
	th_entry_unref(newer);
	return NULL;
}

struct th_entry *th_range_message(struct th_slice from, struct th_slice to, uint64_t seq)
{
	struct th_entry *e = th_entry_new(TH_ENTRY_RANGE | TH_ENTRY_RESET, from, TH_SLICE_EMPTY, to);

	if (e)
		th_entry_set_seq(e, seq);
	return e;
}

/* Inserts a range message before slot i; an empty range is left out. */
static int insert_range(struct th_node *node, unsigned i, struct th_slice from, struct th_slice to, uint64_t seq)
{
	struct th_entry *e;
	int err;

	if (th_slice_compare(from, to) >= 0)
		return 0;
	e = th_range_message(from, to, seq);
	if (!e)
		return -ENOMEM;
	err = th_slab_insert(node, &node->overlay, i, e);
	if (err < 0)
		th_entry_unref(e);
	return err;
}

static bool covers(const struct th_entry *e, struct th_slice key)
{
	return (e->flags & TH_ENTRY_RANGE) && th_slice_compare(th_entry_value(e), key) > 0;
}

const struct th_entry *th_overlay_covering(const struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned i = th_slab_find(node, &node->overlay, key, &exact);
	const struct th_entry *e;

	if (!exact && i == 0)
		return NULL;
	e = th_slab_entry(&node->overlay, exact ? i : i - 1);
	return covers(e, key) ? e : NULL;
}

bool th_overlay_hides(const struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned at = th_slab_find(node, &node->overlay, key, &exact);

	if (exact)
		return th_slab_entry(&node->overlay, at)->flags & (TH_ENTRY_VALUE | TH_ENTRY_RESET | TH_ENTRY_RANGE);
	return th_overlay_covering(node, key) != NULL;
}

/*
 * Range message in slot i, [a, b), becomes [a, key) and [key\0 or key, b):
 *
 *      a-----------b            a---key  key--b
 */
static int cut_range(struct th_node *node, unsigned i, struct th_slice key, struct th_slice rest)
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
	if (err == 0)
		err = insert_range(node, i, th_key_slice(&from), key, seq);
	th_entry_unref(old);
	th_page_unref(page);
	return err;
}

int th_overlay_cut(struct th_node *node, struct th_slice key)
{
	bool exact;
	unsigned i = th_slab_find(node, &node->overlay, key, &exact);

	if (exact || i == 0 || !covers(th_slab_entry(&node->overlay, i - 1), key))
		return 0;
	return cut_range(node, i - 1, key, key);
}

/* A range message [from, to) replaces every message in the range. */
static int insert_range_message(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slab *slab = &node->overlay;
	struct th_slice from = { th_entry_key(message), th_entry_key_size(message) }, to = th_entry_value(message);
	unsigned i, end;
	bool exact;
	int err;

	err = th_overlay_cut(node, from);
	if (err == 0)
		err = th_overlay_cut(node, to);
	if (err < 0)
		goto fail;
	i = th_slab_find(node, slab, from, &exact);
	end = th_slab_lower(node, slab, to);
	for (unsigned j = i; j < end && err == 0; j++)
		err = drop_value(th_slab_entry(slab, j), drops);
	if (err == 0) {
		th_slab_remove(node, slab, i, end, true);
		err = th_slab_insert(node, slab, i, message);
	}
fail:
	if (err < 0)
		th_entry_unref(message);
	return err;
}

/*
 * A point message falls into range message number i: what it finds below is nothing.  Even a delete is kept as a
 * message of its own: what it deletes may have been put above this node, later than the range, and a diff has to find
 * the number.
 */
static int insert_into_range(struct th_node *node, unsigned i, const struct th_entry *message)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_entry *reset = NULL;
	struct th_key after;
	unsigned at;
	bool exact;
	int err = -ENOMEM;

	reset = entry_like(node, message, message->flags & TH_ENTRY_VALUE ? message : NULL,
			   (message->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK)) | TH_ENTRY_RESET,
			   th_entry_refs(message));
	if (!reset)
		goto out;
	th_entry_set_seq(reset, th_entry_seq(message));
	th_key_set(&after, key);
	th_key_successor(&after);
	err = cut_range(node, i, key, th_key_slice(&after));
	if (err < 0)
		goto out;
	at = th_slab_find(node, &node->overlay, key, &exact);
	err = th_slab_insert(node, &node->overlay, at, reset);
	if (err == 0)
		reset = NULL;
out:
	if (reset)
		th_entry_unref(reset);
	th_entry_unref(message);
	return err;
}

int th_overlay_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_slab *slab = &node->overlay;
	const struct th_entry *result;
	bool exact;
	unsigned i;
	int err;

	if (message->flags & TH_ENTRY_RANGE)
		return insert_range_message(node, message, drops);
	i = th_slab_find(node, slab, key, &exact);
	if (exact && !(th_slab_entry(slab, i)->flags & TH_ENTRY_RANGE)) {
		result = compose(node, th_slab_entry(slab, i), message, false, drops);
		if (!result)
			return -ENOMEM;
		th_slab_replace(node, slab, i, result);
		return 0;
	}
	if (exact || (i > 0 && covers(th_slab_entry(slab, i - 1), key)))
		return insert_into_range(node, exact ? i : i - 1, message);
	err = th_slab_insert(node, slab, i, message);
	if (err < 0)
		th_entry_unref(message);
	return err;
}

/* Does a record with this message applied to nothing exist at all? */
static bool exists(const struct th_entry *e)
{
	return (e->flags & TH_ENTRY_VALUE) || th_entry_refs(e) != 0;
}

static int leaf_remove(struct th_node *node, unsigned from, unsigned to, struct th_drops *drops)
{
	int err = 0;

	for (unsigned i = from; i < to && err == 0; i++)
		err = drop_value(th_slab_entry(&node->base, i), drops);
	if (err == 0)
		th_slab_remove(node, &node->base, from, to, true);
	return err;
}

int th_leaf_apply(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slice key = { th_entry_key(message), th_entry_key_size(message) };
	struct th_slab *slab = &node->base;
	bool exact;
	unsigned i = th_slab_find(node, slab, key, &exact);
	int err = 0;

	if (message->flags & TH_ENTRY_RANGE) {
		err = leaf_remove(node, i, th_slab_lower(node, slab, th_entry_value(message)), drops);
		goto out;
	}
	if (exact) {
		const struct th_entry *result = compose(node, th_slab_entry(slab, i), message, true, drops);

		if (!result)
			return -ENOMEM;
		if (exists(result)) {
			th_slab_replace(node, slab, i, result);
		} else {
			th_slab_remove(node, slab, i, i + 1, true);
			th_entry_unref(result);
		}
		return 0;
	}
	if (exists(message)) {
		err = th_slab_insert(node, slab, i, message);
		if (err == 0)
			return 0;
	}
out:
	th_entry_unref(message);
	return err;
}
