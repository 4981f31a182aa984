/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/barrier.h"

void th_barrier_init(struct th_barrier *barrier)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	/* Requests that arrive while the barrier is being closed wait, or it might never be. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&barrier->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void th_barrier_release(struct th_barrier *barrier)
{
	pthread_rwlock_destroy(&barrier->lock);
}

void th_barrier_enter(struct th_barrier *barrier)
{
	pthread_rwlock_rdlock(&barrier->lock);
}

void th_barrier_leave(struct th_barrier *barrier)
{
	pthread_rwlock_unlock(&barrier->lock);
}

void th_barrier_close(struct th_barrier *barrier)
{
	pthread_rwlock_unlock(&barrier->lock);
	pthread_rwlock_wrlock(&barrier->lock);
}

void th_barrier_open(struct th_barrier *barrier)
{
	pthread_rwlock_unlock(&barrier->lock);
	pthread_rwlock_rdlock(&barrier->lock);
}
