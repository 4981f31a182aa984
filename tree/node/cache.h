/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node cache: persistent nodes by address, within a budget.
 *
 * A persistent node never changes, so an address (with its birth, since addresses are used again) names one content.  A
 * node that is handed out is held by a reference; eviction merely forgets nodes, by the CLOCK rule, and memory goes
 * when the last reference does.  Two readers that miss the same node share one transfer.
 *
 * A node that only snapshots have left is retired: it may be asked for soon, by a diff, but with many snapshots taken
 * most never are, so such nodes have a small part of the budget and go before any other.
 */
#ifndef TH_TREE_NODE_CACHE_H
#define TH_TREE_NODE_CACHE_H

#include "tree/node/node.h"
#include "tree/node/readahead.h"

struct th_cache;

struct th_cache_stat {
	uint64_t hits, reads;
	size_t used;
};

/* budget: bytes of memory, of which others may claim a part (th_cache_reserve).  Nodes are read by way of `ahead`:
 * neighbours are often wanted soon.  report is told of every damaged node. */
int th_cache_new(struct th_disk *disk, struct th_readahead *ahead, size_t budget,
		 void (*report)(void *arg, const char *line), void *arg, struct th_cache **ret);
void th_cache_free(struct th_cache *cache);
/* So many bytes of the budget are used by what is not in the cache; a part of it, one in TH_CACHE_LEAST, is left. */
#define TH_CACHE_LEAST 8
void th_cache_reserve(struct th_cache *cache, size_t bytes);
/* Bytes of the heap (memory.h) that no cache has: nodes that may change, their messages, what is lost between pieces.
 * Of several caches each has its part, according to its budget. */
size_t th_cache_beside(const struct th_cache *cache);

/* The node is going to be looked for: what that takes is fetched from cold memory meanwhile. */
void th_cache_prefetch_slot(const struct th_cache *cache, const struct th_ptr *ptr);
/* The node, with a reference for the caller, or NULL if it is not in memory. */
struct th_node *th_cache_get(struct th_cache *cache, const struct th_ptr *ptr);
/* The same, reading it if need be.  `fence` is the node's lower fence: its prefix is taken from there. */
int th_cache_load(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence, struct th_node **ret);
/* The same, but says nothing of damage: for who reads without a lock what may be given up and written over meanwhile,
 * and finds out. */
int th_cache_load_quietly(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			  struct th_node **ret);
/* For who gives up what cannot be read: what the disk failed to read is tried once more, as such an error may pass. */
int th_cache_load_or_lose(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			  struct th_node **ret);
/* Told of a node that was asked for, with a reference to it, or of an error.  Runs on the thread that completes the
 * transfer, or at once on the caller's, and must not block. */
typedef void th_cache_loaded(void *arg, int result, struct th_node *node);
/* The same without waiting. */
void th_cache_load_async(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence,
			 th_cache_loaded *loaded, void *arg);
/* Begins to read a node that is not in memory, unless there is much under way.  Says nothing of what fails. */
void th_cache_prefetch(struct th_cache *cache, const struct th_ptr *ptr, struct th_slice fence);
/* Makes a node that was just written (node->ptr) findable. */
void th_cache_insert(struct th_cache *cache, struct th_node *node);
/* Forgets whatever is at an address that was freed. */
void th_cache_forget(struct th_cache *cache, uint64_t addr);
/* The node at an address has left the live tree, but not the disk. */
void th_cache_retire(struct th_cache *cache, uint64_t addr);
void th_cache_stat(const struct th_cache *cache, struct th_cache_stat *ret);

#endif
