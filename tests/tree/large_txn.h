/* SPDX-License-Identifier: Apache-2.0 */
/* Large transactions: a store with so little memory for a transaction that everything is spilled, and writes for it. */
#ifndef TH_TESTS_TREE_LARGE_TXN_H
#define TH_TESTS_TREE_LARGE_TXN_H

#include "tests/tree/fixture.h"

#define TH_LARGE_RECORDS 4000 /* different keys of th_large_write() */

/* A transaction with more than 2000 bytes is spilled, and spills are merged.  No reports are printed. */
extern const struct th_store_options th_large_options;

struct th_store_info th_large_info(struct th_store *store);
/* Makes checkpoints until all that was freed can be used again.  Returns the number of blocks not in use. */
uint64_t th_large_blocks_left(struct th_store *store);

/* Returns the key of a record.  space: 32 bytes. */
struct th_slice th_large_key(uint32_t number, char *space);
/* Puts a record of `size` bytes, up to 30000, in the transaction, and in the model if that succeeds.  model: may be
 * NULL.  Returns the error of the put. */
int th_large_put(struct th_txn *txn, struct th_model *model, uint32_t number, size_t size, uint64_t stamp);
/* Makes `count` writes of every kind, not in the order of keys.  Some values are large, and some of those replaced. */
void th_large_write(struct th_txn *txn, struct th_model *model, struct th_random *random, unsigned count);
/* Verifies that lookups and a cursor of the transaction equal the model. */
void th_large_verify(struct th_txn *txn, const struct th_model *model);

#endif
