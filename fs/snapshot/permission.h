/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which callers may change snapshots, by the tool and in .snapshots: one rule for both.  And which may list them.
 *
 * A snapshot belongs to the whole filesystem.  So neither the owner of a directory, nor root in a container that sees
 * only a part of the tree, may delete it, unless the mount delegates that (options.snapshots).
 */
#ifndef TH_FS_SNAPSHOT_PERMISSION_H
#define TH_FS_SNAPSHOT_PERMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/inode/context.h"

/* The process that makes a request. */
struct th_caller {
	uint32_t uid;
	bool admin; /* root of the machine, or the user who mounted */
	bool reads_root; /* asks by a descriptor of the mount's root directory, for which it needed the right to read it */
};

/* Returns whether the caller may create, delete and rename snapshots.  Takes the lock of the root directory. */
bool th_may_change_snapshots(const struct th_fs *fs, const struct th_caller *caller);
/* Returns whether the caller may change branches and holds. */
bool th_may_change_branches(const struct th_fs *fs, const struct th_caller *caller);
/* Returns whether the caller may list snapshots, branches and holds, and ask for information. */
bool th_may_list_snapshots(const struct th_fs *fs, const struct th_caller *caller);

#endif
