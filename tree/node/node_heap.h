/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of nodes: their pages, tables and messages.
 *
 * It is not malloc's, because that has a heap for each thread, and what was freed in one is of no use to the others:
 * nodes that a commit settled lie in the checkpointer's, those that were read in their readers', messages in their
 * writers'.  Each keeps what it once needed, so that the process takes their sum, more than twice what the cache may
 * have.  Here all threads, and all stores of the process, have one heap, what was messages becomes pages and the other
 * way round, and what is free beyond the caches' budgets goes back to the system.
 *
 *   region   32 MiB of address space, in units of 1 KiB
 *   span     units in a row: free, or a large piece, or a slab; neighbours that are free are one
 *   slab     16 units of small pieces of one size
 */
#ifndef TH_TREE_NODE_NODE_HEAP_H
#define TH_TREE_NODE_NODE_HEAP_H

#include <stddef.h>

/* The most that can be had at once: a node's page, with what is beside its bytes. */
#define TH_MEMORY_MAX (68u << 10)

/* NULL: no memory.  Aligned to 16 bytes. */
void *th_heap_alloc(size_t size);
void *th_heap_alloc_zeroed(size_t size);
/* NULL is fine.  By any thread. */
void th_heap_free(void *memory);

/* What a piece of that size takes. */
size_t th_heap_takes(size_t size);

/* Of each store's cache its budget, negative when it is closed: as much memory may be kept though it is free. */
void th_heap_keep(ptrdiff_t bytes);

/* Bytes in pieces and slabs, and what is idle beyond what may be kept.  Takes no lock. */
size_t th_heap_counts(void);

struct th_heap_stat {
	size_t used; /* bytes in pieces and slabs */
	size_t idle; /* free, and not given back to the system */
};
void th_heap_stat(struct th_heap_stat *ret);

#endif
