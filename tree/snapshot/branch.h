/* SPDX-License-Identifier: Apache-2.0 */
/* Branches. */
#ifndef TH_TREE_SNAPSHOT_BRANCH_H
#define TH_TREE_SNAPSHOT_BRANCH_H

#include "tree/checkpoint/checkpoint.h"

/* Within the first commit of all: the branch that a store begins with. */
int th_branch_first_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
/* Makes another branch the current one; for th_store_open.  -ENOENT. */
int th_branch_switch(struct th_store *store, const char *name);

#endif
