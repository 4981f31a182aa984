/* SPDX-License-Identifier: Apache-2.0 */
/* The branch into which a stream is received: which one, whether it may be, and making it ready. */
#ifndef TH_FS_STREAM_TARGET_BRANCH_H
#define TH_FS_STREAM_TARGET_BRANCH_H

#include "fs/snapshot/unfinished.h"
#include "fs/stream/record.h"

struct th_target_branch {
	char name[TH_BRANCH_NAME_MAX + 1];
	bool resumed; /* it has a part of the snapshot: `unfinished` is its record */
	char kept[TH_BRANCH_NAME_MAX + 1]; /* the new name of the branch that had this name; empty: none */
	struct th_unfinished unfinished;
	struct th_snapshot base; /* its id is 0 if there is none */
};

#define TH_TARGET_WHY_MAX 1024

/* Finds or makes the branch for a stream.  wanted: its name, or NULL.  Returns 0, or an error with its reason in `why`,
 * of TH_TARGET_WHY_MAX bytes; the reason is empty for errors of the store. */
int th_target_branch_prepare(struct th_fs *fs, const struct th_stream_info *info, const char *wanted, bool force,
			     struct th_target_branch *ret, char *why);
/* Finds a branch that is being received: `name`, NULL: any.  Returns 0, -ENOENT, or a read error. */
int th_target_branch_unfinished(struct th_fs *fs, const char *name, struct th_target_branch *ret);
/* Makes the current branch, which is being received, as it was before.  Returns 0 or a write error. */
int th_target_branch_reset(struct th_fs *fs, const struct th_unfinished *unfinished);

#endif
