/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/checkpoint/checkpointer.h"

#include "journal/base/clock.h"
#include "tree/catalogue/reclaim.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/io/trim.h"
#include "tree/scrub/heal.h"
#include "tree/state/state.h"

/* Waits until the interval is over, or a thread asks for a checkpoint.  checkpointer_lock is held. */
static void wait_for_turn(struct th_store *store)
{
	struct timespec until = th_clock_after_ms(CLOCK_MONOTONIC, store->options.checkpoint_interval_ms);

	while (!store->checkpointer_stop && !store->checkpoint_wanted &&
	       pthread_cond_timedwait(&store->checkpointer_wake, &store->checkpointer_lock, &until) == 0)
		;
}

/* Checkpoints once, and again as long as much is dirty: so a committing thread rarely has to do a whole checkpoint by
 * itself (th_checkpoint_throttle()). */
static void checkpoint_in_turn(struct th_store *store)
{
	int err;

	do
		err = th_checkpoint(store, NULL, NULL, 0);
	while (!err && atomic_load(&store->dirty_bytes) >= store->dirty_soft);
	if (!err)
		th_checkpoint_push_deletes(store);
}

/* Discards freed blocks, until a checkpoint is wanted. */
static void trim_in_turn(struct th_store *store)
{
	bool more = true;

	while (more) {
		more = th_trim_freed(store);
		pthread_mutex_lock(&store->checkpointer_lock);
		more = more && !store->checkpointer_stop && !store->checkpoint_wanted;
		pthread_mutex_unlock(&store->checkpointer_lock);
	}
}

/* The thread.  It checkpoints without waiting as long as there is space to reclaim. */
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
			checkpoint_in_turn(store);
		th_heal_run(store);
		if (!more)
			trim_in_turn(store);
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
	store->checkpointer_runs = !err;
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
