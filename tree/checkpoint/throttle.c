/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/checkpoint/throttle.h"

#include <time.h>

#include "journal/base/thread.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

/* Transactions are delayed in the last quarter before dirty_hard.  A larger part delays earlier and by less each time;
 * a smaller one lets more threads run into the limit and wait there for long. */
#define TH_PACED_PART 4
/* Microseconds: a shorter delay is left out, since a sleep takes about as long by itself; a longer one is cut, since
 * the measured speed may be wrong. */
#define TH_PACE_MIN_US 50
#define TH_PACE_MAX_US 100000

static bool very_dirty(struct th_store *store)
{
	return atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes) >= store->dirty_hard;
}

/* Waits until enough dirty nodes are written, or no checkpoint is under way. */
static void await_room(struct th_store *store)
{
	pthread_mutex_lock(&store->checkpointer_lock);
	if (atomic_load(&store->committing) > 0)
		th_thread_waits();
	while (very_dirty(store) && atomic_load(&store->committing) > 0)
		pthread_cond_wait(&store->progress, &store->checkpointer_lock);
	pthread_mutex_unlock(&store->checkpointer_lock);
}

uint64_t th_checkpoint_pace_us(struct th_store *store)
{
	size_t fill = atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes);
	size_t hard = store->dirty_hard, from = hard - hard / TH_PACED_PART,
	       speed = atomic_load(&store->checkpoint_speed);
	uint64_t us;

	if (fill <= from || fill >= hard || speed == 0)
		return 0;
	us = atomic_load(&store->merged_bytes) / speed * (fill - from) / (hard - fill);
	return us < TH_PACE_MAX_US ? us : TH_PACE_MAX_US;
}

static void keep_pace(struct th_store *store)
{
	uint64_t us = th_checkpoint_pace_us(store);

	if (us < TH_PACE_MIN_US || atomic_load(&store->committing) == 0)
		return;
	th_thread_waits();
	nanosleep(&(struct timespec){ .tv_nsec = (long)us * 1000 }, NULL);
}

void th_checkpoint_throttle(struct th_store *store)
{
	keep_pace(store);
	if (very_dirty(store)) {
		await_room(store);
		if (very_dirty(store))
			th_checkpoint(store, NULL, NULL, TH_CHECKPOINT_RELIEVE | TH_CHECKPOINT_AS_IS);
	}
	if (atomic_load(&store->dirty_bytes) < store->dirty_soft)
		return;
	pthread_mutex_lock(&store->checkpointer_lock);
	store->checkpoint_wanted = true;
	pthread_cond_signal(&store->checkpointer_wake);
	pthread_mutex_unlock(&store->checkpointer_lock);
}
