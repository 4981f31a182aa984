/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference between two views of a filesystem, as changes of files (change_record.h).
 *
 * The store lists the keys that differ, in key order, without visiting unchanged parts.  The keys of one inode are
 * adjacent, so they are processed inode by inode.  An inode knows its names, and paths are found by walking up from
 * there (inode_paths.h).  Entries below a renamed directory are not visited: their keys are unchanged.
 *
 * An inode without names, kept because it was in use, counts as absent.  A directory with a new or removed entry
 * changes in size and time, so it is reported as modified too, as by zfs diff.
 */
#ifndef TH_FS_DIFF_DIFF_H
#define TH_FS_DIFF_DIFF_H

#include "fs/format/change_record.h"
#include "fs/inode/context.h"

struct th_fs_diff;

struct th_fs_diff_options {
	const char *from, *to; /* a snapshot, or else a branch; `to` NULL: the live tree as it is now */
	const char *path; /* "/a/b": only changes there, or below it (diff_scope.h); NULL: all */
	bool ranges; /* changes list the ranges whose content differs */
};

/* Opens the diff between two views, in either order of time.  It covers the files below the root of fs, which must
 * outlive it.  Returns 0, -ENOENT if `from` or `to` does not exist, -ENXIO if neither view has the path, or an error of
 * the store.  No lock held (L5). */
int th_fs_diff_open(struct th_fs *fs, const struct th_fs_diff_options *options, struct th_fs_diff **ret);
/* Returns 0 with the next change in the order of inode numbers, which the caller releases; 1 at the end; -EAGAIN if
 * there is none among the next 1024 inodes, to be called again; -EUCLEAN after a report; or an error of the store. */
int th_fs_diff_next(struct th_fs_diff *diff, struct th_fs_change *ret);
void th_fs_diff_stats(const struct th_fs_diff *diff, struct th_diff_stats *ret);
void th_fs_diff_close(struct th_fs_diff *diff); /* NULL is fine */

#endif
