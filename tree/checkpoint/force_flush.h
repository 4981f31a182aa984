/* SPDX-License-Identifier: Apache-2.0 */
/* Pushing messages down that wait above large values. */
#ifndef TH_TREE_CHECKPOINT_FORCE_FLUSH_H
#define TH_TREE_CHECKPOINT_FORCE_FLUSH_H

#include "tree/state/state.h"

/* Sends messages down that wait above large values, from the key *at on, until dirty_max bytes are dirty, or as many as
 * there is room to write: then it is to go on from what *at is, once these are written.  1: that was the end; -ENOSPC:
 * it could not begin. */
int th_force_flush(struct th_store *store, struct th_key *at, size_t dirty_max);

#endif
