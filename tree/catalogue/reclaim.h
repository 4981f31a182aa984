/* SPDX-License-Identifier: Apache-2.0 */
/* Giving space back. */
#ifndef TH_TREE_CATALOGUE_RECLAIM_H
#define TH_TREE_CATALOGUE_RECLAIM_H

#include "tree/state/state.h"

#define TH_RECLAIM_ENTRIES 16384 /* of dead lists, looked at in one commit */

/* Within a commit: a bounded part of what is to be done. */
int th_reclaim_step(struct th_store *store);
/* Within every commit: which snapshots are being deleted; and how many deletions there have been up to now. */
int th_reclaim_note(struct th_store *store, uint64_t *ret_deletions);
/* Is there a deletion that no commit holds? */
bool th_reclaim_unnoted(struct th_store *store);
/* Is there something that a commit would note or give back? */
bool th_reclaim_due(struct th_store *store);

#endif
