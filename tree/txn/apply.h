/* SPDX-License-Identifier: Apache-2.0 */
/* Applying: the short step in which a transaction becomes part of the live tree (a merge). */
#ifndef TH_TREE_TXN_APPLY_H
#define TH_TREE_TXN_APPLY_H

#include "tree/checkpoint/log_queue.h"

/* Applies a batch to the live tree under merge_lock.  Gives it the next sequence number and queues its log record.
 * seq_if_replayed: the sequence number of a replayed transaction, which has a log record already; else 0.  The batch
 * stays the caller's.  Returns 0, -ENOSPC if there is no room for it (S4), or an error.  After an error, a part may
 * have been applied if store->failed is set: the store then refuses writes. */
int th_apply(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed);
/* Adds the batch's allocated, dropped and shared runs to those that the next checkpoint settles.  merge_lock is held.
 * Sets batch->noted from the first allocated run on.  Returns 0 or -ENOMEM: then the caller must make the store
 * fail. */
int th_apply_blocks(struct th_store *store, struct th_batch *batch);

#endif
