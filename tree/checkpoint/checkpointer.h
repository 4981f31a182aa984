/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpointer: a thread that checkpoints in the background.
 *
 * It does so every checkpoint_interval_ms, when dirty_soft bytes are dirty (th_checkpoint_throttle() wakes it), and
 * one checkpoint after another as long as there is space to reclaim.  Errors make the store refuse writes; the thread
 * then only waits for its end.
 */
#ifndef TH_TREE_CHECKPOINT_CHECKPOINTER_H
#define TH_TREE_CHECKPOINT_CHECKPOINTER_H

#include "tree/state/state.h"

/* Starts the thread.  Returns 0 or the error of pthread_create(3). */
int th_checkpointer_start(struct th_store *store);
/* Waits for the checkpoint under way and ends the thread, if it was started. */
void th_checkpointer_stop(struct th_store *store);

#endif
