/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branches as the filesystem sees them: as th_branch_*, and ids that no two of them use for different things.
 *
 * An id means one file for ever, on all branches and in all snapshots; else a diff across them would take two files for
 * one.  So ids are given out from the store's mark on, which is never below any tree's own next id.
 */
#ifndef TH_FS_BRANCH_H
#define TH_FS_BRANCH_H

#include "fs/fs.h"

/* A tree's own next id.  -ENOENT: it has no such number, and *ret is 0; -EUCLEAN: it cannot be one. */
int th_fs_view_next_id(struct th_view *view, uint64_t *ret);
/* The id from which on none was ever given out, on any branch: the live tree's own if there is no better knowledge.
 * -ENOENT: the live tree has no such number. */
int th_fs_next_id(struct th_store *store, uint64_t *ret);

/* from NULL: from a snapshot of the present, called as the branch with TH_FS_BRANCH_ORIGIN behind it.  -EEXIST: the
 * branch or that snapshot is there. */
#define TH_FS_BRANCH_ORIGIN "-origin"
int th_fs_branch_create(struct th_fs *fs, const char *name, const char *from, struct th_branch *ret);
int th_fs_branch_delete(struct th_fs *fs, const char *name, bool snapshots);
int th_fs_branch_rename(struct th_fs *fs, const char *from, const char *to);

/* th_store_rollback of a store that holds a filesystem, which is not open.  keep: the name of a snapshot that is taken
 * of the present before; NULL: it is lost. */
int th_fs_rollback(struct th_store *store, const char *snapshot, const char *keep);

#endif
