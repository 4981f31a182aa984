/* SPDX-License-Identifier: Apache-2.0 */
/* Counting deletes that wait above records, and the records that they hide (N6). */
#include "tree/btree/push_down.h"
#include "tree/check/check.h"
#include "tree/node/message.h"
#include "tree/node/overlay.h"

static void count_messages(struct th_check_result *result, const struct th_node *node)
{
	result->messages += node->overlay.count;
	for (unsigned i = 0; i < node->overlay.count; i++) {
		const struct th_entry *e = th_slab_entry(&node->overlay, i);
		unsigned weight = th_message_deletes(e);

		result->deletes_weight += weight;
		result->range_deletes += th_message_is_range(e);
		result->deletes += weight && !th_message_is_range(e);
	}
}

/* Does a delete that waits above the leaf hide its record?  The newest message that decides about the key counts. */
static bool is_dead(const struct th_check_walk *walk, struct th_slice key)
{
	for (unsigned i = 0; i + 1 < walk->depth; i++) {
		const struct th_entry *e = th_overlay_deciding(walk->path[i], key);

		if (e)
			return th_message_deletes(e) > 0;
	}
	return false;
}

static void count_records(struct th_check_walk *walk, const struct th_node *leaf)
{
	struct th_check_result *result = &walk->check->result;
	bool deletes = false;

	result->records += leaf->base.count;
	for (unsigned i = 0; i + 1 < walk->depth; i++)
		deletes |= walk->path[i]->ptr.deletes > 0;
	for (unsigned i = 0; i < leaf->base.count && deletes; i++) {
		struct th_key key;

		th_node_key(leaf, th_slab_entry(&leaf->base, i), &key);
		result->dead_records += is_dead(walk, th_key_slice(&key));
	}
}

void th_check_deletes(struct th_check_walk *walk)
{
	const struct th_node *node = walk->path[walk->depth - 1];
	struct th_check_result *result = &walk->check->result;

	if (walk->tree->kind != TH_CHECK_LIVE)
		return;
	if (node->level > 0)
		count_messages(result, node);
	else
		count_records(walk, node);
	if (walk->depth == 1)
		result->deletes_most = th_deletes_most(node->ptr.records, node->level);
}
