/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that were replaced.  Many programs save a file by writing a new one and renaming it over the old one.  For the
 * filesystem one inode lost its name and another one got it: a removed file and an added one.  For a user the file was
 * modified.
 */
#ifndef TH_TOOLS_CHANGE_MERGE_H
#define TH_TOOLS_CHANGE_MERGE_H

#include "fs/format/change_record.h"

/* Makes one TH_CHANGE_MODIFIED of each removed and added name that have the same path and type.  The path is that in
 * the older view, so a file is found below a renamed directory too.  `replaced` is the removed inode.  The contents are
 * not compared: the whole file counts as changed, and `rough` is set.  Extended attributes, flags and device numbers
 * are not compared either.  The order of the changes becomes undefined. */
void th_changes_merge(struct th_fs_change *changes, size_t *count);
/* Sorts by path.  Of a removed and an added name with the same path, the removed one comes first. */
void th_changes_sort(struct th_fs_change *changes, size_t count);

#endif
