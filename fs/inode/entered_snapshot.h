/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entered snapshots: a snapshot that is read through one directory's .snapshots, or that the whole mount shows.
 *
 * Each pair of snapshot and directory has a number, and the kernel's name for an inode is (number << TH_ID_BITS | id).
 * With the snapshot's id in its place, D/.snapshots/S and .snapshots/S/D would be one directory in two places, and the
 * kernel would move its name from one to the other.  st_ino shows the snapshot's id.
 */
#ifndef TH_FS_INODE_ENTERED_SNAPSHOT_H
#define TH_FS_INODE_ENTERED_SNAPSHOT_H

#include "fs/inode/context.h"

struct th_entered_snapshot {
	uint64_t id; /* the snapshot's, for st_ino */
	uint64_t number; /* for the kernel; 0: base of the mount */
	uint64_t root; /* the directory through which it was entered */
	struct th_view *view;
	_Atomic bool deleted; /* after it was entered; it stays readable until the last reference is put */
	unsigned refs; /* fs->entrance_lock */
	struct th_entered_snapshot *next; /* fs->entrance_lock */
};

/* Enters the snapshot through the directory with the id `root`.  Callers with the same pair share one.  The caller puts
 * it.  May read the disk; takes fs->entrance_lock.  Returns 0, or -ENOENT if there is no such snapshot. */
int th_entered_snapshot_get(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_entered_snapshot **ret);
struct th_entered_snapshot *th_entered_snapshot_ref(struct th_fs *fs, struct th_entered_snapshot *snapshot);
/* Drops a reference.  The last one closes the view. */
void th_entered_snapshot_put(struct th_fs *fs, struct th_entered_snapshot *snapshot);

/* Enters the snapshot that the mount shows as its root, and sets fs->base; for th_fs_open. */
int th_entered_snapshot_open_base(struct th_fs *fs, uint64_t snapshot_id);

/* Marks all entered snapshots with this id as deleted. */
void th_entered_snapshot_mark_deleted(struct th_fs *fs, uint64_t snapshot_id);
/* Returns the smallest number above `number` of an entered snapshot that was deleted and is still referenced; 0:
 * none. */
uint64_t th_entered_snapshot_next_deleted(struct th_fs *fs, uint64_t number);

#endif
