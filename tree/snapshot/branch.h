/* SPDX-License-Identifier: Apache-2.0 */
/* Branches. */
#ifndef TH_TREE_SNAPSHOT_BRANCH_H
#define TH_TREE_SNAPSHOT_BRANCH_H

#include "tree/checkpoint/checkpoint.h"

/* Within a commit: the generation of the current branch's newest snapshot, or else of its origin (0: none), and of its
 * origin.  What was born later than the first is nobody else's; what was not born later than the second is not the
 * branch's. */
void th_branch_limits(struct th_store *store, uint64_t *ret_newest, uint64_t *ret_origin);
/* The generation of the branch's origin, 0 if there is none.  snapshot_lock or checkpoint_lock is held. */
uint64_t th_branch_origin(struct th_store *store, const struct th_branch_record *record);
/* Does a branch begin from the snapshot, other than one that is deleted itself?  snapshot_lock is held. */
bool th_branch_pins(struct th_store *store, uint64_t snapshot);
/* Within the first commit of all: the branch that a store begins with. */
int th_branch_first_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
/* Makes another branch the current one; for th_store_open.  -ENOENT. */
int th_branch_switch(struct th_store *store, const char *name);

#endif
