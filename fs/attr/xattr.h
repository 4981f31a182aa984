/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.  Names are those of xattr(7) with their namespace; values have up to 64 KiB.  Access control
 * lists are attributes too (format/acl.h): setting one also changes the mode.
 */
#ifndef TH_FS_ATTR_XATTR_H
#define TH_FS_ATTR_XATTR_H

#include "fs/inode/inode.h"

#define TH_XATTR_SIZE_MAX 65536
/* Bytes of the list of an inode's names, each with its NUL: Linux passes no longer list to programs.  So an inode with
 * more names could not be copied or backed up.  The last part is left to the other namespaces: a user who may write to
 * a file cannot prevent that it gets an access control list or a capability. */
#define TH_XATTR_LIST_MAX 65536
#define TH_XATTR_LIST_MAX_USER (TH_XATTR_LIST_MAX - 4096)

/* In addition to the flags of setxattr(2). */
enum th_xattr_flags {
	TH_XATTR_KILL_SGID = 1 << 30, /* the user who sets the access control list is not in the file's group */
};

/* --- these take inode->lock --- */

/* Reads an attribute; the caller releases the value.  Returns 0, -ENODATA if there is none, -ERANGE if the name is too
 * long or empty, -EOPNOTSUPP for an unknown namespace, -EINVAL for a namespace without a name, or a read error. */
int th_xattr_get(struct th_inode *inode, const char *name, struct th_value *ret);
/* Sets an attribute.  flags: XATTR_CREATE, XATTR_REPLACE, TH_XATTR_KILL_SGID.  Returns 0, -EROFS, -EPERM if the inode
 * is immutable or append-only, -EEXIST or -ENODATA as the flags demand, -E2BIG for the value, -ENOSPC if the list of
 * names would exceed its limit, errors of the name as th_xattr_get; for
 * an access control list -EINVAL if it is invalid, -EOPNOTSUPP on a symlink, -EACCES for a default list on an inode
 * that is no directory. */
int th_xattr_set(struct th_inode *inode, const char *name, struct th_slice value, int flags);
/* Removes an attribute.  Returns 0, -ENODATA (but 0 for an access control list), or as th_xattr_set. */
int th_xattr_remove(struct th_inode *inode, const char *name);
/* Lists the names, each with its NUL; the caller frees *ret, which is NULL if there are none.  Names of the namespace
 * trusted are listed only for privileged callers.  Returns 0, -E2BIG if the image has a list that exceeds its limit, or
 * a read error. */
int th_xattr_list(struct th_inode *inode, bool privileged, char **ret, size_t *ret_size);

/* --- the caller holds inode->lock for writing --- */

/* As th_xattr_get, without checks of the name.  An invalid access control list is reported and is -EUCLEAN. */
int th_xattr_find(struct th_inode *inode, const char *name, struct th_value *ret);
/* Stages an attribute; a NULL value deletes it.  After commit the caller updates xattr_state. */
int th_xattr_stage(struct th_txn *txn, const struct th_inode *inode, const char *name, const struct th_slice *value);

#endif
