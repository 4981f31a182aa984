/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history of transactions on a few keys, and the question whether a serial order explains it.
 *
 * Whatever a transaction writes has the transaction's id as its value, a version; and it reads a key before it writes
 * it.  So each key's versions form a chain, and who must come before whom is known:
 *
 *   the writer of a version before the writer of the next one, and before those who read it;
 *   whoever read a version before the writer of the next one;
 *   whoever ended before whoever began, by the clock.
 *
 * There is a serial order if and only if there is no ring among these.  Then the transactions are played in it, and
 * each must read what it did read: so a mistake in the making of the order would be seen, too.
 */
#ifndef TH_TESTS_TREE_HISTORY_H
#define TH_TESTS_TREE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TH_HISTORY_KEYS 24
#define TH_HISTORY_UNREAD UINT64_MAX

/* The version of a key that nobody wrote, and the id of the transaction before all others. */
#define TH_HISTORY_NOTHING 0

struct th_history_txn {
	uint64_t id; /* of whoever only reads: any that is not used otherwise */
	uint64_t begin, end; /* by the history's clock: the moment that it stands for is between them */
	uint64_t read[TH_HISTORY_KEYS]; /* version, from before its own write */
	bool wrote[TH_HISTORY_KEYS];
};

/* One look at one key that was no part of a transaction. */
struct th_history_glance {
	unsigned key;
	uint64_t version, begin, end;
};

struct th_history {
	struct th_history_txn *txns;
	size_t count, capacity;
	struct th_history_glance *glances;
	size_t nglances, glances_capacity;
};

/* Ticks, for all histories of the process: each call gives a later one. */
uint64_t th_history_tick(void);
/* A new id, for all histories of the process. */
uint64_t th_history_id(void);

/* A transaction with a new id that has read and written nothing. */
struct th_history_txn th_history_begin(void);
void th_history_add(struct th_history *history, const struct th_history_txn *txn);
void th_history_add_glance(struct th_history *history, const struct th_history_glance *glance);
/* Moves everything from one history to another. */
void th_history_join(struct th_history *to, struct th_history *from);
void th_history_release(struct th_history *history);

/* NULL, or what is wrong, in words that stay valid until the next call on this thread.
 * Transactions as a whole must be in a serial order; glances in one for each key. */
const char *th_history_check(struct th_history *history);

#endif
