/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of a transaction: those it allocates, and the references it drops and adds.  Most of the interface is public, in
 * tree/chunk.h.
 */
#ifndef TH_TREE_TXN_ALLOC_H
#define TH_TREE_TXN_ALLOC_H

#include "tree/txn/txn.h"

/* Writes a large value to runs that the transaction allocates, and its descriptor to `to`, which has room for
 * TH_LARGE_VALUE_DISK_MAX bytes.  *ret_size: bytes of the descriptor.  Returns 0, -ENOMEM, or a write error; -ENOSPC
 * also if the free space is in too many pieces for one descriptor.  After an error, runs may have been allocated:
 * they are the transaction's. */
int th_alloc_value(struct th_txn *txn, struct th_slice value, void *to, size_t *ret_size);

#endif
