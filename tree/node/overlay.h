/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays: the range messages of an overlay, and the keys they cover.
 *
 * An overlay holds the pending messages of an interior node in key order (N2).  A range message covers all keys up to
 * its end, but never another message (N3): it is cut where a newer message falls into it.  message_apply.h inserts
 * messages.
 */
#ifndef TH_TREE_NODE_OVERLAY_H
#define TH_TREE_NODE_OVERLAY_H

#include "tree/node/message.h"
#include "tree/node/node.h"

/* Splits a range message with `key` inside it into one that ends there and one that begins there.  Returns 0 or
 * -ENOMEM. */
int th_overlay_cut(struct th_node *node, struct th_slice key);
/* Shortens the range message in slot i, [a, b), to [a, key) and adds [rest, b); an empty one of them is left out.
 * Returns 0 or -ENOMEM: then a part of the range is lost. */
int th_overlay_cut_range(struct th_node *node, unsigned i, struct th_slice key, struct th_slice rest);
/* Returns the range message of the overlay that covers the key, or NULL. */
const struct th_entry *th_overlay_covering(const struct th_node *node, struct th_slice key);
/* Returns the message of the overlay that decides the value of the key, so that older values are hidden; or NULL. */
const struct th_entry *th_overlay_deciding(const struct th_node *node, struct th_slice key);
/* Does a message of the overlay decide the value of the key? */
bool th_overlay_hides(const struct th_node *node, struct th_slice key);

#endif
