/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions from inside, for the code that works on their behalf: alloc.c, range_lock.c, bulk_commit.c. */
#ifndef TH_TREE_TXN_TXN_H
#define TH_TREE_TXN_TXN_H

#include "tree/layers/layer.h"

#define TH_SAVEPOINTS_MAX 64

/* The sizes of a transaction's lists when the savepoint was set. */
struct th_savepoint {
	size_t layers, allocs, drops, shares;
};

struct th_txn {
	struct th_store *store;
	struct th_view *view; /* live; of a subtree, if the transaction is limited to its keys */
	struct th_layers layers;
	struct th_savepoint *savepoint; /* TH_SAVEPOINTS_MAX; NULL: none was set yet */
	unsigned savepoints;
	struct th_alloc *allocs; /* runs allocated by the transaction */
	size_t nallocs, allocs_capacity;
	struct th_drops drops, shares; /* references to runs that it dropped, and that it added */
	struct th_entry **loans; /* entries of th_txn_alloc() that were not put yet */
	size_t nloans, loans_capacity;
	struct th_locker *locker; /* of th_txn_lock(); NULL: it has locked nothing yet */
	uint64_t hint; /* where to allocate runs for large values */
};

#endif
