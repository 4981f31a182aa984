/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access control lists that a new inode inherits.  A default list of the directory determines the new inode's mode
 * and access list, and is also the default list of a new directory.  Without a default list the umask limits the mode.
 */
#ifndef TH_FS_DIR_ACL_INHERIT_H
#define TH_FS_DIR_ACL_INHERIT_H

#include "fs/inode/inode.h"

struct th_acl_inheritance {
	uint32_t mode; /* the new inode's */
	struct th_value list; /* the directory's default list; data NULL: none */
	void *access; /* the new inode's access list, of list.size bytes; NULL: the mode expresses it */
};

/* Determines the mode and the lists of a new inode.  mode: as requested, with the type.  dir->lock is held for writing.
 * The caller releases it.  Returns 0, -EUCLEAN if the default list is invalid, -ENOMEM, or an error of reading. */
int th_acl_inheritance_init(struct th_acl_inheritance *inherited, struct th_inode *dir, uint32_t mode, uint32_t umask);
/* Stages the lists of the new inode, which no earlier transaction contains.  Returns as th_xattr_stage. */
int th_acl_inheritance_stage(const struct th_acl_inheritance *inherited, struct th_txn *txn, struct th_inode *inode);
void th_acl_inheritance_release(struct th_acl_inheritance *inherited);

#endif
