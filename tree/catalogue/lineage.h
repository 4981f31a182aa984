/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lineage: how snapshots and branches follow one another.  Questions that need both tables.
 *
 * The caller holds snapshot_lock or checkpoint_lock, unless a function says otherwise.
 */
#ifndef TH_TREE_CATALOGUE_LINEAGE_H
#define TH_TREE_CATALOGUE_LINEAGE_H

#include "tree/state/state.h"

/* Returns the branch's newest snapshot, NULL if it has none. */
struct th_snapshot_record *th_lineage_newest(const struct th_store *store, uint64_t branch);
/* Returns the generation of the branch's origin, 0 if it has none or the branch is NULL. */
uint64_t th_lineage_origin(const struct th_store *store, const struct th_branch_record *branch);
/* Returns the generation of the predecessor in the branch of snapshot number `at` of the catalogue: a snapshot or the
 * origin; 0: none. */
uint64_t th_lineage_before(const struct th_store *store, size_t at, const struct th_branch_record *branch);
/* Returns the generation of the current branch's newest snapshot, or else of its origin (0: none): a block born after
 * it is in no snapshot.  Takes snapshot_lock.  checkpoint_lock is held, or the answer may be outdated at once. */
uint64_t th_lineage_limit(struct th_store *store);
/* Returns false for a detached branch whose last snapshots are being deleted: it stays only until their views are
 * closed. */
bool th_lineage_visible(const struct th_store *store, const struct th_branch_record *branch);
/* Returns true if a visible branch begins from the snapshot, which then cannot be deleted. */
bool th_lineage_pins(const struct th_store *store, uint64_t snapshot);

#endif
