/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: limits how many worker threads read requests at a time.
 *
 * For each request the kernel wakes one thread that waits to read.  A client that continues at once, as after closing a
 * file, makes its next request before that thread has run, and the kernel wakes a second thread for it: two threads on
 * one core, which switch back and forth for nothing.  So while one thread is enough, the others are parked here.
 *
 * Any thread may call all functions but init and release.
 */
#ifndef TH_FS_FUSE_TURNS_H
#define TH_FS_FUSE_TURNS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct th_turns {
	pthread_mutex_t lock;
	pthread_cond_t parked;
	_Atomic unsigned open; /* threads that may have a turn */
	_Atomic unsigned taken; /* threads that have one; changed with the lock */
	bool over; /* lock */
};

/* No limit. */
#define TH_TURNS_ALL UINT_MAX

/* Begins without a limit. */
void th_turns_init(struct th_turns *turns);
void th_turns_release(struct th_turns *turns);
/* Sets the number of threads that may read.  Excess threads park before their next read. */
void th_turns_open(struct th_turns *turns, unsigned open);
/* Wakes all parked threads for good; th_turns_take returns false from now on. */
void th_turns_end(struct th_turns *turns);
/* Takes a turn, or keeps the one that the thread has; called before each read.  *mine belongs to the thread and says
 * whether it has a turn: false at first.  Waits while the limit is reached.  Returns false after th_turns_end. */
bool th_turns_take(struct th_turns *turns, bool *mine);

#endif
