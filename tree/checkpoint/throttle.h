/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling: a transaction waits, before it is applied, for room in memory.
 *
 * Dirty nodes may take dirty_soft bytes before the checkpointer is woken, and dirty_hard bytes together with those that
 * it is writing.  At the upper limit a committing thread has to wait.  To spread that over many transactions, each is
 * delayed a little when the limit comes near.
 */
#ifndef TH_TREE_CHECKPOINT_THROTTLE_H
#define TH_TREE_CHECKPOINT_THROTTLE_H

#include "tree/state/state.h"

/* Waits, before a transaction is applied, until fewer than dirty_hard bytes are dirty or being written: for the
 * checkpoint under way if there is one, else by a checkpoint of its own.  Delays the thread by th_checkpoint_pace_us()
 * if a checkpoint is under way.  Wakes the checkpointer if dirty_soft bytes are dirty.  No lock may be held. */
void th_checkpoint_throttle(struct th_store *store);

/* Returns the delay of one transaction, in microseconds: the time in which the checkpoint writes as many bytes as the
 * last transaction made dirty, scaled from 0 at three quarters of dirty_hard to infinity at dirty_hard, and at most
 * 100000. */
uint64_t th_checkpoint_pace_us(struct th_store *store);

#endif
