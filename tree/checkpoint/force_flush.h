/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing down the messages that wait above large values, and deletes: where space runs short, so that it is freed. */
#ifndef TH_TREE_CHECKPOINT_FORCE_FLUSH_H
#define TH_TREE_CHECKPOINT_FORCE_FLUSH_H

#include "tree/state/state.h"

/* Pushes messages above large values, and deletes, down to the leaves, from key *at on, until dirty_max bytes are dirty
 * or the disk has no room to write more.  Then *at is where the next call goes on, after a checkpoint.
 *
 * Returns 0, 1 at the end of the tree, -ENOSPC if there was no room to begin, or the error that failed the store.
 * Takes checkpoint_lock and merge_lock. */
int th_force_flush(struct th_store *store, struct th_key *at, size_t dirty_max);

#endif
