/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.  Names are those of xattr(7) with their namespace; values up to 64 KiB.  Access control lists
 * are attributes, too (acl.h): setting one changes the mode with it.
 */
#ifndef TH_FS_ATTR_XATTR_H
#define TH_FS_ATTR_XATTR_H

#include "fs/inode/inode.h"

#define TH_XATTR_SIZE_MAX 65536

enum th_xattr_flags { /* beside those of setxattr(2) */
		      TH_XATTR_KILL_SGID = 1 << 30, /* who sets the access control list is not in the file's group */
};

/* These take inode->lock. */

/* The caller releases the value.  -ENODATA. */
int th_xattr_get(struct th_inode *inode, const char *name, struct th_value *ret);
/* -EEXIST, -ENODATA, -E2BIG, -ERANGE (name), -EOPNOTSUPP (namespace); of an access control list -EINVAL (it is none),
 * -EOPNOTSUPP (symlink) and -EACCES (default list of what is no directory). */
int th_xattr_set(struct th_inode *inode, const char *name, struct th_slice value, int flags);
int th_xattr_remove(struct th_inode *inode, const char *name);
/* Names, each with its NUL, one after another; the caller frees *ret (NULL if there are none).  Those of the namespace
 * trusted are for the privileged only. */
int th_xattr_list(struct th_inode *inode, bool privileged, char **ret, size_t *ret_size);

/* The caller holds inode->lock for writing. */

/* As th_xattr_get; an access control list is a valid one, else -EUCLEAN. */
int th_xattr_find(struct th_inode *inode, const char *name, struct th_value *ret);
/* Stages an attribute.  value NULL: it goes.  When it has been committed, xattr_state is to tell of it. */
int th_xattr_stage(struct th_txn *txn, const struct th_inode *inode, const char *name, const struct th_slice *value);

#endif
