/* SPDX-License-Identifier: Apache-2.0 */
/* The process that made a request: its privileges, and its groups where they decide about set-gid bits. */
#ifndef TH_FS_FUSE_CALLER_H
#define TH_FS_FUSE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

#include "fs/fuse/session.h"
#include "fs/snapshot/permission.h"

struct th_inode;

/* Returns the caller.  It is an administrator if it is the user who mounted, other than root, or root with
 * th_fuse_thread_is_admin. */
struct th_caller th_fuse_caller(fuse_req_t req);
/* Returns whether a thread has CAP_SYS_ADMIN in the daemon's user namespace, the initial one unless the daemon runs in
 * a container.  Returns false if /proc does not show it: the thread does not exist, or is in another pid namespace
 * (thread 0), or the daemon may not read its namespace, for which it needs CAP_SYS_PTRACE or the same user.
 * The kernel keeps the thread of a request alive until the reply, so its number cannot be another thread's. */
bool th_fuse_thread_is_admin(pid_t thread);

/* Returns whether the caller is root or a member of the group.  A caller in more than 256 groups counts as a member of
 * the first 256 only, so that at worst a set-gid bit is cleared that might have stayed. */
bool th_fuse_caller_has_group(fuse_req_t req, gid_t gid);
/* Returns whether a change by this caller must clear the file's set-gid bit even though its group may not execute it:
 * the caller is not a member of the file's group.  Takes the inode's lock. */
bool th_fuse_caller_is_outsider(fuse_req_t req, struct th_inode *inode);

#endif
