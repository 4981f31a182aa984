/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollback of an open filesystem, which may be mounted: docs/architecture.md, "Rollback of a mounted filesystem".
 * th_fs_rollback() of snapshot/branch.h is for a store that no filesystem is open on.
 */
#ifndef TH_FS_CONTROL_ROLLBACK_H
#define TH_FS_CONTROL_ROLLBACK_H

#include "fs/inode/context.h"

struct th_diff_sessions;

/* Names in directories, packed: each is the id of its directory (8 bytes), its size (1 byte) and its bytes. */
struct th_name_list {
	uint8_t *bytes;
	size_t size, capacity;
};

/* Reads the name at *at, and moves *at to the next one.  *ret_name points into the list.  Returns false at the end. */
bool th_name_list_next(const struct th_name_list *names, size_t *at, uint64_t *ret_parent, struct th_slice *ret_name);

/* Rolls back the current branch to a snapshot, of any branch.  Requests wait meanwhile, and diff sessions end.  Files
 * that the snapshot does not have are -ESTALE afterwards; the others stay open, with the snapshot's content.
 *
 * keep: name of a snapshot taken of the present first; NULL: the present is lost.
 * Returns 0; -ENOENT if there is no such snapshot; -ENOTDIR if it does not have the directory that is mounted; -EEXIST,
 * -EINVAL or -ENAMETOOLONG for `keep`, as th_snapshot_create(); -EBUSY if a transaction or frozen view is open; -EROFS;
 * or another error of the store.  On an error nothing has changed.  No lock held (L5); one call at a time. */
int th_rollback_open(struct th_fs *fs, struct th_diff_sessions *sessions, const char *snapshot, const char *keep);

#endif
