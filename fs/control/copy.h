/* SPDX-License-Identifier: Apache-2.0 */
/* The request to copy a tree inside the filesystem: from a snapshot, or from the present, of which a snapshot is taken
 * for as long as the copy takes. */
#ifndef TH_FS_CONTROL_COPY_H
#define TH_FS_CONTROL_COPY_H

#include "fs/inode/context.h"

struct th_copy_request {
	const char *from; /* snapshot; NULL: the present */
	const char *source, *target; /* paths from the root of the mount */
	const char *
		aside; /* the name that a present inode of the target's name gets, in its directory; NULL: it is an error */
	uint64_t inodes; /* in the answer: how many were copied */
	bool replaced; /* in the answer: the target existed */
};

/* Copies, and makes the kernel ask for the changed names again.  No lock held (L5).  Returns 0; -ENXIO if the snapshot
 * has no such source, -ESRCH if there is no such snapshot, or as th_copy_tree(); -ENOENT is for the directory of the
 * target. */
int th_copy_request(struct th_fs *fs, struct th_copy_request *request);

#endif
