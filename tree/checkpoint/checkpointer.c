/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/checkpoint/checkpointer.h"

#include <errno.h>
#include <time.h>

#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

static struct timespec turn_end(struct th_store *store)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += store->options.checkpoint_interval_ms / 1000;
	until.tv_nsec += store->options.checkpoint_interval_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	return until;
}

static bool is_over(const struct timespec *until)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

/* Until the interval is over, or somebody asks for a commit.  checkpointer_lock is held. */
static void wait_for_turn(struct th_store *store)
{
	struct timespec until = turn_end(store);

	while (!store->checkpointer_stop && !store->checkpoint_wanted &&
	       pthread_cond_timedwait(&store->checkpointer_wake, &store->checkpointer_lock, &until) == 0)
		;
}

/* A commit, and others behind it as long as there is much to write: then none of those who merge has to stop for a
 * whole one of his own (th_checkpoint_throttle).  What goes before commits has its turn nevertheless. */
static void checkpoint_in_turn(struct th_store *store, bool buffers)
{
	bool before = store->options.before_checkpoint != NULL;
	struct timespec until = turn_end(store);
	int err;

	if (before && buffers)
		store->options.before_checkpoint(store->options.arg);
	th_checkpoint_relief_begin(store);
	do
		err = th_checkpoint(store, NULL, NULL, 0);
	while (err == 0 && atomic_load(&store->dirty_bytes) >= store->dirty_soft && !(before && is_over(&until)));
	th_checkpoint_relief_end(store);
}

/* Once it has begun to give space back, it goes on with that. */
static void *checkpointer(void *arg)
{
	struct th_store *store = arg;
	bool more = false;

	pthread_mutex_lock(&store->checkpointer_lock);
	while (!store->checkpointer_stop) {
		if (!more)
			wait_for_turn(store);
		if (store->checkpointer_stop)
			break;
		store->checkpoint_wanted = false;
		pthread_mutex_unlock(&store->checkpointer_lock);
		if (more || !atomic_load(&store->failed))
			checkpoint_in_turn(store, !more);
		more = th_reclaim_due(store);
		pthread_mutex_lock(&store->checkpointer_lock);
	}
	pthread_mutex_unlock(&store->checkpointer_lock);
	return NULL;
}

int th_checkpointer_start(struct th_store *store)
{
	pthread_condattr_t attr;
	int err;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&store->checkpointer_wake, &attr);
	pthread_condattr_destroy(&attr);
	err = -pthread_create(&store->checkpointer, NULL, checkpointer, store);
	store->checkpointer_runs = err == 0;
	return err;
}

void th_checkpointer_stop(struct th_store *store)
{
	if (!store->checkpointer_runs)
		return;
	pthread_mutex_lock(&store->checkpointer_lock);
	store->checkpointer_stop = true;
	pthread_cond_signal(&store->checkpointer_wake);
	pthread_mutex_unlock(&store->checkpointer_lock);
	pthread_join(store->checkpointer, NULL);
	pthread_cond_destroy(&store->checkpointer_wake);
	store->checkpointer_runs = false;
}
