/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a filesystem that a diff covers: a file, or a directory with all below it, that the user has named by the
 * path in one of the two views.
 *
 * The path is looked up in both views, and may lead to two inodes, or to one.  A directory is in scope by its identity,
 * on both sides, whatever its path is there: so files that were added below a directory are found by the old name of
 * the directory too.  The renaming of a directory above the named one is in scope, since it changes the path.
 */
#ifndef TH_FS_DIFF_DIFF_SCOPE_H
#define TH_FS_DIFF_DIFF_SCOPE_H

#include "fs/diff/inode_names.h"
#include "fs/diff/inode_paths.h"

struct th_diff_scope_side {
	bool found; /* the path exists in this view */
	uint64_t id, parent; /* of the inode; of the directory that has its name */
};

struct th_diff_scope {
	bool limited; /* false: everything is in scope, and the rest is unused */
	struct th_diff_scope_side from, to;
	char *name; /* the last part of the path */
	uint64_t *above; /* the directories that the path leads through, in either view */
	size_t nabove, capacity;
	uint64_t directories[TH_INODE_PATHS_SCOPE]; /* for th_inode_paths_set_scope */
};

/* Looks up a path ("/a/b"; repeated slashes and "." count as nothing) from the root of fs.  A path without names is the
 * root: no limit.  The caller releases the scope, after an error too.  Returns 0, -ENXIO if neither view has the path,
 * -ENOMEM, or an error of the store. */
int th_diff_scope_init(struct th_diff_scope *scope, struct th_fs *fs, struct th_view *from, struct th_view *to,
		       const char *path);
void th_diff_scope_release(struct th_diff_scope *scope);

/* Is the name in scope?  side: &scope->from or &scope->to.  inside: its directory is in scope (th_inode_paths_join). */
bool th_diff_scope_has(const struct th_diff_scope *scope, const struct th_diff_scope_side *side, uint64_t id,
		       const struct th_inode_name *name, bool inside);
/* Is the inode a directory that the path leads through? */
bool th_diff_scope_passes(const struct th_diff_scope *scope, uint64_t id);

#endif
