/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All names that an inode has in one view: the primary one is in its value, the others are in its link keys.
 */
#ifndef TH_FS_DIFF_INODE_NAMES_H
#define TH_FS_DIFF_INODE_NAMES_H

#include "fs/inode/inode.h"

struct th_inode_name {
	uint64_t parent; /* 0: the root itself */
	char *name;
};

struct th_inode_names {
	struct th_inode_name *list; /* sorted by th_inode_name_compare */
	size_t count, capacity;
};

/* Reads the names of the inode with these attributes and this reference count.  The caller releases them, after an
 * error too.  Returns 0, -ENOMEM or an error of the store. */
int th_inode_names_read(struct th_view *view, uint64_t id, const struct th_attr *attr, int32_t refs,
			struct th_inode_names *ret);
void th_inode_names_release(struct th_inode_names *names);
/* Orders by parent, then by name.  Returns a negative number, 0 or a positive one, as strcmp(3). */
int th_inode_name_compare(const struct th_inode_name *a, const struct th_inode_name *b);

#endif
