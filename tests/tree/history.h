/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History: a record of transactions on a few keys, with a check whether a serial order explains it.
 *
 * A transaction writes its id as the value of a key, a version, and reads a key before it writes it.  So the versions
 * of each key form a chain, and these orders follow:
 *
 *   the writer of a version precedes the writer of the next one, and all readers of the version;
 *   a reader of a version precedes the writer of the next one;
 *   by the clock, a transaction that ended precedes each one that began later.
 *
 * There is a serial order if and only if these have no cycle.  The check then replays the transactions in that order,
 * and each must read the versions that it has read, so an error in the order itself would be found, too.
 */
#ifndef TH_TESTS_TREE_HISTORY_H
#define TH_TESTS_TREE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TH_HISTORY_KEYS 24
#define TH_HISTORY_UNREAD UINT64_MAX

/* The version of a key that was never written, and the id of the transaction before all others. */
#define TH_HISTORY_NOTHING 0

struct th_history_txn {
	uint64_t id; /* of a transaction that only reads: any id that is not used otherwise */
	uint64_t begin, end; /* by the history's clock: its moment is between them */
	uint64_t read[TH_HISTORY_KEYS]; /* version, before its own write */
	bool wrote[TH_HISTORY_KEYS];
};

/* One read of one key outside a transaction. */
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

/* Returns the time in ticks, of one clock for all histories of the process: each call returns a later tick. */
uint64_t th_history_tick(void);
/* Returns a new id, unique in the process. */
uint64_t th_history_id(void);

/* Returns a transaction with a new id that has read and written nothing. */
struct th_history_txn th_history_begin(void);
void th_history_add(struct th_history *history, const struct th_history_txn *txn);
void th_history_add_glance(struct th_history *history, const struct th_history_glance *glance);
/* Moves all transactions and glances from one history to another. */
void th_history_join(struct th_history *to, struct th_history *from);
void th_history_release(struct th_history *history);

/* Checks that there is a serial order of the transactions, and for each key an order of the glances.  Returns NULL if
 * so, else the reason in words, valid until the next call on this thread. */
const char *th_history_check(struct th_history *history);

#endif
