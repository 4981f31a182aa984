/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays: what messages do to one another and to records.
 *
 * A newer message meets an older one for the same key in an overlay, or a record in a leaf; the result is again one
 * message, or one record.  Composition is associative, so it does not matter how far a message has ridden down when the
 * next one follows it.
 */
#ifndef TH_TREE_NODE_OVERLAY_H
#define TH_TREE_NODE_OVERLAY_H

#include "tree/node/large_value.h"
#include "tree/node/node.h"

/* Puts a message into the overlay of `node`, upholding N3 but for child boundaries.  The message is on the heap; its
 * reference is taken over, also on failure.  -ENOMEM. */
int th_overlay_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops);
/* Applies a message to the records of a leaf, likewise. */
int th_leaf_apply(struct th_node *node, const struct th_entry *message, struct th_drops *drops);
/* Splits a range message that has `key` inside it into one before and one from it on. */
int th_overlay_cut(struct th_node *node, struct th_slice key);
/* The range message of the overlay that covers the key, or NULL. */
const struct th_entry *th_overlay_covering(const struct th_node *node, struct th_slice key);

/* Does a message of the overlay decide what the key's value is, whatever is said of it below? */
bool th_overlay_hides(const struct th_node *node, struct th_slice key);

/* A range message [from, to) like `like`. */
struct th_entry *th_range_message(struct th_slice from, struct th_slice to, uint64_t seq);

#endif
