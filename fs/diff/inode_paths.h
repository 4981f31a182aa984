/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of inodes in one view, found by walking up: an inode's value holds its parent directory and its name there.
 * Recent directories are cached, so that siblings cost one walk, and a directory below a cached one costs one step.
 *
 * No tree is too deep.  A path of PATH_MAX bytes or more, which no program can use in one call, is abbreviated:
 * "/a/b//...65000...//y/z" stands for a path with 65000 more names in the middle.  No other path has two slashes in a
 * row.  So the cost and the size of a path do not grow with its depth.
 */
#ifndef TH_FS_DIFF_INODE_PATHS_H
#define TH_FS_DIFF_INODE_PATHS_H

#include "tree/thunderhead.h"

/* Bytes of both ends that an abbreviated path keeps, in whole names. */
#define TH_INODE_PATHS_END 512
#define TH_INODE_PATHS_SCOPE 2 /* directories */

struct th_inode_paths;

/* Makes a finder of paths in `view`, which must outlive it, relative to the directory `root`.  Returns 0 or -ENOMEM. */
int th_inode_paths_new(struct th_view *view, uint64_t root, struct th_inode_paths **ret);
void th_inode_paths_free(struct th_inode_paths *paths); /* NULL is fine */
/* Sets the directories whose contents th_inode_paths_join reports as inside; 0: none.  To be called before it. */
void th_inode_paths_set_scope(struct th_inode_paths *paths, const uint64_t directories[TH_INODE_PATHS_SCOPE]);

/* Finds the path ("/a/b") of the entry `name` in the directory with that id.  The caller frees *ret.  *ret_inside: the
 * directory is one of the scope, or below one.  Returns 0, 1 if it is not below the root, -EUCLEAN if its ancestors are
 * broken or form a cycle, -ENOMEM, or an error of the store. */
int th_inode_paths_join(struct th_inode_paths *paths, uint64_t directory, const char *name, char **ret,
			bool *ret_inside);
/* Returns 1 if the view has this directory, and it has a name or is the root of the filesystem; 0 if not; or an error
 * of the store. */
int th_inode_paths_has(struct th_inode_paths *paths, uint64_t directory);

#endif
