/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction's inside, for what works on its behalf (chunk.c, merge.c). */
#ifndef TH_TXN_H
#define TH_TXN_H

#include "tree/store.h"

struct th_txn {
	struct th_store *store;
	struct th_stage stage;
	struct th_alloc *allocs;
	size_t nallocs, allocs_capacity;
	struct th_drops drops, shares;
	struct th_entry **loans; /* lent and not put yet */
	size_t nloans, loans_capacity;
	struct th_locker *locker; /* what it has locked (th_txn_lock), NULL: nothing yet */
	bool reserve; /* may use it: it deletes or drops something, or its data was admitted before (promised) */
	size_t bytes; /* of keys and values staged */
	uint64_t hint; /* where large values go */
};

#endif
