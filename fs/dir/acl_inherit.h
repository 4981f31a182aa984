/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new inode gets from its directory's default access control list: its mode, a list of its own, and as a
 * directory the default list, too.  Where there is none, the umask limits the mode.
 */
#ifndef TH_FS_DIR_ACL_INHERIT_H
#define TH_FS_DIR_ACL_INHERIT_H

#include "fs/inode/inode.h"

struct th_acl_inheritance {
	uint32_t mode; /* the new inode's */
	struct th_value list; /* the directory's default list; data NULL: none */
	void *access; /* the new inode's list, as long as the directory's; NULL: the mode says it all */
};

/* mode: what was asked for, with the type.  dir->lock is held for writing.  -EUCLEAN: the list is broken. */
int th_acl_inheritance_init(struct th_acl_inheritance *heritage, struct th_inode *dir, uint32_t mode, uint32_t umask);
/* Stages the lists of the new inode, which is in no transaction yet. */
int th_acl_inheritance_stage(const struct th_acl_inheritance *heritage, struct th_txn *txn, struct th_inode *inode);
void th_acl_inheritance_release(struct th_acl_inheritance *heritage);

#endif
