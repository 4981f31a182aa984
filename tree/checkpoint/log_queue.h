/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log queue: records of committed transactions, on their way into the intent log.
 *
 * Each commit queues a record.  th_store_sync() writes all of them as one log record with one disk flush: never a part
 * of them, since the callers commit changes that they buffered last, though these are older than others (th_quiesce).
 * A checkpoint makes records unnecessary.  The queue is bounded: beyond that it is dropped, and the next sync is a
 * checkpoint.
 */
#ifndef TH_TREE_CHECKPOINT_LOG_QUEUE_H
#define TH_TREE_CHECKPOINT_LOG_QUEUE_H

#include "tree/io/chunk.h"
#include "tree/layers/memtable.h"
#include "tree/state/state.h"

/* A transaction that is ready to be logged and applied.  It owns nothing. */
struct th_batch {
	const struct th_memtable *memtable;
	const struct th_alloc *allocs;
	size_t nallocs;
	struct th_drops drops, shares;
	bool emergency; /* the merge may use three quarters of the emergency reserve */
	bool noted; /* th_apply_blocks() has noted runs: the caller must not give them back */
};

/* The record of one transaction. */
struct th_pending {
	struct th_pending *next;
	uint64_t seq; /* number of the transaction */
	size_t size; /* bytes */
	uint8_t bytes[]; /* log_format.h */
};

/* Makes the record of a batch.  Returns it for th_log_queue_add(), or NULL: no memory. */
struct th_pending *th_pending_new(const struct th_batch *batch, uint64_t seq);
/* Queues a record, which then belongs to the queue.  merge_lock is held, so that records are in order. */
void th_log_queue_add(struct th_store *store, struct th_pending *pending);
/* Frees records up to seq, which a checkpoint has made durable. */
void th_log_queue_trim(struct th_store *store, uint64_t seq);
/* Takes all records off the queue, oldest first, if together they fit the log.  sync_lock is held.
 *
 * *ret_seq: number of the last transaction among them.  Returns the list, for th_pending_free(), or NULL if the queue
 * is empty, or was dropped, or does not fit. */
struct th_pending *th_log_queue_take(struct th_store *store, uint64_t *ret_seq);
/* Frees a list of records. */
void th_pending_free(struct th_pending *list);
/* Returns the identity that log records carry from this opening of the store to the next, so that replay ignores older
 * ones. */
uint64_t th_log_identity(const struct th_super *super);

#endif
