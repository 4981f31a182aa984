/* SPDX-License-Identifier: Apache-2.0 */
/* On which core a thread runs, and how the kernel schedules it. */
#ifndef TH_FS_FUSE_PLACE_H
#define TH_FS_FUSE_PLACE_H

#include <sys/types.h>

/* Somebody who looks where a thread is, again and again: to open what tells it costs twice as much as to read it. */
struct th_place_watch {
	pid_t tid; /* whom; 0: nobody yet */
	int fd;
};
void th_place_watch_release(struct th_place_watch *watch);
/* The core that a thread runs on, or ran on last; -1 if that cannot be known. */
int th_place_core_of(struct th_place_watch *watch, pid_t tid);
/* SCHED_IDLE or SCHED_OTHER, for a thread (0: this one).  0, or -1 and errno. */
int th_place_policy(pid_t tid, int policy);
/* To be run in a thread of its own, as that may be stuck where it is afterwards: whether a thread may leave SCHED_IDLE
 * again, into *(bool *)arg. */
void *th_place_try(void *arg);

#endif
