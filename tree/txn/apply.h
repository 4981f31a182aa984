/* SPDX-License-Identifier: Apache-2.0 */
/* Applying: the one short step in which a transaction becomes part of the live tree. */
#ifndef TH_TREE_TXN_APPLY_H
#define TH_TREE_TXN_APPLY_H

#include "tree/checkpoint/log_queue.h"

/* Merges a batch, numbering it, and queues its log record.  log: false while replaying. */
int th_apply(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed);
/* Hands over what the batch says of blocks to the next commit.  merge_lock is held; after -ENOMEM the store must fail.
 */
int th_apply_blocks(struct th_store *store, const struct th_batch *batch);

#endif
