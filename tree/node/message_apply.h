/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The effect of messages on nodes: a message enters the overlay of an interior node, or changes the records of a leaf.
 */
#ifndef TH_TREE_NODE_MESSAGE_APPLY_H
#define TH_TREE_NODE_MESSAGE_APPLY_H

#include "tree/node/message.h"
#include "tree/node/node.h"

struct th_drops;

/* Inserts a message into the overlay of a writable node; upholds N3 except for child boundaries.  Runs of large values
 * that it replaces are added to `drops`.  The message is on the heap; its reference is taken over, also on failure.
 * Returns 0, -ENOMEM, or -EUCLEAN if the descriptor of a replaced value is broken; on an error the overlay may have
 * changed. */
int th_message_insert(struct th_node *node, const struct th_entry *message, struct th_drops *drops);
/* Applies a message to the records of a writable leaf.  Otherwise as th_message_insert. */
int th_message_apply(struct th_node *leaf, const struct th_entry *message, struct th_drops *drops);

#endif
