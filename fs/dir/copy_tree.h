/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies a file, or a directory with all that is below it, from a snapshot into the live tree: in one transaction, so
 * that the copy appears as a whole or not at all, and with all data shared, so that it takes only metadata.
 *
 * Copied are: owners, permissions, times, extended attributes with access control lists, holes, and hard links between
 * files of the copy.  Not copied are the flags immutable and append-only, with which a copy could not be changed again.
 * Inodes are new ones.
 */
#ifndef TH_FS_DIR_COPY_TREE_H
#define TH_FS_DIR_COPY_TREE_H

#include "fs/inode/inode.h"

struct th_copy_tree {
	struct th_entered_snapshot *from; /* the snapshot that the source is in */
	uint64_t source; /* id of its inode */
	struct th_inode *dir; /* the live directory that gets the copy */
	struct th_slice name; /* in that directory */
	/* If the name exists already, its inode gets this name in the same directory, in the same transaction.  size 0:
	 * an existing name is an error. */
	struct th_slice aside;
	uint64_t inodes; /* in the answer: how many were copied */
	bool replaced; /* in the answer: the name existed */
};

/* Copies.  No lock held (L5).  Returns 0; -EEXIST if the name exists and there is no name for it, or that exists, too;
 * -ENOENT if there is no such source, or dir was removed; -EINVAL or -ENAMETOOLONG for the names; -EPERM if dir is
 * immutable, -EROFS, -ENOSPC, -EUCLEAN if a record of the source is damaged, or an error of reading. */
int th_copy_tree(struct th_copy_tree *copy);

#endif
