/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaiming the space of deleted snapshots, deleted branches and rollbacks: within checkpoints, a bounded part in
 * each.
 *
 * A deletion removes a snapshot's name in memory, at once.  Every checkpoint records in the catalogue which snapshots
 * are being deleted.  Those that no view and no branch needs are reclaimed: they leave the catalogue, and their dead
 * list is joined to that of their successor, whatever the length of the two.  Blocks that no snapshot needs any more
 * are then on a dead list but younger than the snapshot before it.  Such entries are reclaimable: they are freed and
 * taken off their lists, a bounded number in each checkpoint.
 *
 *     list of N, after S between P and N was reclaimed:   a block born up to P     stays: P has it
 *                                                         a block born after P     is reclaimable: only S had it
 *
 * The lists alone say how far this is, so each checkpoint leaves a state from which the next one, or the next opening
 * of the store, goes on.
 *
 * Transactions go on while a checkpoint reclaims.  One that shares blocks of a snapshot adds its references to them in
 * the next checkpoint, and after that the snapshot may be deleted at once.  So a checkpoint reclaims only snapshots and
 * heads whose last use ended before its freeze, and records only deletions before its freeze:
 *
 *   C1  A checkpoint that frees blocks of a deleted snapshot or an abandoned head has all transactions that were
 *       committed while a view of it could be open.
 *   C2  A checkpoint that has a deletion has all transactions that were committed before it.
 *
 * A checkpoint with a step of its own reclaims nothing, since a caller waits for it.
 */
#ifndef TH_TREE_CATALOGUE_RECLAIM_H
#define TH_TREE_CATALOGUE_RECLAIM_H

#include "tree/state/state.h"

/* Entries of dead lists read in one checkpoint.  More make a checkpoint longer, during which large commits wait; fewer
 * need more checkpoints. */
#define TH_RECLAIM_ENTRIES 16384

/* Reclaims a bounded part, within a checkpoint.  Returns 0 or an error that fails the store. */
int th_reclaim_step(struct th_store *store);
/* Removes a branch that has neither a head nor snapshots, within a checkpoint.  Returns 0 or -ENOMEM. */
int th_reclaim_empty_branch(struct th_store *store, uint64_t id, bool *ret_removed);
/* Records in the catalogue which snapshots were deleted before the freeze, within every checkpoint.  Returns 0 or
 * -ENOMEM. */
int th_reclaim_note(struct th_store *store);
/* Returns true if there is a deletion that no checkpoint has. */
bool th_reclaim_unnoted(struct th_store *store);
/* Returns true if a checkpoint would record a deletion or reclaim space.  Takes snapshot_lock. */
bool th_reclaim_due(struct th_store *store);

#endif
