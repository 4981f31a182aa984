/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of the last checkpoint.
 *
 * While checkpoint_lock is held, no block of these trees is handed out again: a block that left them is reusable only
 * after a later checkpoint (S3).  So a block that a path from such a root leads to belongs to the node on that path.
 *
 * All functions here require checkpoint_lock.
 */
#ifndef TH_TREE_SCRUB_ROOTS_H
#define TH_TREE_SCRUB_ROOTS_H

#include "tree/state/state.h"

enum th_root_kind { TH_ROOT_SNAPSHOT, TH_ROOT_META, TH_ROOT_LIVE, TH_ROOT_BRANCH };

struct th_root {
	enum th_root_kind kind;
	uint64_t id; /* of the snapshot or branch */
	struct th_ptr ptr;
	struct th_blocklist list[2]; /* its dead list and strays; of the meta tree: the space log */
	char name[TH_SNAPSHOT_NAME_MAX + 1]; /* of the snapshot or branch, else empty */
};

/* Sets *ret to the oldest snapshot with an id above `after`.  Snapshots that are being deleted count too.  Returns
 * false if there is none. */
bool th_root_snapshot(struct th_store *store, uint64_t after, struct th_root *ret);
/* Sets *ret to head number `number`: 0 is the meta tree, 1 the live tree, then come the heads of the other branches.
 * Returns false if there is none. */
bool th_root_head(struct th_store *store, uint64_t number, struct th_root *ret);
/* Calls visit() for the lists of all abandoned heads.  Returns 0 or the first other result of visit(). */
int th_root_abandoned_lists(struct th_store *store, int (*visit)(const struct th_blocklist *list, void *arg),
			    void *arg);
/* Returns whether one of the trees has the node that a pointer names.  fence: the lower fence of the node. */
bool th_roots_have(struct th_store *store, const struct th_ptr *ptr, struct th_slice fence);

#endif
