/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory entries.  Unless stated otherwise the caller holds dir->lock: for reading, or in a transaction for writing.
 */
#ifndef TH_FS_DIR_DIR_H
#define TH_FS_DIR_DIR_H

#include "fs/inode/inode.h"

struct th_dirent {
	uint64_t id;
	uint32_t twin; /* format.h */
	uint8_t type; /* DT_* */
};

/* Checks whether a directory may have an entry of this name.  Returns 0, -EINVAL if the name is empty, "." or "..", or
 * contains '/' or NUL, or -ENAMETOOLONG. */
int th_dir_check_name(struct th_slice name);
/* Returns the hash by which the entries of directories are sorted: TH_NAME_HASH_BITS bits, never 0. */
uint64_t th_dir_hash(const struct th_fs *fs, struct th_slice name);
/* Finds an entry.  Returns 0, -ENOENT, -EUCLEAN if the entry is invalid (which is reported), or a read error. */
int th_dir_find(const struct th_inode *dir, struct th_slice name, struct th_dirent *ret);
/* Does the same in a view that no inode belongs to, in the directory with that id.  No lock is needed. */
int th_dir_find_in(struct th_fs *fs, struct th_view *view, uint64_t directory, struct th_slice name,
		   struct th_dirent *ret);
/* Does the same in a transaction, with its changes. */
int th_dir_find_txn(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name,
		    struct th_dirent *ret);
/* Stages a new entry.  Returns 0, -EEXIST, -ENOSPC if TH_NAME_TWINS other names have its hash, or an error of the
 * transaction. */
int th_dir_add(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, uint64_t id, uint8_t type);
/* Stages another target for an existing entry, whose present state is `entry`.  Returns as th_txn_put. */
int th_dir_replace(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, struct th_dirent entry,
		   uint64_t id, uint8_t type);
/* Stages the removal of an existing entry.  Returns as th_txn_delete. */
int th_dir_remove(struct th_txn *txn, const struct th_inode *dir, struct th_slice name);
/* Do the same in the directory with that id, which no inode in memory stands for. */
int th_dir_add_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name, uint64_t id,
		  uint8_t type);
int th_dir_replace_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name,
		      struct th_dirent entry, uint64_t id, uint8_t type);
int th_dir_remove_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name);
/* Returns 0 if the directory has no entry, -ENOTEMPTY if it has one, or a read error. */
int th_dir_check_empty(const struct th_inode *dir);

/* Cookies of the entries that each directory begins with.  0 is the position before all entries.  Cookies of names are
 * larger than TH_DIR_COOKIE_MAX. */
enum th_dir_cookie {
	TH_DIR_COOKIE_DOT = 1,
	TH_DIR_COOKIE_DOTDOT = 2,
	TH_DIR_COOKIE_SNAPDIR = 3,
	TH_DIR_COOKIE_MAX = 255,
};

/* Receives an entry.  next: the cookie from which a later walk continues after it.  A non-zero result ends the walk. */
typedef int th_dir_each(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next);
/* Calls each() for the entries after a cookie.  Returns 0 at the end, the non-zero result of each(), or -errno.  Needs
 * no lock, and each() may take locks.  Entries that are created or removed during the walk may be seen or not; all
 * others are seen exactly once.  An entry that each() receives may no longer exist. */
int th_dir_walk(struct th_inode *dir, uint64_t cookie, th_dir_each *each, void *arg);

#endif
