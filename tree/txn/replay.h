/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: applies the transactions of the intent log when a store is opened after a crash. */
#ifndef TH_TREE_TXN_REPLAY_H
#define TH_TREE_TXN_REPLAY_H

#include "tree/state/state.h"

/* Applies all transactions of the log that are newer than the last checkpoint, up to the first one that is
 * incomplete.  The store is not in use yet.  Returns 0, -EUCLEAN if a record is broken, -ENOMEM, or the error of
 * reading; an error is reported, too, and the live tree is then of no state that ever was. */
int th_log_replay_store(struct th_store *store);

#endif
