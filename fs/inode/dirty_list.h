/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty list: inodes with changes in memory that the store does not have yet, oldest first.  The list holds a
 * reference to each of them.  fs/data/writeback_list.c writes it back.
 *
 * An inode on the list may be clean: one that was written back by itself may stay on it, and the next walk skips it.
 */
#ifndef TH_FS_INODE_DIRTY_LIST_H
#define TH_FS_INODE_DIRTY_LIST_H

#include <stddef.h>

#include "fs/inode/inode.h"

/* Makes fs->dirty.  Returns 0 or -ENOMEM. */
int th_dirty_init(struct th_fs *fs);
/* Frees fs->dirty, after every inode.  Changes that could not be written are lost with their inodes. */
void th_dirty_release(struct th_fs *fs);

/* Appends the inode to the list, unless it is on it.  inode->lock held for writing. */
void th_dirty_add(struct th_inode *inode);
/* Notes that the inode's attributes have changed in memory only, and appends it.  inode->lock held for writing. */
void th_inode_mark_dirty(struct th_inode *inode);
/* Notes that attr.atime has changed by a read, or differs from a record (atime_record.h), and appends the inode.
 * inode->lock held for writing. */
void th_inode_mark_atime_dirty(struct th_inode *inode);
/* Removes a clean inode from the list.  inode->lock held for writing.  Returns true if it was on the list: then the
 * caller owns the list's reference, and puts it when it holds no lock. */
bool th_dirty_remove(struct th_inode *inode);
/* Removes the oldest inode and returns it with the list's reference, or NULL if the list is empty. */
struct th_inode *th_dirty_take(struct th_fs *fs);
size_t th_dirty_count(struct th_fs *fs);

/* One walk over the list at a time: so a walk that finds the list empty knows that no other one still holds an inode
 * that it took.  The lock between the two is taken before any inode lock. */
void th_dirty_walk_begin(struct th_fs *fs);
void th_dirty_walk_end(struct th_fs *fs);

/* Adds to the number of dirty pages of all files; negative when pages become clean or are discarded. */
void th_dirty_charge(struct th_fs *fs, int64_t pages);
int64_t th_dirty_pages(struct th_fs *fs);

/* The disk address just past the run that was written back last.  New runs begin there, so that the writeback of many
 * files is one stream. */
uint64_t th_dirty_hint(struct th_fs *fs);
void th_dirty_set_hint(struct th_fs *fs, uint64_t hint);

#endif
