/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writeback of the dirty list: all inodes on it, in batches of one transaction each.  Writers call this too, when the
 * dirty pages become too many or the space too little.
 */
#ifndef TH_FS_DATA_WRITEBACK_LIST_H
#define TH_FS_DATA_WRITEBACK_LIST_H

#include "fs/inode/context.h"

/* Writes back every inode that is on the dirty list at the time of the call; inodes that become dirty during it may be
 * left.  Returns 0 or the first error; an error does not keep the other inodes from being written.  No inode lock
 * held. */
int th_writeback_all(struct th_fs *fs);
/* Limits the dirty pages: writes back the list if they are more than their limit.  Every caller that adds dirty pages
 * calls it afterwards.  Returns an error only if they are still above twice the limit.  No lock held. */
int th_writeback_relieve(struct th_fs *fs);
/* Makes freed space usable by checkpoints, after an operation has failed with -ENOSPC.  tries: how often it was called
 * for this operation, from 0.  Returns true if the operation is worth a retry.  No lock held (L5). */
bool th_writeback_make_room(struct th_fs *fs, unsigned tries);

#endif
