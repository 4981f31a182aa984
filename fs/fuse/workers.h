/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that answer requests, and where they run.
 *
 * A request is handed from the thread that makes it to one of ours and back.  Between two cores each hand-over means
 * waking a core that sleeps, which takes several times as long as most requests themselves; on one core it is a switch
 * from one thread to another.  So there are two kinds of threads:
 *
 *   Followers, as many as cores, block in reading the device.  Every so many requests a follower looks on which core
 *   its client runs, and moves there.  They run under SCHED_IDLE: to the kernel a core that is busy with such threads
 *   only is as good as idle, so when the answer wakes the client it gets that core back at once, and stays there.  When
 *   several clients make requests on several cores, each follower goes to a core of its own.  As long as there is
 *   one client, and no request waits for a disk, one follower reads requests and the others are parked (fuse_turns.h).
 *
 *   Reliefs run as any thread does.  One of them watches while requests come.  When the followers get no time, since
 *   others want all cores or the client itself goes on while it is answered (as with read-ahead), they become threads
 *   like any other, on any core, for a while; the longer, the sooner it happens again.  If requests wait even so, all
 *   followers wait for something, such as the disk: then the watcher takes requests itself, and the next relief
 *   watches.
 *
 * A process may put threads under SCHED_IDLE but not always take them back.  Where that is refused, there are no
 * reliefs but enough followers, which stay where and what they are.
 */
#ifndef TH_FS_FUSE_WORKERS_H
#define TH_FS_FUSE_WORKERS_H

#include "fs/fuse/session.h"

/* Answers requests until the session is over: unmounted, or ended by a signal to this thread.  0, or -errno if it could
 * not begin. */
int th_fuse_serve(struct fuse_session *session);

/* The kernel takes an answer only where it was asked.  Who leaves a request to another thread to answer passes it the
 * channel, too; it lasts as long as the session is served. */
int th_fuse_channel(void);
void th_fuse_set_channel(int channel);

#endif
