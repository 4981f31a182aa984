/* SPDX-License-Identifier: Apache-2.0 */
/* The core on which a thread runs, and its scheduling policy. */
#ifndef TH_FS_FUSE_PLACE_H
#define TH_FS_FUSE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

/* Keeps /proc/TID/stat of the thread last asked for open, because opening the file costs twice as much as reading it.
 * One thread uses it at a time; zeros are a valid start. */
struct th_place_watch {
	pid_t tid; /* 0: none yet */
	int fd;
};
void th_place_watch_release(struct th_place_watch *watch);
/* Returns the core on which the thread runs or ran last, or -1 if that is not known. */
int th_place_core_of(struct th_place_watch *watch, pid_t tid);
/* Sets the policy of a thread (0: this one) to SCHED_IDLE or SCHED_OTHER.  Returns 0, or -1 and errno. */
int th_place_policy(pid_t tid, int policy);
/* The body of a thread: sets *(bool *)arg to whether a thread may leave SCHED_IDLE again.  If not, this one stays under
 * that policy, so it must end here. */
void *th_place_try(void *arg);

#endif
