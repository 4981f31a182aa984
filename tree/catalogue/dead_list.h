/* SPDX-License-Identifier: Apache-2.0 */
/* Dead lists: within a checkpoint. */
#ifndef TH_TREE_CATALOGUE_DEAD_LIST_H
#define TH_TREE_CATALOGUE_DEAD_LIST_H

#include "tree/state/state.h"

/* Settles what left the live tree: freed, or kept for a snapshot.  Changes the array. */
int th_dead_settle(struct th_store *store, struct th_blockrun *runs, size_t count);
/* Keeps in mind which of the references merged since the freeze are strays. */
int th_dead_strays(struct th_store *store, const struct th_drops *strays);
/* The last holder of these blocks is gone, unless they are shared. */
int th_dead_free(struct th_store *store, const struct th_blockrun *run);
/* Tags of runs in dead lists. */
enum th_dead_tag { TH_DEAD_DATA, TH_DEAD_NODE };

#endif
