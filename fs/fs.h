/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats, opens and closes a filesystem in a store.  struct th_fs and the lock order are in inode/context.h.
 *
 * Nothing below fs/fuse needs FUSE: the tools open images that are not mounted.
 */
#ifndef TH_FS_FS_H
#define TH_FS_FS_H

#include <sys/statvfs.h>

#include "fs/inode/context.h"

struct th_disk;

/* Copies of metadata where the options name no number: a damaged block near the root would cost the whole tree. */
#define TH_FS_METADATA_COPIES 2

/* Writes an empty filesystem: a store with a root directory of mode 0755, owned by uid and gid.  The caller keeps the
 * disk. */
int th_fs_format(struct th_disk *disk, const struct th_format_options *options, uint32_t uid, uint32_t gid);

/* Returns 1 if the view shows a filesystem, 0 if not, or -errno. */
int th_fs_present(struct th_view *view);

/* Opens a filesystem: opens the store, deletes the orphans that a crash left, resolves options->snapshot and ->subdir.
 * On success the disk belongs to the filesystem, on failure to the caller.  Returns 0, -ENOENT if there is no such
 * branch, snapshot or directory, -ENOTDIR if subdir is not a directory, -ENODATA if the store holds no filesystem,
 * -ECANCELED if the branch is being received (th_fs_options.unfinished), or as th_store_open. */
int th_fs_open(struct th_disk *disk, const struct th_fs_options *options, struct th_fs **ret);
/* Writes back everything, makes the last checkpoint, frees the filesystem and closes the disk.  Returns 0, or the error
 * of the writeback or of that checkpoint; all is freed in either case. */
int th_fs_close(struct th_fs *fs);

/* Makes durable everything that returned before this call.  No lock held (L5). */
int th_fs_sync(struct th_fs *fs);

/* Fills in *ret, after a checkpoint if much was deleted since the last: so the space of deleted files counts as free.
 * No lock held (L5). */
void th_fs_info(struct th_fs *fs, struct th_store_info *ret);
/* Fills in statvfs(3).  May run a checkpoint; no lock held (L5).  Returns 0. */
int th_fs_statfs(struct th_fs *fs, struct statvfs *ret);

#endif
