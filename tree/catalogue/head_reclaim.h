/* SPDX-License-Identifier: Apache-2.0 */
/* Abandoned heads. */
#ifndef TH_TREE_CATALOGUE_HEAD_RECLAIM_H
#define TH_TREE_CATALOGUE_HEAD_RECLAIM_H

#include "tree/state/state.h"

#define TH_ABANDONED_NODES 4096 /* of a head that is being freed, read in one commit */

/* Within a commit: gives up a head, of which it frees in later commits what was born after generation `than`.  The head
 * is taken over. */
int th_head_abandon(struct th_store *store, struct th_head *head, uint64_t than);
/* Within a commit: frees a bounded part of what was abandoned and has no view.  budget: of entries of dead lists, which
 * are taken off it. */
int th_head_reclaim_step(struct th_store *store, size_t *budget);
/* Is there such? */
bool th_head_reclaim_due(struct th_store *store);

#endif
