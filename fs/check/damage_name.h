/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of damaged data: paths, offset and trees, for the checker and for the log of the daemon.
 *
 * A block of data is known by its address on the disk.  A user needs to know which files are affected, where in them,
 * and which snapshots have the same block, as these are no source for a copy.
 */
#ifndef TH_FS_CHECK_DAMAGE_NAME_H
#define TH_FS_CHECK_DAMAGE_NAME_H

#include "fs/data/extent.h"
#include "fs/inode/context.h"

/* Returns a text such as
 *
 *   'd/file' (inode 7) at offset 8192, disk block 4711, in the live tree, snapshot 'one'
 *
 * which the caller frees, or NULL without memory.  Without a readable path it has the inode only.  Reads the store; no
 * lock of the inode is needed.
 *
 * view: a tree that has the block; id: the inode; block: in the file; addr: on the disk. */
char *th_damage_name(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t block, uint64_t addr);

/* Returns the path of a name in a directory, from the root, which the caller frees, or NULL without memory.  A
 * directory whose inode cannot be read is shown by its number. */
char *th_damage_path(struct th_view *view, uint64_t directory, const char *name);

/* Verifies the blocks of an extent one by one, and passes a line that names each damaged one to report(arg, line).
 * Returns how many there are, or -ENOMEM. */
int th_damage_name_extent(struct th_fs *fs, struct th_view *view, uint64_t id, const struct th_extent *extent,
			  void (*report)(void *arg, const char *line), void *arg);

/* The same for the blocks of a file that a read of these bytes needs; the lines go to the filesystem's report
 * function. */
void th_damage_name_read(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t off, uint64_t size);

#endif
