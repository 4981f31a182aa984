/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaiming abandoned heads: the head of a deleted branch, the live tree before a rollback, and the last snapshot of a
 * detached branch, which takes the place of its head.
 *
 * Compared with the snapshot before it, a head's own blocks are those that were born later.  A walk finds them node by
 * node, and skips older nodes, and all below them, unread.  Its dead list is dropped: the snapshot has the blocks on
 * it, unless they are reclaimable.  But strays (dead_list.h) are freed, wherever they are.
 *
 * The lists are processed first, a bounded part in each checkpoint; the head's entry has the rest of them.  Then the
 * walk goes on from checkpoint to checkpoint, in key order.  A node is freed after all below it, so the path to the
 * place where the walk stopped is always complete, and a crash between two checkpoints costs nothing.
 *
 * Nodes that cannot be read are skipped.  Their space is lost from then on, and the checker reports it: no later
 * attempt could read them, and the rest of the head need not wait.
 *
 * All functions are called within a checkpoint: checkpoint_lock is held.
 */
#ifndef TH_TREE_CATALOGUE_HEAD_RECLAIM_H
#define TH_TREE_CATALOGUE_HEAD_RECLAIM_H

#include "tree/state/state.h"

/* Nodes of abandoned heads read in one checkpoint.  More make a checkpoint longer; fewer need more checkpoints. */
#define TH_ABANDONED_NODES 4096

/* Abandons a head, whose blocks born after generation `than` later checkpoints free.  The head belongs to the table of
 * branches then, even on an error.  Returns 0 or -ENOMEM. */
int th_head_abandon(struct th_store *store, struct th_head *head, uint64_t than);
/* Reclaims a bounded part of the abandoned heads that have no open view.
 *
 * *budget: entries of dead lists that may be read; reduced by those read.  Returns 0 or an error that fails the
 * store. */
int th_head_reclaim_step(struct th_store *store, size_t *budget);
/* Returns true if there is a head to reclaim. */
bool th_head_reclaim_due(struct th_store *store);

#endif
