/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entered snapshots: a snapshot of which inodes are in memory, or that the whole mount shows.  All directories through
 * which it was entered share one view.
 */
#ifndef TH_FS_INODE_ENTERED_SNAPSHOT_H
#define TH_FS_INODE_ENTERED_SNAPSHOT_H

#include "fs/inode/context.h"
#include "fs/inode/inode_number.h"

struct th_entered_snapshot {
	uint64_t id;
	uint64_t created_ns;
	struct th_view *view;
	_Atomic uint64_t
		depths[(TH_NODE_DEPTH_MAX + 1) / 64]; /* a bit for each depth of a node id that the kernel got */
	_Atomic bool deleted; /* after it was entered; it stays readable until the last reference is put */
	unsigned refs; /* fs->entrance_lock */
	struct th_entered_snapshot *next_deleted; /* fs->entrance_lock */
};

/* Enters the snapshot; callers share one.  The caller puts it.  May read the disk; takes fs->entrance_lock.  Returns 0,
 * or
 * -ENOENT if there is no such snapshot. */
int th_entered_snapshot_get(struct th_fs *fs, uint64_t id, struct th_entered_snapshot **ret);
struct th_entered_snapshot *th_entered_snapshot_ref(struct th_fs *fs, struct th_entered_snapshot *snapshot);
/* Drops a reference.  The last one closes the view. */
void th_entered_snapshot_put(struct th_fs *fs, struct th_entered_snapshot *snapshot);

/* Enters the snapshot that the mount shows as its root, and sets fs->base; for th_fs_open. */
int th_entered_snapshot_open_base(struct th_fs *fs, uint64_t id);

/* Marks the entered snapshot with this id as deleted, if there is one. */
void th_entered_snapshot_mark_deleted(struct th_fs *fs, uint64_t id);
/* Returns the smallest id above `id` of an entered snapshot that was deleted and is still referenced; 0: none. */
uint64_t th_entered_snapshot_next_deleted(struct th_fs *fs, uint64_t id);

/* Notes that the kernel may know node ids with this depth (inode_number.h); returns whether it may. */
void th_entered_snapshot_note_depth(struct th_entered_snapshot *snapshot, unsigned depth);
bool th_entered_snapshot_has_depth(const struct th_entered_snapshot *snapshot, unsigned depth);

#endif
