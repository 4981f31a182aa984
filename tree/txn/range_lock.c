/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/txn/range_lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/clock.h"
#include "journal/base/thread.h"
#include "tree/state/state.h"
#include "tree/txn/txn.h"
#include "tree/view/view.h"

/* One range, held or waited for. */
struct th_lock {
	struct th_lock *prev, *next;
	struct th_locker *owner;
	enum th_lock_mode mode;
	bool held;
	uint64_t asked;
	struct th_slice from, to; /* to.data NULL: no upper bound */
	uint8_t bytes[];
};

struct th_locker {
	struct th_range_lock_table *table;
	const struct th_view *view; /* the keys of its ranges are of this view */
	struct th_lock *waiting; /* the request that it waits for (R2); NULL: none */
	pthread_cond_t wake;
	uint64_t search; /* number of the last search that visited it */
};

void th_range_lock_table_init(struct th_range_lock_table *table)
{
	*table = (struct th_range_lock_table){ 0 };
	pthread_mutex_init(&table->mutex, NULL);
}

/* --- the list; the mutex is held, except in th_range_lock_table_release() --- */

static void append(struct th_range_lock_table *table, struct th_lock *lock)
{
	lock->asked = ++table->asked;
	lock->prev = table->last;
	if (table->last)
		table->last->next = lock;
	else
		table->first = lock;
	table->last = lock;
}

static void discard(struct th_range_lock_table *table, struct th_lock *lock)
{
	if (lock->prev)
		lock->prev->next = lock->next;
	else
		table->first = lock->next;
	if (lock->next)
		lock->next->prev = lock->prev;
	else
		table->last = lock->prev;
	free(lock);
}

void th_range_lock_table_release(struct th_range_lock_table *table)
{
	while (table->first)
		discard(table, table->first);
	pthread_mutex_destroy(&table->mutex);
}

static bool ends_before(const struct th_lock *a, const struct th_lock *b)
{
	return a->to.data && th_slice_compare(a->to, b->from) <= 0;
}

static bool conflict(const struct th_lock *a, const struct th_lock *b)
{
	if (a->owner == b->owner || (a->mode == TH_LOCK_SHARED && b->mode == TH_LOCK_SHARED))
		return false;
	return !ends_before(a, b) && !ends_before(b, a);
}

/* Has `lock` to wait for `other`, cycles aside? */
static bool blocks(const struct th_lock *other, const struct th_lock *lock)
{
	return (other->held || other->asked < lock->asked) && conflict(other, lock);
}

/* --- cycles --- */

/* Does `locker` wait for a lock or request of `target`, directly or by way of other lockers? */
static bool search(struct th_range_lock_table *table, struct th_locker *locker, const struct th_locker *target)
{
	if (locker == target)
		return true;
	if (!locker->waiting || locker->search == table->search)
		return false;
	locker->search = table->search;
	for (const struct th_lock *other = table->first; other; other = other->next)
		if (blocks(other, locker->waiting) && search(table, other->owner, target))
			return true;
	return false;
}

static bool waits_for(struct th_range_lock_table *table, struct th_locker *locker, const struct th_locker *target)
{
	table->search++;
	return search(table, locker, target);
}

/* Would waiting for the lock close a cycle of holders (R3)? */
static bool is_deadlock(struct th_range_lock_table *table, const struct th_lock *lock)
{
	for (const struct th_lock *other = table->first; other; other = other->next)
		if (other->held && blocks(other, lock) && waits_for(table, other->owner, lock->owner))
			return true;
	return false;
}

/* Is the request blocked?  An earlier request that waits for this locker does not block it (R3). */
static bool has_to_wait(struct th_range_lock_table *table, const struct th_lock *lock)
{
	for (const struct th_lock *other = table->first; other; other = other->next) {
		if (!blocks(other, lock))
			continue;
		if (other->held || !waits_for(table, other->owner, lock->owner))
			return true;
	}
	return false;
}

/* --- waiting --- */

/* Grants all requests that are not blocked any more, in the order of requests.  Called after a lock or request was
 * removed. */
static void grant(struct th_range_lock_table *table)
{
	for (struct th_lock *lock = table->first; lock; lock = lock->next) {
		if (lock->held || has_to_wait(table, lock))
			continue;
		lock->held = true;
		lock->owner->waiting = NULL;
		pthread_cond_signal(&lock->owner->wake);
	}
}

/* Waits until the lock is held.  Returns 0 or -ETIMEDOUT. */
static int await(struct th_range_lock_table *table, struct th_lock *lock, int timeout_ms)
{
	struct timespec until = th_clock_after_ms(CLOCK_MONOTONIC, timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
	int err = 0;

	th_thread_waits();
	while (!lock->held && !err)
		err = timeout_ms < 0 ? pthread_cond_wait(&lock->owner->wake, &table->mutex)
				     : pthread_cond_timedwait(&lock->owner->wake, &table->mutex, &until);
	return lock->held ? 0 : -err;
}

/* Acquires a lock that is in the list.  Returns 0, -EBUSY, -EDEADLK or -ETIMEDOUT. */
static int acquire(struct th_range_lock_table *table, struct th_lock *lock, int timeout_ms)
{
	if (!has_to_wait(table, lock)) {
		lock->held = true;
		return 0;
	}
	if (timeout_ms == TH_LOCK_TRY)
		return -EBUSY;
	if (is_deadlock(table, lock))
		return -EDEADLK;
	lock->owner->waiting = lock;
	return await(table, lock, timeout_ms);
}

/* --- public --- */

static struct th_lock *lock_new(struct th_locker *owner, const struct th_span *span, enum th_lock_mode mode)
{
	struct th_slice from = th_key_slice(&span->from), to = th_span_end(span);
	struct th_lock *lock = calloc(1, sizeof(*lock) + from.size + to.size);

	if (!lock)
		return NULL;
	lock->owner = owner;
	lock->mode = mode;
	if (from.size)
		memcpy(lock->bytes, from.data, from.size);
	if (to.size)
		memcpy(lock->bytes + from.size, to.data, to.size);
	lock->from = (struct th_slice){ lock->bytes, from.size };
	lock->to = (struct th_slice){ to.data ? lock->bytes + from.size : NULL, to.size };
	return lock;
}

int th_locker_new_in(struct th_view *view, struct th_locker **ret)
{
	struct th_locker *locker;
	pthread_condattr_t attr;

	if (!th_view_is_live(view))
		return -EINVAL;
	locker = calloc(1, sizeof(*locker));
	if (!locker)
		return -ENOMEM;
	locker->table = &view->store->locks;
	locker->view = view;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&locker->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = locker;
	return 0;
}

int th_locker_new(struct th_store *store, struct th_locker **ret)
{
	return th_locker_new_in(&store->live_view, ret);
}

void th_locker_free(struct th_locker *locker)
{
	if (!locker)
		return;
	th_locker_unlock(locker);
	pthread_cond_destroy(&locker->wake);
	free(locker);
}

int th_locker_lock(struct th_locker *locker, const struct th_range *range, enum th_lock_mode mode, int timeout_ms)
{
	struct th_range_lock_table *table = locker->table;
	struct th_lock *lock;
	struct th_span span;
	int err = th_view_span(locker->view, range, &span);

	if (err || th_span_is_empty(&span))
		return err;
	lock = lock_new(locker, &span, mode);
	if (!lock)
		return -ENOMEM;
	pthread_mutex_lock(&table->mutex);
	append(table, lock);
	err = acquire(table, lock, timeout_ms);
	if (err) {
		locker->waiting = NULL;
		discard(table, lock);
		grant(table); /* later requests may have waited for this one */
	}
	pthread_mutex_unlock(&table->mutex);
	return err;
}

void th_locker_unlock(struct th_locker *locker)
{
	struct th_range_lock_table *table = locker->table;

	pthread_mutex_lock(&table->mutex);
	for (struct th_lock *lock = table->first, *next; lock; lock = next) {
		next = lock->next;
		if (lock->owner == locker)
			discard(table, lock);
	}
	grant(table);
	pthread_mutex_unlock(&table->mutex);
}

int th_txn_lock(struct th_txn *txn, const struct th_range *range, enum th_lock_mode mode, int timeout_ms)
{
	int err = txn->locker ? 0 : th_locker_new_in(txn->view, &txn->locker);

	return err ? err : th_locker_lock(txn->locker, range, mode, timeout_ms);
}
