/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trim in the background: freed blocks are given back to the file or device below (journal/space/space_trim.c).
 *
 * The checkpointer does it between checkpoints: so no transaction and no caller of a checkpoint waits for discards.
 */
#ifndef TH_TREE_IO_TRIM_H
#define TH_TREE_IO_TRIM_H

#include "tree/state/state.h"

/* Starts noting freed blocks, if the options say so or else the disk prefers it. */
void th_trim_start(struct th_store *store);
/* Discards some of the blocks that became free before the previous call.  After an error it reports and ends trimming,
 * silently if the disk cannot discard.  Returns whether more are due. */
bool th_trim_freed(struct th_store *store);
/* Discards all blocks that became free.  For closing: no other thread uses the store. */
void th_trim_finish(struct th_store *store);

#endif
