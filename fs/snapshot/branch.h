/* SPDX-License-Identifier: Apache-2.0 */
/* Branches of a filesystem: as th_branch_*, and also keeps inode ids unique across branches (inode/inode_id.h). */
#ifndef TH_FS_SNAPSHOT_BRANCH_H
#define TH_FS_SNAPSHOT_BRANCH_H

#include "fs/inode/context.h"

/* Appended to a branch's name: the name of the snapshot that th_fs_branch_create takes of the present. */
#define TH_FS_BRANCH_ORIGIN "-origin"

/* Creates a branch from the snapshot `from`; NULL: from a new snapshot of the present.  ret may be NULL.  No lock held
 * (L5).  Returns 0, -EEXIST if the branch or that new snapshot exists, -ENAMETOOLONG, -EINVAL if the name is empty,
 * -EROFS, or as th_branch_create. */
int th_fs_branch_create(struct th_fs *fs, const char *name, const char *from, struct th_branch *ret);
/* Deletes a branch, with `snapshots` also its snapshots.  Returns 0, -EROFS, or as th_branch_delete. */
int th_fs_branch_delete(struct th_fs *fs, const char *name, bool snapshots);
/* Returns 0, -EROFS, or as th_branch_rename. */
int th_fs_branch_rename(struct th_fs *fs, const char *from, const char *to);

/* Returns 0, -EROFS, -ENOLINK if the branch begins from no snapshot, or as th_branch_promote. */
int th_fs_branch_promote(struct th_fs *fs, const char *name);

/* Rolls back a store that holds a filesystem and is opened by no th_fs: as th_store_rollback, and ids used after the
 * snapshot stay used.  keep: name of a snapshot taken of the present first; NULL: the present is lost. */
int th_fs_rollback(struct th_store *store, const char *snapshot, const char *keep);

#endif
