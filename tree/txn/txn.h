/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction's inside, for what works on its behalf (chunk.c, merge.c). */
#ifndef TH_TREE_TXN_TXN_H
#define TH_TREE_TXN_TXN_H

#include "tree/layers/layer.h"

#define TH_SAVEPOINTS_MAX 64

/* What the transaction had when it was set. */
struct th_savepoint {
	size_t layers, allocs, drops, shares;
};

struct th_txn {
	struct th_store *store;
	struct th_view *view; /* live: of the whole tree, or of the subtree whose keys it has */
	struct th_layers layers;
	struct th_savepoint *savepoint; /* TH_SAVEPOINTS_MAX; NULL: none was set yet */
	unsigned savepoints;
	struct th_alloc *allocs;
	size_t nallocs, allocs_capacity;
	struct th_drops drops, shares;
	struct th_entry **loans; /* lent and not put yet */
	size_t nloans, loans_capacity;
	struct th_locker *locker; /* what it has locked (th_txn_lock), NULL: nothing yet */
	uint64_t hint; /* where large values go */
};

#endif
