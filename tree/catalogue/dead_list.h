/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead lists: blocks that left the live tree and that a snapshot still needs.
 *
 * Whether it does is decided by birth (as in ZFS: Ahrens, "How ZFS snapshots really work", 2013).  A block that leaves
 * the live tree is in the newest snapshot if it was born no later.  Then it goes on the live dead list, which becomes
 * the list of the next snapshot.  When a snapshot is deleted, its own blocks are those that died between it and its
 * successor and were born after its predecessor.
 *
 * All this happens within one branch, for which the origin is the snapshot before its first.  So the lists of a branch
 * also have blocks that were born up to the origin, which other branches own.  They are not the branch's to free, and
 * do not count.  But if the branch takes over its origin (th_branch_promote), its lists are complete.
 *
 * Strays.  A transaction chooses the births of its references before it is applied.  A snapshot that is taken in
 * between looks as if it had them.  If such references die one by one, that only delays their reuse.  But if a head is
 * abandoned as a whole (head_reclaim.c), they would be taken for the snapshot's, and lost.  So a second list beside
 * each dead list has the strays: all references of a stretch between two snapshots that are not younger than the
 * earlier snapshot, and not in it either.
 *
 * All functions are called within a checkpoint: checkpoint_lock is held.
 */
#ifndef TH_TREE_CATALOGUE_DEAD_LIST_H
#define TH_TREE_CATALOGUE_DEAD_LIST_H

#include "tree/state/state.h"

/* Tags of the runs of dead lists. */
enum th_dead_tag { TH_DEAD_DATA, TH_DEAD_NODE };

/* Frees runs that left the live tree, or appends them to the live dead list if a snapshot needs them.
 *
 * runs: in the order of addresses; the array is changed.  Returns 0, -ENOSPC, -ENOMEM, or a read error. */
int th_dead_settle(struct th_store *store, struct th_blockrun *runs, size_t count);
/* Appends to the list of strays those references that look as if the newest snapshot had them.
 *
 * strays: references that transactions made since the freeze, with a birth before it.  Returns as th_dead_settle(). */
int th_dead_strays(struct th_store *store, const struct th_drops *strays);
/* Notes that a run is taken off a dead list, freed or not. */
void th_dead_leaves_list(struct th_store *store, const struct th_blockrun *run);
/* Frees a run that no snapshot needs any more; shared data loses one reference instead.  Returns 0 or a read error. */
int th_dead_free(struct th_store *store, const struct th_blockrun *run);

#endif
