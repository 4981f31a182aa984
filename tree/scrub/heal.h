/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Healing of nodes whose first copy a reader found damaged.
 *
 * A reader must not write the right copy over the damaged one by itself: it may follow a pointer to blocks that were
 * freed and handed out again at that time, and the second copy is then right although the first one belongs to another
 * owner.  So it only notes the node.  The checkpointer heals it between checkpoints, with checkpoint_lock, if a tree of
 * the last checkpoint has the node: then both copies are its own until the lock is dropped (roots.h).
 */
#ifndef TH_TREE_SCRUB_HEAL_H
#define TH_TREE_SCRUB_HEAL_H

#include "tree/state/state.h"

struct th_heal;

/* Makes the store note such nodes.  Returns 0 or -ENOMEM. */
int th_heal_start(struct th_store *store);
/* Frees the notes.  No reader is left. */
void th_heal_release(struct th_store *store);
/* Heals the nodes that readers noted, and reports each.  Does nothing if the store refuses writes.  No lock is held. */
void th_heal_run(struct th_store *store);

/* Writes the right copy of a node over a damaged one.  Requires checkpoint_lock, and that a tree of the last checkpoint
 * has the node.  Returns 0 or an error, which is not fatal. */
int th_heal_copy(struct th_store *store, const struct th_ptr *ptr, unsigned damaged);

#endif
