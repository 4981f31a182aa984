/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: how many threads read requests at a time.
 *
 * For each request the kernel wakes one thread that waits to read.  A client that goes on at once, as after closing a
 * file, makes its next request before that thread has run, and a second one is woken for it: two threads on one core,
 * which switch to and fro for nothing.  So while one thread is enough the others are parked here.
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
	_Atomic unsigned open; /* so many may have a turn */
	_Atomic unsigned taken; /* so many have one; changed with the lock */
	bool over; /* lock */
};

/* For as many as there are. */
#define TH_TURNS_ALL UINT_MAX

/* All may have one. */
void th_turns_init(struct th_turns *turns);
void th_turns_release(struct th_turns *turns);
/* So many from now on.  Who has one too many is parked when he comes for his next request. */
void th_turns_open(struct th_turns *turns, unsigned open);
/* Nobody is parked any more. */
void th_turns_end(struct th_turns *turns);
/* Before each request.  *mine is the thread's own, whether it has a turn: at first it has none, and when this returns
 * it has one.  May wait.  False at the end. */
bool th_turn_take(struct th_turns *turns, bool *mine);

#endif
