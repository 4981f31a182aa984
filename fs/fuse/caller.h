/* SPDX-License-Identifier: Apache-2.0 */
/* The process that made a request: which groups it has, where that decides about set-gid bits. */
#ifndef TH_FS_FUSE_CALLER_H
#define TH_FS_FUSE_CALLER_H

#include <stdbool.h>

#include "fs/fuse/session.h"

struct th_inode;

/* Returns whether the caller is root or a member of the group.  A caller in more than 256 groups counts as a member of
 * the first 256 only, so that at worst a set-gid bit is cleared that might have stayed. */
bool th_fuse_caller_has_group(fuse_req_t req, gid_t gid);
/* Returns whether a change by this caller must clear the file's set-gid bit even though its group may not execute it:
 * the caller is not a member of the file's group.  Takes the inode's lock. */
bool th_fuse_caller_is_outsider(fuse_req_t req, struct th_inode *inode);

#endif
