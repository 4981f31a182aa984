/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker threads that serve requests, and the cores on which they run.
 *
 * A request passes from the client's thread to a worker and back.  Between two cores, each hand-over wakes a sleeping
 * core, which takes several times as long as most requests themselves; on one core it is a switch between threads.  So
 * there are two kinds of workers:
 *
 *   Followers, one for each core, block in a read of the device.  Every 16 requests a follower looks on which core its
 *   client runs, and moves there.  Followers run under SCHED_IDLE: the scheduler treats a core that is busy only with
 *   such threads as idle, so a client that the reply wakes gets this core at once, and stays there.  When several
 *   clients make requests on several cores, each follower moves to a core of its own.  As long as there is one client,
 *   and no request waits for a disk, one follower reads requests and the others are parked (turns.h).
 *
 *   Reliefs run with normal priority.  One of them is the watcher while requests come.  Followers may get no time,
 *   because other processes use all cores, or because the client continues while its request is served (as with
 *   readahead).  The watcher then frees them: they run with normal priority on any core for a while, which is longer
 *   the sooner it happens again.  If requests wait even so, all followers are waiting, such as for the disk: then the
 *   watcher serves requests itself, and the next relief becomes the watcher.
 *
 * A process may put threads under SCHED_IDLE but is not always allowed to take them back.  Then there are no reliefs,
 * but more followers, which run with normal priority on any core.
 */
#ifndef TH_FS_FUSE_WORKERS_H
#define TH_FS_FUSE_WORKERS_H

#include "fs/fuse/session.h"

/* The end of a session. */
struct th_fuse_end {
	void (*stopped)(
		void *arg); /* called when the workers have ended, and replies can still be sent; NULL: not called */
	void *arg;
	/* The request DESTROY, which awaits a reply; destroy_fd is -1 if the kernel has sent none. */
	int destroy_fd;
	uint64_t destroy_unique;
};

/* Serves requests, each of which passes the barrier, until the session ends: it is unmounted, or a signal to this
 * thread ends it.  Returns 0, or -errno if the workers could not be started; fills in the rest of *end. */
int th_fuse_serve(struct fuse_session *session, struct th_barrier *barrier, struct th_fuse_end *end);
/* Replies to DESTROY, on which umount(2) returns.  Does nothing if there was none. */
void th_fuse_end_reply(struct th_fuse_end *end);

#endif
