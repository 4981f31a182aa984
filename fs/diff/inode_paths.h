/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of inodes in one view, found by walking up: an inode's value holds its parent directory and its name there.
 * The paths of recent directories are cached, so that siblings cost one walk.
 */
#ifndef TH_FS_DIFF_INODE_PATHS_H
#define TH_FS_DIFF_INODE_PATHS_H

#include "tree/thunderhead.h"

struct th_inode_paths;

/* Makes a finder of paths in `view`, which must outlive it, relative to the directory `root`.  Returns 0 or -ENOMEM. */
int th_inode_paths_new(struct th_view *view, uint64_t root, struct th_inode_paths **ret);
void th_inode_paths_free(struct th_inode_paths *paths); /* NULL is fine */

/* Finds the path ("/a/b") of the entry `name` in the directory with that id.  The caller frees *ret.  Returns 0, 1 if
 * it is not below the root, -EUCLEAN if its ancestors are broken or form a cycle, -ENOMEM, or an error of the store. */
int th_inode_paths_join(struct th_inode_paths *paths, uint64_t directory, const char *name, char **ret);

#endif
