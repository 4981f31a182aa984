/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap of nodes: memory for pages, slot tables and messages.
 *
 * malloc has a heap for each thread, and memory freed by one thread is of little use to the others.  Nodes that a
 * checkpoint wrote lie in the checkpointer's heap, nodes that were read in the readers', messages in the writers'.
 * Each keeps its peak, so that the process takes the sum of them, more than twice the budget of the cache.
 *
 * So all threads, and all stores of the process, share this heap.  The memory of messages becomes that of pages and
 * vice versa, and free memory beyond the caches' budgets is returned to the system.
 *
 *   region   32 MiB of address space, in units of 1 KiB
 *   span     consecutive units: free, or one large piece, or a slab; neighbouring free spans are joined
 *   slab     16 units of small pieces of one size
 */
#ifndef TH_TREE_NODE_NODE_HEAP_H
#define TH_TREE_NODE_NODE_HEAP_H

#include <stddef.h>

/* The largest piece: the page of a node, with its header. */
#define TH_MEMORY_MAX (68u << 10)

/* Allocates a piece of memory aligned to 16 bytes.  Returns NULL if there is no memory, or if size > TH_MEMORY_MAX. */
void *th_heap_alloc(size_t size);
void *th_heap_alloc_zeroed(size_t size);
/* Frees a piece; any thread may do this.  NULL is allowed. */
void th_heap_free(void *memory);

/* Bytes that a piece of this size takes. */
size_t th_heap_takes(size_t size);

/* Changes the amount of free memory that may be kept: by the budget of a cache that is opened, or its negative when the
 * cache is closed. */
void th_heap_keep(ptrdiff_t bytes);

/* Bytes in pieces and slabs, plus free memory in excess of the amount that may be kept.  Takes no lock. */
size_t th_heap_counts(void);

struct th_heap_stat {
	size_t used; /* bytes in pieces and slabs */
	size_t idle; /* bytes that are free, but not returned to the system */
};
void th_heap_stat(struct th_heap_stat *ret);

#endif
