/* SPDX-License-Identifier: Apache-2.0 */
/* Throttling of merges: room on the disk, and in memory. */
#ifndef TH_TREE_CHECKPOINT_THROTTLE_H
#define TH_TREE_CHECKPOINT_THROTTLE_H

#include "tree/state/state.h"

/* Is there room for so many bytes besides what was merged and is not written yet?  Deleting may go on into the reserve.
 * Commits if that makes room.  -ENOSPC. */
int th_checkpoint_room(struct th_store *store, uint64_t bytes, bool emergency);
/* Before a merge.  Wakes the checkpointer if much is dirty.  If very much is, waits until enough of it was written, or
 * commits; if nearly so much is, waits a little. */
void th_checkpoint_throttle(struct th_store *store);
/* How long that is, in microseconds: about what it takes to write what the last merge made dirty; less at first, more
 * and more at the end.  So many merges wait a little, and seldom one for long. */
uint64_t th_checkpoint_pace_us(struct th_store *store);

#endif
