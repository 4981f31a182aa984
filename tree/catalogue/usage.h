/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: what the blocks in use are used for.
 *
 * Two counters in the superblock are kept by the code that takes and frees nodes: the blocks of all nodes of all trees,
 * and how many of these are on dead lists.  Each list knows its pages and the blocks in it.  So the kinds follow
 * without reading anything:
 *
 *     metadata    superblocks, intent log, pages of lists, and nodes that are on no dead list
 *     snapshots   blocks on dead lists: they left the state of their branch, and a snapshot may need them
 *     data        the rest of the blocks in use
 *
 * A block on a dead list may have another owner still: another branch, or a copy that shares it (block_refs.h).  So
 * with branches and copies the part of snapshots is an upper bound, else it is exact.  Lists of deleted snapshots count
 * until they are reclaimed.
 */
#ifndef TH_TREE_CATALOGUE_USAGE_H
#define TH_TREE_CATALOGUE_USAGE_H

#include "tree/state/state.h"

/* Blocks of each kind.  Their sum is the number of blocks in use. */
struct th_usage {
	uint64_t data, metadata, snapshots;
};

/* Adds up the lists, for th_usage().  Called when the store is opened and after each checkpoint, with
 * checkpoint_lock. */
void th_usage_update(struct th_store *store);
/* Divides `used` blocks, which are not free and do not wait.  Takes snapshot_lock.  While a checkpoint is under way,
 * the kinds are those of the checkpoint before, and data is the rest. */
struct th_usage th_usage(struct th_store *store, uint64_t used);

#endif
