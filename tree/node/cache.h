/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node cache: persistent nodes by address, within a budget.
 *
 * A persistent node never changes, so an address (with its birth, since addresses are reused) names one content.  A
 * node that is handed out is kept alive by its reference; eviction, by the CLOCK rule, only drops the cache's own.  Two
 * readers that miss the same node share one transfer.
 *
 * A node that only snapshots still use is retired.  A diff may ask for it soon, but with many snapshots most are never
 * read again.  So retired nodes have a small part of the budget and are evicted before all others.
 *
 * All functions may be called by any thread.  A lower fence is passed with each pointer: the node's prefix, which is
 * not stored in the node, is taken from it.
 */
#ifndef TH_TREE_NODE_CACHE_H
#define TH_TREE_NODE_CACHE_H

#include "tree/node/node.h"
#include "tree/node/readahead.h"

struct th_cache;

struct th_cache_stat {
	uint64_t hits, reads;
	size_t used; /* bytes */
};

/* budget: bytes of memory, of which a part may be reserved for other uses (th_cache_reserve).  Nodes are read through
 * `ahead`, as their neighbours are often needed soon.  report() is called with a line about every damaged node, by the
 * thread that read it.  disk and ahead are borrowed.  Returns 0 or -ENOMEM. */
int th_cache_new(struct th_disk *disk, struct th_readahead *ahead, size_t budget,
		 void (*report)(void *arg, const char *line), void *arg, struct th_cache **ret);
/* Waits for loads under way.  NULL is allowed. */
void th_cache_free(struct th_cache *cache);
/* Takes a node of which the first copy was damaged (err), so that it was read from the second.  fence: its lower fence.
 * Called by the thread that read it, without a lock of the cache; must neither block nor read through the cache. */
typedef void th_cache_spare(void *arg, const struct th_ptr *ptr, struct th_slice fence, int err);
/* Sets the function to call, before other threads use the cache. */
void th_cache_on_spare(struct th_cache *cache, th_cache_spare *spare, void *arg);
/* Returns the disk that the cache reads; it stays the owner's. */
struct th_disk *th_cache_disk(const struct th_cache *cache);

/* Sets how many bytes of the budget are in use outside the cache.  At least one part in TH_CACHE_LEAST of the budget
 * remains for the cache. */
#define TH_CACHE_LEAST 8
void th_cache_reserve(struct th_cache *cache, size_t bytes);
/* Bytes of the heap (node_heap.h) that are not in a cache: transient nodes, messages, and fragmentation.  If there are
 * several caches, each is charged with a part that is proportional to its budget. */
size_t th_cache_outside(const struct th_cache *cache);

/* Returns the node, with a reference for the caller, or NULL if it is not in memory. */
struct th_node *th_cache_get(struct th_cache *cache, const struct th_ptr *ptr);
/* Prefetches into the processor's cache what th_cache_get will look at first. */
void th_cache_prefetch_slot(const struct th_cache *cache, const struct th_ptr *ptr);

/* Returns the node in *ret, with a reference for the caller; reads it if it is not in memory.  Damage is reported.
 * Returns 0; -EBADMSG or -EUCLEAN if the node is damaged; -EIO or another error of the disk; -ENOMEM; -EINPROGRESS
 * if the node is not in memory and this thread does not wait (nowait.h). */
int th_cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, struct th_node **ret);
/* The same without reports.  For readers without a lock, which may follow a pointer to blocks that are freed and
 * reused at that time: they detect this themselves. */
int th_cache_load_quietly(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			  struct th_node **ret);
/* As th_cache_load, but retries once after -EIO, which may be temporary.  For callers that lose the blocks below a node
 * they cannot read. */
int th_cache_load_retrying(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			   struct th_node **ret);

/* Receives a node with a reference, or an error: result and node as of th_cache_load.  Called by the thread that
 * completes the transfer, or by the caller of th_cache_load_async; must not block. */
typedef void th_cache_loaded(void *arg, int result, struct th_node *node);
/* Loads a node without waiting.  loaded() is called exactly once; damage is not reported. */
void th_cache_load_async(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			 th_cache_loaded *loaded, void *arg);
/* Begins to read a node that is not in memory, unless many reads are under way.  Failures are ignored. */
void th_cache_prefetch(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence);

/* Adds a node that was just written, by node->ptr.  The cache takes a reference of its own. */
void th_cache_insert(struct th_cache *cache, struct th_node *node);
/* Drops the node at an address that was freed, if there is one. */
void th_cache_forget(struct th_cache *cache, uint64_t addr);
/* Retires the node at an address: the live tree does not use it any more, but its blocks are kept. */
void th_cache_retire(struct th_cache *cache, uint64_t addr);
void th_cache_stat(const struct th_cache *cache, struct th_cache_stat *ret);

#endif
