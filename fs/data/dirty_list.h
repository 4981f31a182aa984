/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty list: inodes that hold, in memory, what the store has not yet, oldest first.  It holds a reference to each.
 *
 * Being on the list says that something may be waiting; an inode that was flushed by itself may stay on it, and costs
 * the next walk a look.
 */
#ifndef TH_FS_DATA_DIRTY_LIST_H
#define TH_FS_DATA_DIRTY_LIST_H

#include "fs/inode/inode.h"

/* fs->dirty comes and goes. */
int th_dirty_init(struct th_fs *fs);
/* Ends it, after every inode: what could not be written is given up with them. */
void th_dirty_release(struct th_fs *fs);

/* Puts the inode on the list, if it is not there.  inode->lock held for writing. */
void th_dirty_add(struct th_inode *inode);
/* Takes the inode off the list, as nothing waits in it any more.  inode->lock held for writing.  True: the caller now
 * owns the list's reference, and puts it when it holds no lock. */
bool th_dirty_remove(struct th_inode *inode);
/* Counts pages that begin (or, negative, cease) to wait in memory. */
void th_dirty_charge(struct th_fs *fs, int64_t pages);
/* To be called, with no lock held, by whoever adds to what waits: flushes if it is too much.  An error only where much
 * too much waits and cannot be written. */
int th_dirty_relieve(struct th_fs *fs);
/* Something failed for want of space, for the nth time from 0: true if space that was freed lately has been made
 * usable, so that it is worth another try.  No lock held (L5). */
bool th_dirty_reclaim(struct th_fs *fs, unsigned nth);
/* The place on disk behind the last run that was flushed: what begins anew goes there, so that a whole flush is one
 * stream. */
uint64_t th_dirty_hint(struct th_fs *fs);
void th_dirty_set_hint(struct th_fs *fs, uint64_t hint);

#endif
