/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: further descriptors of a session's connection to the kernel, so that worker threads do not contend for one
 * list of requests under way, and so that some may read without blocking.
 *
 * The kernel accepts a reply only on the channel where it sent the request.  So each thread has a current channel, and
 * a thread that passes a request on to another thread passes the channel, too.
 */
#ifndef TH_FS_FUSE_CHANNEL_H
#define TH_FS_FUSE_CHANNEL_H

#include <stdbool.h>

#include "fs/fuse/session.h"

/* Makes reads and replies of the session use each thread's current channel.  Returns 0 or -errno. */
int th_fuse_channel_setup(struct fuse_session *session);
/* Opens a channel.  Returns its descriptor, which the caller closes after the session's end, or -errno. */
int th_fuse_channel_open(struct fuse_session *session, bool nonblocking);

/* Returns or sets this thread's current channel; 0: the session's own descriptor. */
int th_fuse_channel(void);
void th_fuse_set_channel(int channel);

#endif
