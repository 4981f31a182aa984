/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE_SYNCFS: sync(1), sync -f and syncfs(2).
 *
 * Every sync(1) of the machine waits for the reply.  A thread of its own does the work, so that however many programs
 * sync, the workers stay free for the requests that such a sync may itself wait for: the kernel first writes back the
 * pages that programs changed by mmap(2).  One writeback answers all requests that came before it began.
 *
 * The kernel sends this request to filesystems on block devices only (fuseblk), since Linux 6.18.  The thread finds out
 * at its start: it calls syncfs(2) itself, and sees whether the request arrives.
 */
#ifndef TH_FS_FUSE_SYNCFS_H
#define TH_FS_FUSE_SYNCFS_H

#include "fs/fuse/session.h"

/* Starts the thread.  It asks the kernel, when that has sent INIT, and then calls fuse->ready if that is set.  The
 * session is mounted; th_fuse_serve() must follow.  Returns 0 or -errno. */
int th_fuse_syncer_start(struct th_fuse *fuse);
/* Replies to all waiting requests and ends the thread.  No worker runs any more.  Does nothing if it was not
 * started. */
void th_fuse_syncer_stop(struct th_fuse *fuse);
/* Replies when all that returned before this call is durable. */
void th_fuse_syncfs(fuse_req_t req);

#endif
