/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: names and what they refer to.  Unless said otherwise
 * dir->lock is held, for reading or (in a transaction) for writing.
 */
#ifndef TH_FS_DIR_DIR_H
#define TH_FS_DIR_DIR_H

#include "fs/inode/inode.h"

struct th_dirent {
	uint64_t id;
	uint8_t type; /* DT_* */
	uint8_t twin;
};

/* 0 if a directory may hold such a name; -EINVAL (empty, ".", "..", '/' or NUL in it), -ENAMETOOLONG. */
int th_dir_check_name(struct th_slice name);
/* -ENOENT, -EUCLEAN. */
int th_dir_find(const struct th_inode *dir, struct th_slice name, struct th_dirent *ret);
/* Stages a new name.  -EEXIST if it is there already; -ENOSPC if TH_NAME_TWINS others have its hash. */
int th_dir_add(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, uint64_t id, uint8_t type);
/* Stages that a name that is there (`entry`) refers to something else. */
int th_dir_replace(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, struct th_dirent entry,
		   uint64_t id, uint8_t type);
int th_dir_remove(struct th_txn *txn, const struct th_inode *dir, struct th_slice name);
/* 1 if it holds nothing, 0 if it does. */
int th_dir_is_empty(const struct th_inode *dir);

/* Cookies of what every directory begins with.  0 is the place before all; those of names are larger than these. */
enum th_dir_cookie {
	TH_DIR_COOKIE_DOT = 1,
	TH_DIR_COOKIE_DOTDOT = 2,
	TH_DIR_COOKIE_SNAPDIR = 3,
	TH_DIR_COOKIE_MAX = 255,
};

/* A name met on the way through a directory; `next` is the cookie to go on behind it.  Non-zero ends the walk. */
typedef int th_dir_each(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next);
/* Calls each() for the names behind a cookie.  0 at the end, or what each() answered, or -errno.  Needs no lock, and
 * each() may take some: names that come or go meanwhile may or may not be seen, all others are seen once.  (A name that
 * was seen may have gone when each() looks it up.) */
int th_dir_walk(struct th_inode *dir, uint64_t cookie, th_dir_each *each, void *arg);

#endif
