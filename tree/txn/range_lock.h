/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks: who may work on which keys.  thunderhead.h says what they promise.
 *
 * The table is a list in the order of asking, of locks that are held and of those that are waited for.  A lock is in
 * another one's way if they conflict and it is held, or was asked for earlier.  So there are two kinds of waiting: for
 * a holder, and for one's turn.
 *
 *   R1  Two locks that are held conflict only if one locker holds both.
 *   R2  A locker waits for one lock at most.
 *   R3  There is no ring of lockers of which each waits for a lock that the next one holds: whoever would close one is
 *       told -EDEADLK.  A turn is not waited for where that would close a ring: then the later one goes first.
 *
 * Asking walks the whole list, and where it has to wait the lists of whom that waits for: meant for some hundreds of
 * locks at a time, not for one a record.
 */
#ifndef TH_TREE_TXN_RANGE_LOCK_H
#define TH_TREE_TXN_RANGE_LOCK_H

#include <pthread.h>

#include "tree/thunderhead.h"

struct th_lock;

struct th_range_lock_table {
	pthread_mutex_t mutex; /* guards all of it; a leaf */
	struct th_lock *first, *last; /* in the order of asking */
	uint64_t asked; /* number of the newest */
	uint64_t search; /* number of the newest search for a ring */
};

void th_range_lock_table_init(struct th_range_lock_table *table);
/* Lockers must be gone: what one still holds is forgotten. */
void th_range_lock_table_release(struct th_range_lock_table *table);

#endif
