/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments: states of the filesystem that a crash may leave.
 *
 * Some changes are delayed in memory (data, sizes, attributes), others enter the store at once (names, extended
 * attributes).  A crash must not leave a later change without an earlier one.  So before the store takes a state for a
 * checkpoint or a log record, th_moment_begin() waits for the end of all delayed changes under way and holds new ones
 * back, until the delayed changes are in the store and the state is taken.  Names go on meanwhile: each change of names
 * is one transaction, which is part of the state or not, and so are all delayed changes before it.
 *
 * A change that is delayed, or takes several transactions, is made between th_moment_enter() and th_moment_leave().
 * These do not nest, and are called without a lock of fs/ (L0).
 */
#ifndef TH_FS_INODE_MOMENT_H
#define TH_FS_INODE_MOMENT_H

#include "fs/inode/context.h"

void th_moment_init(struct th_fs *fs);
void th_moment_release(struct th_fs *fs);
/* Surround a change, usually for less time than a transfer of the disk takes. */
void th_moment_enter(struct th_fs *fs);
void th_moment_leave(struct th_fs *fs);
/* Surround the taking of a state, on one thread. */
void th_moment_begin(struct th_fs *fs);
void th_moment_end(struct th_fs *fs);
/* Keeps the quiescing of the filesystem (fs.c) from touching inodes, or ends that. */
void th_moment_set_quiet(struct th_fs *fs, bool quiet);

#endif
