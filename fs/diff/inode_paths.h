/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of inodes in one view, found by walking up: an inode's value names its directory and its name there.  The paths
 * of directories that were met lately are remembered, so that siblings cost one walk.
 */
#ifndef TH_FS_DIFF_INODE_PATHS_H
#define TH_FS_DIFF_INODE_PATHS_H

#include "tree/thunderhead.h"

struct th_inode_paths;

/* Paths in `view`, which must outlive this, relative to the directory `root`. */
int th_inode_paths_new(struct th_view *view, uint64_t root, struct th_inode_paths **ret);
void th_inode_paths_free(struct th_inode_paths *paths); /* NULL is fine */

/* The path of what is called `name` in the directory with that id: "/a/b".  The caller frees *ret.  1: it is not below
 * the root.  -EUCLEAN: the way up is broken. */
int th_inode_paths_join(struct th_inode_paths *paths, uint64_t directory, const char *name, char **ret);

#endif
