/* SPDX-License-Identifier: Apache-2.0 */
/* Branches: the operations that opening and formatting a store need.  thunderhead.h has the public ones. */
#ifndef TH_TREE_SNAPSHOT_BRANCH_H
#define TH_TREE_SNAPSHOT_BRANCH_H

#include "tree/checkpoint/checkpoint.h"

/* Creates the branch "main", as the step of the first checkpoint of a store.  Returns 0 or -ENOMEM. */
int th_branch_first_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
/* Makes another branch the current one when a store is opened.  Returns 0, -ENOENT, or a read or write error. */
int th_branch_switch(struct th_store *store, const char *name);

#endif
