/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes in memory.  There is at most one struct th_inode for an inode of the live tree.  While it exists, it and not
 * the store holds the current attributes: the store follows with the next transaction that stores them.
 *
 * An inode stays in memory while it has references: from callers, from the kernel (nlookup counts as one reference
 * while it is not 0) and from the dirty list.  When an inode without names loses its last reference, it is deleted.
 */
#ifndef TH_FS_INODE_INODE_H
#define TH_FS_INODE_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/format/inode_record.h"
#include "fs/format/key.h"
#include "fs/inode/context.h"
#include "fs/inode/entered_snapshot.h"

struct th_file;

enum th_xattr_state {
	TH_XATTR_UNKNOWN,
	TH_XATTR_NONE, /* the inode has none: no need to ask the tree */
	TH_XATTR_SOME,
};

enum th_inode_loaded {
	TH_INODE_LOADED = 1,
	TH_INODE_OUTDATED, /* the tree was replaced: the next thread that finds the inode loads it again */
};

struct th_inode {
	struct th_fs *fs;
	uint64_t id;
	uint64_t node; /* its node id (inode_number.h); but the mount's root has TH_ROOT_ID for the kernel */
	struct th_entered_snapshot *snapshot; /* NULL: live.  An inode of a snapshot never changes */
	atomic_bool entrance; /* a directory through which a snapshot was entered; but see th_inode_is_entrance */
	uint32_t type; /* S_IFMT of its mode, which never changes */
	_Atomic uint64_t parent; /* attr.parent, for readers that may not wait for the lock (rename.c) */
	atomic_bool cached; /* the kernel may have some of its data in its cache (fuse/file.c) */

	/* fs->table_lock */
	struct th_inode *hash_next;
	uint64_t nlookup;
	uint32_t refs;

	/* 0: being loaded, with the lock held for writing.  Then TH_INODE_LOADED, or -errno if it cannot be loaded. */
	_Atomic int loaded;
	/* After a rollback, until the kernel has dropped its pages of the file: those that it writes are of the state
	 * before (fuse/rollback.c). */
	atomic_bool has_former_pages;
	pthread_rwlock_t lock; /* L2, L3: guards the fields up to `file`, and its data */
	struct th_attr attr;
	/* The size and blocks of a regular file that th_inode_store writes: the size on disk must not run ahead of the
	 * data on disk.  Maintained by data/; equal to attr's when no write is delayed. */
	uint64_t stored_size, stored_blocks;
	bool attr_dirty; /* attr has changes that the store does not have; then the inode is on the dirty list */
	bool atime_dirty; /* attr.atime is newer than in the store; then the inode is on the dirty list */
	bool atime_recorded; /* the store has a record of its time of access (atime_record.h) */
	bool deleted; /* its keys are gone from the store */
	bool linkable; /* created without a name; th_namei_link may give it one */
	uint8_t xattr_state; /* enum th_xattr_state */
	uint32_t xattr_list_bytes; /* size of the list of their names, with TH_XATTR_SOME; 0: not measured */
	struct th_file *file; /* of a regular file: owned and created by data/file_pages.c */

	/* Dirty list: private to dirty_list.c, under its lock. */
	struct th_inode *dirty_next, *dirty_prev;
	_Atomic bool on_dirty_list; /* exactly while the list holds its reference */
};

/* --- finding and references; all take fs->table_lock, callers may hold inode locks unless stated otherwise --- */

/* Finds the inode `id` of the live tree (snapshot NULL) or of an entered snapshot, in memory or in the store.  Blocks
 * for the disk.  The caller puts it.  Returns 0, -ENOENT, -EUCLEAN, -ENOMEM, or a read error. */
int th_inode_get(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, struct th_inode **ret);
/* The same for a directory of a snapshot that was entered at this depth (inode_number.h).  Also -EUCLEAN if it is no
 * directory. */
int th_inode_get_entered(struct th_fs *fs, struct th_entered_snapshot *snapshot, unsigned depth, uint64_t id,
			 struct th_inode **ret);
/* The same for an inode that an entry or the parent of `dir` names.  is_dir: it is a directory. */
int th_inode_get_by(const struct th_inode *dir, uint64_t id, bool is_dir, struct th_inode **ret);
/* Finds or creates the virtual .snapshots of the live directory `id`.  The caller puts it.  Returns 0 or -ENOMEM. */
int th_inode_get_snapdir(struct th_fs *fs, uint64_t id, struct th_inode **ret);
/* Finds the inode with the kernel's node id.  The caller puts it.  Returns NULL if it is not in memory. */
struct th_inode *th_inode_find(struct th_fs *fs, uint64_t nodeid);
uint64_t th_inode_nodeid(const struct th_inode *inode);
struct th_inode *th_inode_ref(struct th_inode *inode);
/* Drops a reference; NULL is allowed.  No inode lock held: the last reference of an inode without names deletes it. */
void th_inode_put(struct th_inode *inode);
/* Counts one more lookup by the kernel. */
void th_inode_lookup(struct th_inode *inode);
/* Subtracts n of the kernel's lookups.  No inode lock held, as for th_inode_put. */
void th_inode_forget(struct th_inode *inode, uint64_t n);
/* As th_inode_forget, for an inode that may not exist any more, after a rollback.  Unknown ids are ignored. */
void th_inode_forget_id(struct th_fs *fs, uint64_t nodeid, uint64_t n);
/* Creates an inode of the live tree with a new id, which no transaction contains yet.  Copies attr and its name.  The
 * inode is in the table, but no other thread knows its id.  To discard it, the caller sets `deleted` and puts it.
 * Returns 0, -ENOMEM, or as th_fs_new_id. */
int th_inode_new(struct th_fs *fs, const struct th_attr *attr, struct th_inode **ret);
/* Returns whether the kernel may know the inode `id` of the live tree. */
bool th_inode_is_known(struct th_fs *fs, uint64_t id);
/* Marks all inodes of the live tree as outdated, because the tree was replaced.  Each is loaded again when it is next
 * found; one that does not exist any more is not found (-ESTALE).  No other thread uses an inode, and none is dirty. */
void th_inode_outdate(struct th_fs *fs);
/* Ends has_former_pages of all inodes. */
void th_inode_end_former_pages(struct th_fs *fs);
/* Lists the inodes in memory of one entered snapshot, or (TH_SNAPDIR_SNAPSHOT) the virtual directories.  The caller
 * puts each and frees the array, also after -ENOMEM, when the list is incomplete. */
int th_inode_collect(struct th_fs *fs, uint64_t snapshot, struct th_inode ***ret, size_t *ret_count);
/* Deletes all inodes in memory that have no name; for th_fs_close, when no caller uses them any more. */
void th_inode_delete_unnamed(struct th_fs *fs);

int th_inode_table_new(struct th_inode_table **ret);
/* Frees the table and the inodes in it, referenced or not. */
void th_inode_table_free(struct th_fs *fs);

static inline bool th_inode_is_dir(const struct th_inode *inode)
{
	return S_ISDIR(inode->type);
}
static inline bool th_inode_is_snapdir(const struct th_inode *inode)
{
	return th_node_id_parse(inode->node).snapshot == TH_SNAPDIR_SNAPSHOT;
}
/* Returns true if the inode is shown as an entry of a virtual directory: its parent is that, and its name the
 * snapshot's. */
static inline bool th_inode_is_entrance(const struct th_inode *inode)
{
	return inode->snapshot && inode->snapshot != inode->fs->base &&
	       (inode->id == TH_ROOT_ID || atomic_load(&inode->entrance));
}
/* Returns whether set-id bits, file capabilities and device nodes have no effect: below .snapshots, where a program
 * that was replaced because of a fault, or a device that was closed to users, would still be reachable.  A mount that
 * shows a snapshot (fs->base) leaves that to nosuid and nodev. */
static inline bool th_inode_is_disarmed(const struct th_inode *inode)
{
	return inode->snapshot && inode->snapshot != inode->fs->base && !inode->fs->options.snap_suid;
}
/* Returns the view that holds the inode's keys. */
static inline struct th_view *th_inode_view(const struct th_inode *inode)
{
	return inode->snapshot ? inode->snapshot->view : inode->fs->live;
}

/* --- attributes; inode->lock held for reading or, to change, for writing --- */

/* Stages the inode's value with these attributes: inode->attr, or a changed copy.  For a regular file, size and blocks
 * are stored_size and stored_blocks.  Returns as th_txn_put. */
int th_inode_store(struct th_txn *txn, const struct th_inode *inode, const struct th_attr *attr);
/* Makes attr the inode's attributes after the transaction commit, and clears attr_dirty.  Clears atime_dirty too,
 * unless the store has a record.  If the name is another than
 * inode->attr.name, it was allocated with malloc and the inode takes ownership. */
void th_inode_publish(struct th_inode *inode, const struct th_attr *attr);
/* Checks the immutable and append-only flags for a change of data from byte `off` on.  Returns 0 or -EPERM. */
int th_inode_check_data(const struct th_inode *inode, uint64_t off);
/* Returns st_ino; needs no lock. */
uint64_t th_inode_ino(const struct th_inode *inode);
/* Returns st_ino of the inode that an entry of `dir` names; needs no lock. */
uint64_t th_inode_ino_by(const struct th_inode *dir, uint64_t id);
/* Returns the time of birth: of a snapshot's root, and of a directory as an entry of .snapshots, when the snapshot was
 * taken. */
struct th_time th_inode_birth(const struct th_inode *inode);
/* Fills in stat(2). */
void th_inode_stat(const struct th_inode *inode, struct stat *ret);
/* Clears set-user-id and set-group-id after a write or chown by an unprivileged user, as disk filesystems do.  The
 * set-group-id bit of a file without group execute permission is cleared only if the user is not in the group
 * (outsider).  Directories keep both bits.  Returns true if the mode has changed. */
bool th_attr_kill_privileges(struct th_attr *attr, bool outsider);

#endif
