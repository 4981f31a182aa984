/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes in memory.  There is at most one struct th_inode for an inode of the live tree, and while it exists it, not
 * the store, is the truth about the inode's attributes: the store follows with the next transaction that stores it.
 *
 * An inode stays in memory while somebody refers to it: a caller, the kernel (nlookup counts as one reference while it
 * is not 0), or the dirty list.  When the last reference to an inode without names ends, the inode is deleted.
 */
#ifndef TH_FS_INODE_INODE_H
#define TH_FS_INODE_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/format/key.h"
#include "fs/inode/context.h"
#include "fs/inode/entered_snapshot.h"

struct th_file;

struct th_time {
	int64_t seconds;
	uint32_t nanoseconds;
};

struct th_attr {
	uint32_t mode, uid, gid;
	uint32_t flags; /* FS_*_FL */
	uint32_t generation;
	uint32_t nlink; /* of a directory 2 + subdirectories, else the store's reference count */
	uint64_t size; /* of a directory: entries */
	uint64_t blocks; /* 4 KiB blocks, those reserved for delayed writes too */
	uint64_t rdev;
	struct th_time atime, mtime, ctime, btime;
	/* The primary name: what diff shows and `..` is. Owned by the inode (struct th_inode.attr), lent in copies. */
	uint64_t parent; /* 0: root, or no name left */
	const char *name;
	uint16_t name_size;
};

enum th_xattr_state {
	TH_XATTR_UNKNOWN,
	TH_XATTR_NONE, /* there are none: no need to ask the tree */
	TH_XATTR_SOME,
};

struct th_inode {
	struct th_fs *fs;
	uint64_t id;
	uint64_t number; /* high bits of the kernel's name for it: 0, an entrance's, or TH_SNAPDIR_SNAPSHOT */
	struct th_entered_snapshot *snapshot; /* NULL: live.  An inode of a snapshot never changes */
	uint32_t type; /* S_IFMT of its mode, which never changes */
	_Atomic uint64_t parent; /* attr.parent, for who may not wait for the lock (rename.c) */
	atomic_bool cached; /* the kernel may have some of its data in its cache (fuse_file.c) */

	/* fs->table_lock */
	struct th_inode *hash_next;
	uint64_t nlookup;
	uint32_t refs;

	/* While it is being loaded its lock is held for writing.  Then 1, or -errno if there is no such inode. */
	_Atomic int loaded;
	pthread_rwlock_t lock; /* guards all that follows, the data in `file` too (L2, L3) */
	struct th_attr attr;
	/* What th_inode_store writes as size and blocks of a regular file: the size on disk does not run ahead of the
	 * data on disk.  Kept by the data side; equal to attr's when nothing is delayed. */
	uint64_t stored_size, stored_blocks;
	bool attr_dirty; /* attr holds something that the store has not; then the inode is on the dirty list */
	bool deleted; /* its keys are gone from the store */
	bool linkable; /* was made without a name, and may get one */
	uint8_t xattr_state; /* enum th_xattr_state */
	struct th_file *file; /* regular files: owned by file.c, made by it when needed */

	/* Dirty list: private to dirty.c, under its lock. */
	struct th_inode *dirty_next, *dirty_prev;
	_Atomic bool on_dirty_list; /* exactly while the list holds its reference */
};

/* --- finding and holding --- */

/* The inode `id` of the live tree, or of `snapshot`; from memory, else loaded.  The caller puts it.
 * -ENOENT, -EUCLEAN. */
int th_inode_get(struct th_fs *fs, struct th_entered_snapshot *snapshot, uint64_t id, struct th_inode **ret);
/* The virtual .snapshots of the live directory `id`. */
int th_inode_get_snapdir(struct th_fs *fs, uint64_t id, struct th_inode **ret);
/* What the kernel calls nodeid, if it is in memory; else NULL.  The caller puts it. */
struct th_inode *th_inode_find(struct th_fs *fs, uint64_t nodeid);
uint64_t th_inode_nodeid(const struct th_inode *inode);
struct th_inode *th_inode_ref(struct th_inode *inode);
/* Ends a reference.  No inode lock may be held: the last one of an inode without names deletes it.  NULL is fine. */
void th_inode_put(struct th_inode *inode);
/* The kernel was told of the inode once more; or forgets n of these. */
void th_inode_lookup(struct th_inode *inode);
void th_inode_forget(struct th_inode *inode, uint64_t n);
/* A new inode of the live tree with these attributes, in no transaction yet; the name in attr is copied.  It is in the
 * table when this returns, but nobody else knows its id.  To give it up, set `deleted` and put it. */
int th_inode_new(struct th_fs *fs, const struct th_attr *attr, struct th_inode **ret);
/* The inodes in memory with this number: those of one entrance, or (TH_SNAPDIR_SNAPSHOT) the virtual directories.  Each
 * with a reference; the caller puts them and frees the array, even after an error. */
int th_inode_collect(struct th_fs *fs, uint64_t number, struct th_inode ***ret, size_t *ret_count);
/* Deletes every inode in memory that has no name: nobody will be left to use it. */
void th_inode_delete_unnamed(struct th_fs *fs);

int th_inode_table_new(struct th_inode_table **ret);
/* Frees the table and what is left in it, whoever still refers to it. */
void th_inode_table_free(struct th_fs *fs);

static inline bool th_inode_is_dir(const struct th_inode *inode)
{
	return S_ISDIR(inode->type);
}
static inline bool th_inode_is_snapdir(const struct th_inode *inode)
{
	return inode->number == TH_SNAPDIR_SNAPSHOT;
}
/* The view its keys are read from. */
static inline struct th_view *th_inode_view(const struct th_inode *inode)
{
	return inode->snapshot ? inode->snapshot->view : inode->fs->live;
}

/* --- attributes; inode->lock held for reading or, to change, for writing --- */

/* Stages the inode's value with these attributes (inode->attr, or a changed copy); for regular files size and blocks
 * are stored_size and stored_blocks. */
int th_inode_store(struct th_txn *txn, const struct th_inode *inode, const struct th_attr *attr);
/* After the transaction was committed: attr becomes the inode's.  If the name differs it must have been allocated with
 * malloc, and becomes the inode's.  Clears attr_dirty. */
void th_inode_publish(struct th_inode *inode, const struct th_attr *attr);
/* Encodes and decodes an inode's value (diff and the checker use it too).  decode lends the name from the value;
 * -EUCLEAN if it is no inode. */
#define TH_INODE_VALUE_MAX (sizeof(struct th_inode_disk) + TH_NAME_MAX)
size_t th_inode_encode(const struct th_attr *attr, void *value);
int th_inode_decode(const void *value, size_t size, int32_t refs, struct th_attr *ret);
/* Checks the immutable and append-only flags for a change of data from this offset on.  Lock held.  Returns 0 or
 * -EPERM. */
int th_inode_check_data(const struct th_inode *inode, uint64_t off);
/* As stat(2) shows it; st_ino alone needs no lock. */
uint64_t th_inode_ino(const struct th_inode *inode);
void th_inode_stat(const struct th_inode *inode, struct stat *ret);
/* Somebody without privilege wrote: set-id bits go, as on a disk.  The set-gid bit of what its group may not execute
 * goes only if that was somebody outside the group.  True if something changed. */
bool th_attr_kill_privileges(struct th_attr *attr, bool outsider);

struct th_time th_time_now(void);

#endif
