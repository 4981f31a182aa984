/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inode ids.
 *
 * An id names one file forever, on all branches and in all snapshots.  Otherwise a diff across two branches would take
 * two files for one.  So ids are allocated from the store's mark upwards, and the mark is never below the next id that
 * any tree records for itself.  Ids are reserved in batches: most allocations do not write.
 */
#ifndef TH_FS_INODE_INODE_ID_H
#define TH_FS_INODE_INODE_ID_H

#include "fs/inode/context.h"

/* Allocates an id that was never used.  Takes fs->id_lock.  Returns 0, -ENOSPC if all ids are used, -EROFS, or an error
 * of the transaction that reserves the next batch. */
int th_fs_new_id(struct th_fs *fs, uint64_t *ret);

/* Reads the next id that a tree records for itself.  Returns 0, -ENOENT if there is none (*ret is 0), or -EUCLEAN if
 * the value cannot be an id. */
int th_fs_view_next_id(struct th_view *view, uint64_t *ret);

/* Finds the first id that no branch has used, and raises the store's mark to it.  An unreadable head of another branch
 * is skipped.  Returns 0, -ENOENT if the live tree has no next id, or -EUCLEAN if the result cannot be an id. */
int th_fs_next_id(struct th_store *store, uint64_t *ret);

#endif
