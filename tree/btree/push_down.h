/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Push-down: moves messages from overlays towards the leaves.
 *
 * Everything here is called with the tree locked exclusively, on writable nodes.  `at` is the range of the node.
 * Functions that take a th_need return -EAGAIN and *need if a node is not in memory.  The tree is consistent then,
 * though an overlay may stay over its budget until th_tree_relieve.  Other errors are -ENOMEM and -EUCLEAN; after these
 * a change may be incomplete, and the store must fail.
 */
#ifndef TH_TREE_BTREE_PUSH_DOWN_H
#define TH_TREE_BTREE_PUSH_DOWN_H

#include "tree/btree/split_join.h"

/* N6: at each level, pending messages delete at most this part of the records below a child; more are pushed down.  A
 * larger number frees space sooner and writes more: a leaf is written for each eighth of its records that is
 * deleted. */
#define TH_DELETES_PART 8

/* Where a whole push-down may make more bytes dirty than the tree's limit, it moves a portion: so many messages and
 * bytes, or a single message that is larger.  A child whose overlay was within its budget then pushes down as much
 * itself, from one of its children: the heaviest has a share of at least one in TH_FANOUT. */
#define TH_PORTION_SLOTS (TH_OVERLAY_SLOTS / TH_FANOUT)
#define TH_PORTION_BYTES (TH_OVERLAY_BYTES / TH_FANOUT)
/* Bytes of messages, by th_memtable.bytes, that fit a portion whatever their size: a portion of small messages is full
 * by their number; one of larger messages is at least half full. */
#define TH_PORTION_LEAST (TH_PORTION_SLOTS * 56u)

/* Returns how many deletes may wait in a tree whose root is at `level` (N6).  It is twice the bound, as a split may
 * leave all messages for a child with one half of it. */
static inline uint64_t th_deletes_most(uint64_t records, unsigned level)
{
	return 2 * (uint64_t)level * records / TH_DELETES_PART;
}

/* Puts a heap message into a node: its overlay, or its records at a leaf.  Takes over the reference in any case. */
int th_push_down_accept(struct th_tree *tree, struct th_node *node, struct th_fences at,
			const struct th_entry *message);
/*
 * Moves a new message down from `node` as far as nodes are writable already.  These nodes will be written anyway, so
 * this costs nothing, and the message fills no overlay on the way.  It stops where an overlay has a message for the
 * same key. Takes over the reference in any case.  After -EAGAIN the message is in the tree.
 *
 *      root       writable      |
 *      .  .       writable      |  passes
 *      .  .  .    writable      v  stays in the overlay
 *      .  .  .    shared           (a copy would cost the write of a node)
 */
int th_push_down_sink(struct th_tree *tree, struct th_node *node, struct th_fences at, const struct th_entry *message,
		      struct th_need *need);
/* Pushes the messages of the heaviest child down until the overlay is within its budget; the child does the same. */
int th_push_down_relieve(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need);
/* What a merge of several messages makes dirty at most if no work is done that can wait. */
struct th_push_worst {
	size_t bytes, count; /* of all messages of the merge */
	bool ranges; /* some of them delete ranges */
	size_t worst; /* bytes of nodes: a sum, begun with 0 */
	bool overflows; /* an overlay may exceed its budget */
};

/* Adds one message to the sum.  The root's lock is held. */
void th_push_down_worst(const struct th_tree *tree, const struct th_entry *message, struct th_push_worst *sum);
/* Returns the end of the sum, with the root's copy. */
size_t th_push_down_worst_end(const struct th_tree *tree, const struct th_push_worst *sum);

/* Continues a push-down that lacked a node: relieves every writable node on the way to the key. */
int th_push_down_relieve_path(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_need *need,
			      struct th_slice key);
/* Pushes both ends of a range delete [from, to) down as far as it spans several children, so that no large range stays
 * pending there. */
int th_push_down_range(struct th_tree *tree, struct th_node *node, struct th_fences at, struct th_slice from,
		       struct th_slice to, struct th_need *need);

#endif
