/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that an inode has in one view: the primary one from its value, the others from its link keys.
 */
#ifndef TH_FS_DIFF_INODE_NAMES_H
#define TH_FS_DIFF_INODE_NAMES_H

#include "fs/inode/inode.h"

struct th_inode_name {
	uint64_t parent; /* 0: the root itself */
	char *name;
};

struct th_inode_names {
	struct th_inode_name *list; /* sorted */
	size_t count, room;
};

/* Reads the names of the inode with these attributes and that reference count.  The caller releases them, whatever the
 * answer is. */
int th_inode_names_read(struct th_view *view, uint64_t id, const struct th_attr *attr, int32_t refs,
			struct th_inode_names *ret);
void th_inode_names_release(struct th_inode_names *names);
int th_inode_name_compare(const struct th_inode_name *a, const struct th_inode_name *b);

#endif
