/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.  Names are those of xattr(7) with their namespace; values up to 64 KiB.  All take inode->lock.
 */
#ifndef TH_XATTR_H
#define TH_XATTR_H

#include "inode.h"

#define TH_XATTR_SIZE_MAX 65536

/* The caller releases the value.  -ENODATA. */
int th_xattr_get(struct th_inode *inode, const char *name, struct th_value *ret);
/* flags as setxattr(2).  -EEXIST, -ENODATA, -E2BIG, -ERANGE (name), -EOPNOTSUPP (namespace). */
int th_xattr_set(struct th_inode *inode, const char *name, struct th_slice value, int flags);
int th_xattr_remove(struct th_inode *inode, const char *name);
/* Names, each with its NUL, one after another; the caller frees *ret (NULL if there are none). */
int th_xattr_list(struct th_inode *inode, char **ret, size_t *ret_size);

#endif
