/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/node/message_apply.h"

#include <errno.h>

#include "tree/node/large_value.h"
#include "tree/node/overlay.h"

static struct th_slice key_of(const struct th_entry *heap)
{
	return (struct th_slice){ th_entry_key(heap), th_entry_key_size(heap) };
}

/* Drops the runs of an entry's value, if it is large. */
static int drop_value(const struct th_entry *e, struct th_drops *drops)
{
	return th_entry_is_large(e) ? th_large_value_drop(th_entry_value(e), drops) : 0;
}

/* --- messages for one key --- */

/* A heap entry with the key and number of `newer` and the value of `value` (NULL: none). */
static struct th_entry *composed(const struct th_entry *newer, const struct th_entry *value, unsigned flags,
				 int32_t refs)
{
	struct th_entry *e =
		th_entry_new(flags, key_of(newer), TH_SLICE_EMPTY, value ? th_entry_value(value) : TH_SLICE_EMPTY);

	if (e) {
		th_entry_set_refs(e, refs);
		th_entry_set_seq(e, th_entry_seq(newer));
	}
	return e;
}

/*
 * Composes a newer message with an older one, or with a record if `record`.  Takes over the newer one's reference, also
 * on failure, and returns one to *ret.  Returns 0, -ENOMEM, or -EUCLEAN if the older value's descriptor is broken.
 */
static int compose(const struct th_entry *older, const struct th_entry *newer, bool record, struct th_drops *drops,
		   const struct th_entry **ret)
{
	unsigned flags = newer->flags & (TH_ENTRY_RESET | TH_ENTRY_VALUE | TH_ENTRY_CHUNK);
	const struct th_entry *value = newer->flags & TH_ENTRY_VALUE ? newer : NULL;
	int32_t refs = th_refs_add(th_entry_refs(newer), th_entry_refs(older));
	int err = th_message_hides_value(newer) ? drop_value(older, drops) : 0;

	if (err) {
		th_entry_unref(newer);
		return err;
	}
	if (!record)
		flags |= older->flags & TH_ENTRY_RESET;
	if (newer->flags & TH_ENTRY_RESET || (value && refs == th_entry_refs(newer) && !(flags & TH_ENTRY_RESET))) {
		*ret = newer;
		return 0;
	}
	if (!value && older->flags & TH_ENTRY_VALUE) {
		value = older;
		flags |= older->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK);
	}
	*ret = composed(newer, value, flags, refs);
	th_entry_unref(newer);
	return *ret ? 0 : -ENOMEM;
}

/*
 * Inserts a message for one key into the range message in slot i: below it there is no record.  Even a delete is kept
 * as a message of its own.  The record that it deletes may have been put by a message above this node, later than the
 * range, and a diff must find the delete's number.
 */
static int insert_into_range(struct th_node *node, unsigned i, const struct th_entry *message)
{
	struct th_slice key = key_of(message);
	bool has_value = th_entry_has_value(message);
	unsigned flags = (message->flags & (TH_ENTRY_VALUE | TH_ENTRY_CHUNK)) | TH_ENTRY_RESET;
	struct th_entry *reset = composed(message, has_value ? message : NULL, flags, th_entry_refs(message));
	struct th_key after;
	unsigned at;
	bool exact;
	int err = -ENOMEM;

	if (!reset)
		goto out;
	th_key_set(&after, key);
	th_key_successor(&after);
	err = th_overlay_cut_range(node, i, key, th_key_slice(&after));
	if (err)
		goto out;
	at = th_slab_find(node, &node->overlay, key, &exact);
	err = th_slab_insert(node, &node->overlay, at, reset);
	if (!err)
		reset = NULL;
out:
	if (reset)
		th_entry_unref(reset);
	th_entry_unref(message);
	return err;
}

static int point_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slice key = key_of(message);
	struct th_slab *slab = &node->overlay;
	const struct th_entry *result;
	bool exact;
	unsigned i = th_slab_find(node, slab, key, &exact);
	int err;

	if (exact && !th_message_is_range(th_slab_entry(slab, i))) {
		err = compose(th_slab_entry(slab, i), message, false, drops, &result);
		if (!err)
			th_slab_replace(node, slab, i, result);
		return err;
	}
	if (exact || (i > 0 && th_message_covers(th_slab_entry(slab, i - 1), key)))
		return insert_into_range(node, exact ? i : i - 1, message);
	err = th_slab_insert(node, slab, i, message);
	if (err)
		th_entry_unref(message);
	return err;
}

/* Does a record exist that is this message applied to nothing? */
static bool exists(const struct th_entry *e)
{
	return th_entry_has_value(e) || th_entry_refs(e) != 0;
}

static int point_apply(struct th_node *leaf, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slab *slab = &leaf->base;
	const struct th_entry *result;
	bool exact;
	unsigned i = th_slab_find(leaf, slab, key_of(message), &exact);
	int err = 0;

	if (exact) {
		err = compose(th_slab_entry(slab, i), message, true, drops, &result);
		if (err)
			return err;
		if (exists(result)) {
			th_slab_replace(leaf, slab, i, result);
		} else {
			th_slab_remove(leaf, slab, i, i + 1, true);
			th_entry_unref(result);
		}
		return 0;
	}
	if (exists(message)) {
		err = th_slab_insert(leaf, slab, i, message);
		if (!err)
			return 0;
	}
	th_entry_unref(message);
	return err;
}

/* --- range messages --- */

/* Removes the entries in [i, end) of the overlay or of the records, with their values. */
static int remove_entries(struct th_node *node, struct th_slab *slab, unsigned i, unsigned end, struct th_drops *drops)
{
	int err = 0;

	for (unsigned j = i; j < end && !err; j++)
		err = drop_value(th_slab_entry(slab, j), drops);
	if (!err)
		th_slab_remove(node, slab, i, end, true);
	return err;
}

static int range_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slab *slab = &node->overlay;
	struct th_slice from = key_of(message), to = th_entry_value(message);
	bool exact;
	unsigned i;
	int err = th_overlay_cut(node, from);

	if (!err)
		err = th_overlay_cut(node, to);
	if (!err) {
		i = th_slab_find(node, slab, from, &exact);
		err = remove_entries(node, slab, i, th_slab_lower(node, slab, to), drops);
	}
	if (!err)
		err = th_slab_insert(node, slab, i, message);
	if (err)
		th_entry_unref(message);
	return err;
}

static int range_apply(struct th_node *leaf, const struct th_entry *message, struct th_drops *drops)
{
	struct th_slab *slab = &leaf->base;
	bool exact;
	unsigned i = th_slab_find(leaf, slab, key_of(message), &exact);
	int err = remove_entries(leaf, slab, i, th_slab_lower(leaf, slab, th_entry_value(message)), drops);

	th_entry_unref(message);
	return err;
}

/* --- the table --- */

/* Messages for one key are composed, so their types have one row. */
static const struct message_type {
	int (*insert)(struct th_node *node, const struct th_entry *message, struct th_drops *drops);
	int (*apply)(struct th_node *leaf, const struct th_entry *message, struct th_drops *drops);
} point = {
	.insert = point_insert,
	.apply = point_apply,
}, range = {
	.insert = range_insert,
	.apply = range_apply,
};

static const struct message_type *type_of(unsigned flags)
{
	return flags & TH_ENTRY_RANGE ? &range : &point;
}

int th_message_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops)
{
	return type_of(message->flags)->insert(node, message, drops);
}

int th_message_apply(struct th_node *leaf, const struct th_entry *message, struct th_drops *drops)
{
	return type_of(message->flags)->apply(leaf, message, drops);
}
