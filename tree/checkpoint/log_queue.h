/* SPDX-License-Identifier: Apache-2.0 */
/* The log queue: records of merged transactions, on their way into the intent log. */
#ifndef TH_TREE_CHECKPOINT_LOG_QUEUE_H
#define TH_TREE_CHECKPOINT_LOG_QUEUE_H

#include "tree/io/chunk.h"
#include "tree/layers/memtable.h"
#include "tree/state/state.h"

/* A staged transaction, ready to be merged or logged. */
struct th_batch {
	const struct th_memtable *memtable;
	const struct th_alloc *allocs;
	size_t nallocs;
	struct th_drops drops, shares;
};

/* The log record of one merged transaction, until it was logged or committed. */
struct th_pending {
	struct th_pending *next;
	uint64_t seq;
	size_t size;
	uint8_t bytes[];
};

/* Forgets pending records up to seq: a commit made them durable. */
void th_log_queue_trim(struct th_store *store, uint64_t seq);
struct th_pending *th_pending_new(const struct th_batch *batch, uint64_t seq);
void th_log_queue_add(struct th_store *store, struct th_pending *pending);
/* What was logged up to seq is durable. */
void th_log_done(struct th_store *store, uint64_t seq);
/* What the records of this life of the store carry. */
uint64_t th_log_identity(const struct th_super *super);

#endif
