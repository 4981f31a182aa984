/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The barrier that every request passes.  A handler that has to have the filesystem for itself closes it: then all
 * other requests have ended, and new ones wait.
 *
 * The kernel's inode and page locks stay held by the requests that wait.  So a thread that has closed the barrier must
 * not cause a notification that needs these locks.
 */
#ifndef TH_FS_FUSE_BARRIER_H
#define TH_FS_FUSE_BARRIER_H

#include <pthread.h>

struct th_barrier {
	pthread_rwlock_t lock;
};

void th_barrier_init(struct th_barrier *barrier);
void th_barrier_release(struct th_barrier *barrier);
/* Surround the processing of each request. */
void th_barrier_enter(struct th_barrier *barrier);
void th_barrier_leave(struct th_barrier *barrier);
/* Close and open the barrier, on a thread that has entered it.  One thread at a time. */
void th_barrier_close(struct th_barrier *barrier);
void th_barrier_open(struct th_barrier *barrier);

#endif
