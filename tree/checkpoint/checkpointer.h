/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that checkpoints in the background. */
#ifndef TH_TREE_CHECKPOINT_CHECKPOINTER_H
#define TH_TREE_CHECKPOINT_CHECKPOINTER_H

#include "tree/state/state.h"

int th_checkpointer_start(struct th_store *store);
void th_checkpointer_stop(struct th_store *store);

#endif
