/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct th_fs: the open filesystem, as every folder of fs/ sees it.  fs/fs.h opens and closes it.
 *
 * Lock order of fs/, outermost first.  Violating it deadlocks.
 *
 *   L0  fs->quiesce_lock, held while quiesce writes back; then fs->moment_lock (moment.h); and then the walk lock of
 *   the
 *       dirty list, held while its inodes are written back.  All are held while inode locks are taken.
 *   L1  fs->rename_lock: held by a rename or exchange between two directories, and by one that replaces a directory.
 *   L2  inode->lock of directories: a parent before its child.  Two directories that are not parent and child are
 *       locked together only under L1, an ancestor first, otherwise the smaller id first.  All threads but the one
 *       holder of L1 therefore lock strictly downwards.  A cycle of waiters would need the holder of L1 to wait for a
 *       lock above one that it holds.
 *   L3  inode->lock of other inodes, after every directory; two of them in the order of their ids.  The writeback of
 *   the
 *       dirty list locks many, in the order of the list: all but the first by trylock (data/writeback_list.c).
 *   L4  The last of fs/, under which no other lock of fs/ is taken: fs->table_lock (and under it fs->entrance_lock),
 *       the lock of the dirty list, that of the cache of access times, and fs->id_lock, under which a transaction may
 *       be committed.
 *   L5  th_store_sync, th_store_checkpoint, th_store_close and all that changes snapshots, branches and holds are
 *   called
 *       with none of these locks held, since they run quiesce.  Transactions begin and commit with inode locks held, so
 *       th_txn_begin and th_txn_commit must never wait for quiesce.
 *   L6  No lock of this list is held during a disk read that other lock waiters do not need: see retry.h,
 *       data/partial_block.h and th_extent_guard.  docs/architecture.md lists the exceptions.
 *
 * A change is staged in a transaction from copies of the attributes.  Memory takes over the copies (th_inode_publish)
 * only after the transaction commit.  So a failure leaves memory and store as they were.
 */
#ifndef TH_FS_INODE_CONTEXT_H
#define TH_FS_INODE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/format/format.h"
#include "fs/format/name_hash.h"
#include "tree/thunderhead.h"

struct th_inode;
struct th_inode_table;
struct th_entered_snapshot;
struct th_name_list; /* control/rollback.h */

enum th_snapdir_mode {
	TH_SNAPDIR_HIDDEN, /* listed nowhere, found by name in every directory */
	TH_SNAPDIR_ROOT, /* listed in the root directory, found everywhere; snapshots cannot be changed in it */
	TH_SNAPDIR_VISIBLE, /* listed everywhere; snapshots cannot be changed in it */
	TH_SNAPDIR_DISABLED, /* does not exist; its name is a name like any other */
};

#define TH_SNAPDIR_NAME ".snapshots" /* by default */

/* Which callers may create, delete and rename snapshots through this mount (snapshot/permission.h). */
enum th_snapshots_mode {
	TH_SNAPSHOTS_DEFAULT, /* ADMIN if the mount shows the whole filesystem, else NONE; th_fs_open replaces it */
	TH_SNAPSHOTS_ADMIN, /* root and the user who mounted */
	TH_SNAPSHOTS_OWNER, /* these and the owner of the mount's root directory */
	TH_SNAPSHOTS_NONE,
};

enum th_atime_mode {
	TH_ATIME_RELATIVE, /* updated by the first read after a change, and once a day */
	TH_ATIME_NEVER,
	TH_ATIME_STRICT, /* updated by each read */
};

struct th_fs_options {
	bool read_only;
	enum th_snapdir_mode snapdir;
	const char *snapdir_name; /* NULL: TH_SNAPDIR_NAME; in struct th_fs never NULL */
	bool snapdir_root_only; /* .snapshots is in the root of the mount only; elsewhere its name is like any other */
	bool snap_suid; /* set-id bits, file capabilities and device nodes below .snapshots have effect */
	enum th_snapshots_mode snapshots;
	bool narrow_numbers; /* all inode numbers have at most 32 bits (inode_number.h) */
	uint32_t mounted_by; /* uid of the user who mounts, shown as the owner of .snapshots */
	enum th_atime_mode atime;
	bool no_dir_atime; /* never update the atime of directories */
	const char *branch; /* make this branch the current one; NULL: keep the current one */
	const char *snapshot; /* show this snapshot instead of the live tree; NULL: live.  Implies read_only */
	const char *subdir; /* show this directory (a path from the root) as the root; NULL: the root */
	size_t cache_bytes; /* as in struct th_store_options */
	unsigned checkpoint_interval_ms;
	unsigned heartbeat_ms; /* th_store_options */
	enum th_discard discard;
	bool truncate_log, rescue; /* as in struct th_store_options; rescue implies read_only */
	uint64_t generation; /* as there */
	/* Opens a branch that is being received, too (snapshot/unfinished.h).  Else the branch that was the current one
	 * before is opened, unless `branch` or `snapshot` names what to show. */
	bool unfinished;
	void (*report)(void *arg, const char *line); /* receives each warning or error, one line; NULL: stderr */
	void *report_arg;
	uint64_t (*name_hash)(const void *name, size_t size); /* for tests that need collisions; NULL: th_name_hash */
};

/* The steps of an inode's end that belong to higher folders.  th_fs_open sets them before it loads an inode. */
struct th_inode_end {
	bool (*delete_unnamed)(struct th_inode *inode); /* th_orphan_delete */
	void (*release_file)(struct th_inode *inode); /* th_file_release */
};

/* How changes that the kernel has not asked for reach the programs that use the filesystem.  Called with no lock
 * held. */
struct th_front {
	/* Makes the kernel write back and drop its pages of all files.  Requests go on. */
	void (*write_back)(void *arg);
	/* Waits for the end of all requests but the caller's, and holds back new ones, until resume(). */
	void (*stop)(void *arg);
	void (*resume)(void *arg);
	/* Makes the kernel drop all that it has cached of the former state: attributes, pages, and the names that
	 * differ from the present one. */
	void (*drop)(void *arg, const struct th_name_list *names);
	/* Makes the kernel ask for one name again, and for the attributes and the listing of its directory. */
	void (*drop_name)(void *arg, uint64_t parent, struct th_slice name);
};

/* Lines that a filesystem remembers so as not to report them again.  More would save repeated lines where more blocks
 * than that are damaged. */
#define TH_REPORTED 1024

struct th_fs {
	struct th_disk *disk; /* owned; the store uses it */
	struct th_store *store;
	struct th_view *live;
	struct th_fs_options options; /* strings are copied */
	bool read_only;
	struct th_name_key name_key;
	bool name_key_lost; /* it could not be read: entries are found by their names */
	const struct th_inode_end *inode_end;
	struct th_entered_snapshot *base; /* the snapshot that the mount shows; NULL: live */
	uint32_t generation; /* of file handles: differs between filesystems, so that one is not decoded by another */
	struct th_inode *root; /* of the mount; the filesystem holds a reference */

	pthread_mutex_t rename_lock; /* L1 */

	pthread_mutex_t table_lock; /* guards the table, and refs and nlookup of its inodes */
	struct th_inode_table *table; /* inode.c */

	pthread_mutex_t id_lock;
	uint64_t next_id, reserved_id; /* the store has reserved the ids below reserved_id, on all branches */

	pthread_mutex_t quiesce_lock; /* L0 */
	bool quiet; /* quiesce must not touch inodes; quiesce_lock */
	pthread_rwlock_t moment_lock; /* L0: moment.h */

	pthread_mutex_t entrance_lock; /* guards the entered snapshots (entered_snapshot.c) */
	void *snapshots; /* a tree of <search.h>; without base */
	struct th_entered_snapshot *deleted_snapshots; /* a list */

	_Atomic uint64_t uncounted_blocks; /* of deleted data; perhaps not free yet for the store (th_fs_statfs) */

	void *atimes; /* atime_record.c: made by th_atime_records_init, freed by th_atime_records_release */
	void *dirty; /* dirty_list.c: made by th_dirty_init, freed by th_dirty_release */

	_Atomic uint64_t snapshots_changed_ns; /* time of the last deletion or renaming of a snapshot; 0: none yet */
	/* Called with no lock held after snapshots have changed.  `name`: the kernel's cached entries of this name are
	 * stale, except in the .snapshots of the directory `except` (0: none), whose change the kernel itself asked
	 * for.  NULL: a snapshot was created.  The callback itself may be NULL. */
	void (*snapshot_changed)(void *arg, const char *name, uint64_t except);
	void *snapshot_changed_arg;
	_Atomic uint64_t reported[TH_REPORTED]; /* hashes of lines, by their hash; 0: none */
	const struct th_front *front; /* NULL: it is not mounted */
	void *front_arg;
};

/* Passes one line, of any length, to options.report, or to stderr; but not one that it has passed on before, as far as
 * it remembers. */
void th_fs_report(struct th_fs *fs, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns 0, or -EROFS if the filesystem was opened read-only, or the store refuses writes after an error: so a change
 * that would only be made in memory is refused, too. */
int th_fs_writable(const struct th_fs *fs);
/* Returns true if the error means damage on the disk, and the filesystem was opened to be read: then a record that
 * other reads do not need may be missing. */
bool th_fs_lenient(const struct th_fs *fs, int err);

#endif
