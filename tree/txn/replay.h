/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: the transactions of the intent log, when a store is opened after a crash. */
#ifndef TH_TREE_TXN_REPLAY_H
#define TH_TREE_TXN_REPLAY_H

#include "tree/state/state.h"

int th_log_replay_store(struct th_store *store);

#endif
