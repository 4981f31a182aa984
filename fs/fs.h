/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem in a store: what all of fs/ shares.  Nothing here needs FUSE; the tools use it on images that are not
 * mounted.
 *
 * Locks, in the order in which they are taken.  Breaking it deadlocks.
 *
 *   L1  fs->rename_lock: held by whoever moves or exchanges names between two directories, or a directory over another.
 *   L2  inode->lock of directories: a parent before its child.  Two directories that are not parent and child are
 *       locked together only under L1; then an ancestor goes first, else the smaller id.  So all but the one holder of
 *       L1 go strictly down the tree, and a ring of waiters would need it to wait for something above what it holds.
 *   L3  inode->lock of other inodes, after every directory; two of them in the order of their ids.
 *   L4  leaves, under which no other lock is taken: fs->table_lock (and under it fs->entrance_lock), the
 *       data side's dirty list.  fs->id_lock is a leaf too, but a transaction may be committed under it.
 *   L5  th_store_checkpoint, th_store_sync and th_snapshot_create are called with no lock of this list held: they call, or
 *       wait for somebody who calls, before_checkpoint, which takes inode locks.  Transactions are begun, and committed,
 *       with inode locks held, so these must never wait for a before_checkpoint.
 *
 *   L6  No lock of this list is held while the disk is read for what others do not need: th_nowait_begin, edge.h,
 *       th_extent_guard.  docs/architecture.md has the exceptions.
 *
 * A change is staged in a transaction from copies of the attributes; memory takes them over (th_inode_publish) only
 * when the transaction has been committed.  So a failure leaves memory and store as they were.
 */
#ifndef TH_FS_FS_H
#define TH_FS_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include "fs/format/format.h"
#include "tree/thunderhead.h"

struct th_disk;
struct th_inode;
struct th_inode_table;

enum th_snapdir_mode {
	TH_SNAPDIR_ROOT, /* listed in the root directory, found by name in every directory */
	TH_SNAPDIR_HIDDEN, /* listed nowhere, found everywhere */
	TH_SNAPDIR_VISIBLE, /* listed everywhere */
	TH_SNAPDIR_DISABLED, /* does not exist; ".snapshots" is a name like any other */
};

#define TH_SNAPDIR_NAME ".snapshots"

enum th_atime_mode {
	TH_ATIME_RELATIVE, /* changes with the first reading after a change, and once a day */
	TH_ATIME_NEVER,
	TH_ATIME_STRICT, /* with each reading */
};

struct th_fs_options {
	bool read_only;
	enum th_snapdir_mode snapdir;
	enum th_atime_mode atime;
	bool no_dir_atime; /* none of it for directories */
	const char *branch; /* make this branch the current one; NULL: the one that is */
	const char *snapshot; /* show this snapshot instead of the live tree; NULL: live.  Implies read_only */
	const char *subdir; /* show this directory (a path from the root) as the root; NULL: the root */
	size_t cache_bytes; /* as in struct th_store_options */
	unsigned checkpoint_interval_ms;
	void (*report)(void *arg, const char *line); /* trouble, one line; NULL: stderr */
	void *report_arg;
	uint64_t (*name_hash)(const void *name, size_t size); /* for tests that need collisions; NULL: XXH3 */
};

/*
 * A snapshot that is being looked at, entered through one directory's .snapshots (or the whole mount's base).  Each
 * entrance has a number of its own, and the kernel knows an inode by (number << TH_ID_BITS | id): were it known by the
 * snapshot's id, D/.snapshots/S and .snapshots/S/D would be one directory with two places, and the kernel would move
 * its name from the one to the other.  st_ino shows the snapshot's id.
 */
struct th_fs_snapshot {
	uint64_t id; /* the snapshot's, for st_ino */
	uint64_t number; /* the entrance's, for the kernel; 0: base of the mount */
	uint64_t root; /* directory it was entered by */
	struct th_view *view;
	_Atomic bool deleted; /* since it was entered: it stays until whoever is in it has left */
	unsigned refs; /* fs->entrance_lock */
	struct th_fs_snapshot *next; /* fs->entrance_lock */
};

struct th_fs {
	struct th_store *store;
	struct th_view *live;
	struct th_fs_options options; /* strings are copied */
	bool read_only;
	struct th_fs_snapshot *base; /* the snapshot that the mount shows; NULL: live */
	struct th_inode *root; /* of the mount; held */

	pthread_mutex_t rename_lock; /* L1 */

	pthread_mutex_t table_lock; /* guards the table, and refs and nlookup of its inodes */
	struct th_inode_table *table; /* inode.c */

	pthread_mutex_t id_lock;
	uint64_t next_id, reserved_id; /* ids below reserved_id are spoken for in the store, on all branches */

	pthread_mutex_t
		checkpoint_hook_lock; /* held while a commit's before_checkpoint runs; before every lock of the list above */
	bool closing;

	pthread_mutex_t entrance_lock;
	struct th_fs_snapshot *snapshots;
	uint64_t next_number;

	_Atomic uint64_t given_up; /* blocks that files lost, and that the store may not know of yet (th_fs_statfs) */

	void *dirty; /* the data side's list of dirty inodes (dirty.c); made by th_dirty_init, ended by th_dirty_release
		      */

	_Atomic uint64_t snapshots_changed_ns; /* when a snapshot was deleted or renamed last; 0: not since mounting */
	/* Told, with no lock held, that snapshots have changed; and that the one called `name` (NULL: it is a new one)
	 * is no longer what it was: what the kernel has cached under that name is stale, except in the .snapshots of
	 * the directory `except` (0: none), where the kernel itself asked for it.  NULL: nobody cares. */
	void (*snapshot_changed)(void *arg, const char *name, uint64_t except);
	void *snapshot_changed_arg;
};

/* Writes an empty filesystem: a store with a root directory (mode 0755, owned by uid and gid).  The disk stays the
 * caller's. */
int th_fs_format(struct th_disk *disk, const struct th_format_options *options, uint32_t uid, uint32_t gid);

/* Is there a filesystem in what the view shows?  1, 0 or -errno. */
int th_fs_present(struct th_view *view);

/* Opens a filesystem: opens the store, removes what a crash left orphaned, resolves options->snapshot and ->subdir.
 * The disk is the filesystem's from here on; if this fails it is closed.  -ENOENT: no such branch, snapshot or
 * directory; -ENODATA: the store holds no filesystem. */
int th_fs_open(struct th_disk *disk, const struct th_fs_options *options, struct th_fs **ret);
/* Writes back everything, commits, frees all of it and the disk.  The error is that of the last commit. */
int th_fs_close(struct th_fs *fs);

/* Says one line of trouble through options.report. */
void th_fs_report(struct th_fs *fs, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An id that was never used.  -ENOSPC, -EROFS. */
int th_fs_new_id(struct th_fs *fs, uint64_t *ret);

/* Everything that returned before this call is durable when it returns (L5). */
int th_fs_sync(struct th_fs *fs);

int th_fs_statfs(struct th_fs *fs, struct statvfs *ret);

/* 0, or -EROFS where nothing may be written. */
int th_fs_writable(const struct th_fs *fs);

/* --- snapshots, as th_snapshot_*, and the kernel's caches are told (L5) --- */

int th_fs_snapshot_create(struct th_fs *fs, const char *name, struct th_snapshot *ret);
int th_fs_snapshot_delete(struct th_fs *fs, const char *name);
int th_fs_snapshot_rename(struct th_fs *fs, const char *from, const char *to);
int th_fs_snapshot_hold(struct th_fs *fs, const char *name, const char *tag);
int th_fs_snapshot_release(struct th_fs *fs, const char *name, const char *tag);

/* The same on behalf of the kernel, in the .snapshots of the directory `in`. */
int th_fs_snapshot_delete_in(struct th_fs *fs, const char *name, uint64_t in);
int th_fs_snapshot_rename_in(struct th_fs *fs, const char *from, const char *to, uint64_t in);

/* Enters a snapshot through a directory; the same entrance is shared. -ENOENT: no such snapshot. */
int th_fs_snapshot_enter(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_fs_snapshot **ret);
/* The snapshot was deleted together with its branch: entrances and the kernel are told. */
void th_fs_snapshot_gone(struct th_fs *fs, const struct th_snapshot *snapshot);
/* Makes a snapshot the base of the mount; for th_fs_open. */
int th_fs_snapshot_base(struct th_fs *fs, uint64_t snapshot_id);
struct th_fs_snapshot *th_fs_snapshot_ref(struct th_fs *fs, struct th_fs_snapshot *snapshot);
void th_fs_snapshot_leave(struct th_fs *fs, struct th_fs_snapshot *snapshot);
/* Of the entrances of deleted snapshots that somebody still uses, the one with the next number after `number`; 0: none.
 */
uint64_t th_fs_snapshot_lingering(struct th_fs *fs, uint64_t number);

#endif
