/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference between two views of a filesystem, as changes of files (change.h).
 *
 * The store tells which keys differ, in key order, without looking at what has not changed.  One inode's keys lie
 * together, so the keys are taken an inode at a time; an inode knows its names, and paths are found by walking up from
 * there (paths.h).  What lies below a renamed directory is not looked at: its keys are the same.
 *
 * An inode that has no name left, but was kept because it was in use, is not there.  Directories: an entry that comes
 * or goes changes the directory's size and time, so the directory is told as modified too, as zfs diff does.
 */
#ifndef TH_FS_DIFF_DIFF_H
#define TH_FS_DIFF_DIFF_H

#include "fs/format/change_record.h"
#include "fs/fs.h"

struct th_fs_diff;

/* Between the snapshot or else branch `from` and the one called `to` (NULL: the live tree as it is now), in either
 * order of time; only what is below the root of fs, which must outlive the diff.  ranges: say where contents differ.
 * -ENOENT: there is none of that name. */
int th_fs_diff_open(struct th_fs *fs, const char *from, const char *to, bool ranges, struct th_fs_diff **ret);
/* The next change, in the order of inode numbers.  It is the caller's to release.  1: that was all. */
int th_fs_diff_next(struct th_fs_diff *diff, struct th_fs_change *ret);
void th_fs_diff_stats(const struct th_fs_diff *diff, struct th_diff_stats *ret);
void th_fs_diff_close(struct th_fs_diff *diff);

#endif
