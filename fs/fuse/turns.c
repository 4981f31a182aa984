/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/turns.h"

void th_turns_init(struct th_turns *turns)
{
	pthread_mutex_init(&turns->lock, NULL);
	pthread_cond_init(&turns->parked, NULL);
	atomic_init(&turns->open, TH_TURNS_ALL);
	atomic_init(&turns->taken, 0);
	turns->over = false;
}

void th_turns_release(struct th_turns *turns)
{
	pthread_cond_destroy(&turns->parked);
	pthread_mutex_destroy(&turns->lock);
}

static unsigned load(_Atomic unsigned *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

void th_turns_open(struct th_turns *turns, unsigned open)
{
	if (load(&turns->open) == open)
		return;
	pthread_mutex_lock(&turns->lock);
	if (!turns->over)
		atomic_store(&turns->open, open);
	pthread_cond_broadcast(&turns->parked);
	pthread_mutex_unlock(&turns->lock);
}

void th_turns_end(struct th_turns *turns)
{
	pthread_mutex_lock(&turns->lock);
	turns->over = true;
	atomic_store(&turns->open, 0); /* makes threads that have a turn take the lock and see `over` */
	pthread_cond_broadcast(&turns->parked);
	pthread_mutex_unlock(&turns->lock);
}

bool th_turns_take(struct th_turns *turns, bool *mine)
{
	bool over;

	if (*mine && load(&turns->taken) <= load(&turns->open))
		return true;
	pthread_mutex_lock(&turns->lock);
	if (*mine && load(&turns->taken) > load(&turns->open)) {
		atomic_fetch_sub(&turns->taken, 1);
		*mine = false;
	}
	while (!turns->over && !*mine) {
		*mine = load(&turns->taken) < load(&turns->open);
		if (*mine)
			atomic_fetch_add(&turns->taken, 1);
		else
			pthread_cond_wait(&turns->parked, &turns->lock);
	}
	over = turns->over;
	pthread_mutex_unlock(&turns->lock);
	return !over;
}
