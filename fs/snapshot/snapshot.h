/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of an open filesystem: as th_snapshot_*, and also marks entered snapshots as deleted and reports the change
 * to the kernel (fs->snapshot_changed).
 *
 * All are called with no lock held (L5), and return -EROFS on a read-only filesystem, otherwise as th_snapshot_*.  A
 * branch that is being received (unfinished.h) can have no snapshot: -ECANCELED.
 */
#ifndef TH_FS_SNAPSHOT_SNAPSHOT_H
#define TH_FS_SNAPSHOT_SNAPSHOT_H

#include "fs/inode/context.h"

/* ret may be NULL. */
int th_fs_snapshot_create(struct th_fs *fs, const char *name, struct th_snapshot *ret);
int th_fs_snapshot_delete(struct th_fs *fs, const char *name);
int th_fs_snapshot_rename(struct th_fs *fs, const char *from, const char *to);
int th_fs_snapshot_hold(struct th_fs *fs, const char *name, const char *tag);
int th_fs_snapshot_release(struct th_fs *fs, const char *name, const char *tag);

/* Delete or rename at the kernel's request, in the .snapshots of the directory with the id `in`: the kernel updates its
 * cached entries there itself. */
int th_fs_snapshot_delete_in(struct th_fs *fs, const char *name, uint64_t in);
int th_fs_snapshot_rename_in(struct th_fs *fs, const char *from, const char *to, uint64_t in);

/* Completes the deletion of a snapshot that the store has deleted together with its branch. */
void th_fs_snapshot_deleted_with_branch(struct th_fs *fs, const struct th_snapshot *snapshot);

#endif
