/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshots, holds and branches of a target, as one reading of the three lists. */
#ifndef TH_TOOLS_SNAPSHOT_LISTS_H
#define TH_TOOLS_SNAPSHOT_LISTS_H

#include <stdbool.h>

#include "fs/snapshot/select.h"
#include "tools/target.h"

struct th_snapshot_lists {
	struct th_control_snapshot *snapshots; /* oldest first */
	size_t count;
	struct th_control_held *holds;
	size_t nholds;
	struct th_control_branch *branches;
	size_t nbranches;
};

/* Reads the lists.  Release them even after an error.  Returns 0 or -errno; reports nothing. */
int th_snapshot_lists_read(struct th_target *target, struct th_snapshot_lists *ret);
void th_snapshot_lists_release(struct th_snapshot_lists *lists);

/* Returns the snapshot of this name, or NULL. */
const struct th_control_snapshot *th_snapshot_lists_find(const struct th_snapshot_lists *lists, const char *name);
/* Returns the branch of a snapshot; NULL if it was deleted between the requests for the lists. */
const struct th_control_branch *th_snapshot_lists_branch(const struct th_snapshot_lists *lists,
							 const struct th_control_snapshot *snapshot);
/* Returns a branch whose origin is the snapshot and that remains when some snapshots are deleted, or NULL.
 *
 * doomed: whether each snapshot is to be deleted; NULL: none. */
const struct th_control_branch *th_snapshot_lists_pin(const struct th_snapshot_lists *lists,
						      const struct th_control_snapshot *snapshot, const bool *doomed);

/* Returns the snapshots for fs/snapshot/select.h, none of them selected.  The names are the lists'; the caller frees
 * *ret.  Returns 0 or -ENOMEM. */
int th_snapshot_lists_select(const struct th_snapshot_lists *lists, struct th_select **ret);
/* Returns the space that each snapshot alone holds, in bytes, or TH_CONTROL_SPACE_UNKNOWN; of all, if the user may not
 * ask for it.  The caller frees *ret.  Returns 0 or -errno; reports nothing. */
int th_snapshot_lists_spaces(struct th_target *target, const struct th_snapshot_lists *lists, uint64_t **ret);
/* Computes the space that deleting some snapshots frees, in bytes; TH_CONTROL_SPACE_UNKNOWN if it is not known.
 *
 * doomed: whether each snapshot is to be deleted.  Returns 0 or -errno; reports nothing. */
int th_snapshot_lists_space_of(struct th_target *target, const struct th_snapshot_lists *lists, const bool *doomed,
			       uint64_t *ret_bytes);

bool th_snapshot_is_held(const struct th_control_snapshot *snapshot);
bool th_branch_is_detached(const struct th_control_branch *branch);

#endif
