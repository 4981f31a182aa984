/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range locks: which locker may work on which keys.  thunderhead.h has the rules for callers.
 *
 * The table is a list, in the order of requests, of locks that are held and locks that are waited for.  A lock blocks
 * another one if the two conflict and it is held or was requested earlier.  So a request waits for two reasons: a
 * conflicting lock is held, or a conflicting request is first in turn.
 *
 *   R1  Two locks that are held conflict only if one locker holds both.
 *   R2  A locker waits for at most one lock.
 *   R3  Lockers never form a cycle in which each waits for a lock that the next one holds: the request that would close
 *       one fails with -EDEADLK.  Where waiting for an earlier request would close a cycle, the later request does not
 *       wait for it.
 *
 * A request walks the whole list, and if it has to wait, walks it once more for each locker that it waits for.  So the
 * table is meant for some hundreds of locks at a time, not for one per record.
 */
#ifndef TH_TREE_TXN_RANGE_LOCK_H
#define TH_TREE_TXN_RANGE_LOCK_H

#include <pthread.h>

#include "tree/thunderhead.h"

struct th_lock;

struct th_range_lock_table {
	pthread_mutex_t mutex; /* of all fields; a leaf */
	struct th_lock *first, *last; /* in the order of requests */
	uint64_t asked; /* number of the newest request */
	uint64_t search; /* number of the newest search for a cycle */
};

void th_range_lock_table_init(struct th_range_lock_table *table);
/* Frees the table and the locks that are still in it.  No locker may be used any more. */
void th_range_lock_table_release(struct th_range_lock_table *table);

#endif
