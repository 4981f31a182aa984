/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker of a filesystem: the checker of the store (th_store_check), with the locations of file data, and checks
 * of the live tree that need to know the filesystem's records:
 *
 *   K1  Every key is of a defined kind, its value is well-formed, and the inode that it belongs to exists, as does that
 *       of a time of access.
 *   K2  A directory entry refers to an inode of the type in the entry, and the inode has this name.
 *   K3  The names of an inode are directory entries that refer to it, as many as its link count; a directory has one.
 *       An inode without names is on the list of orphans.
 *   K4  A directory's counts of entries and subdirectories are right.
 *   K5  The extents of a file do not overlap, and its count of blocks is right.
 *   K6  No id in use may be allocated again.
 */
#ifndef TH_FS_CHECK_CHECK_H
#define TH_FS_CHECK_CHECK_H

#include "fs/fs.h"

struct th_fs_check_options {
	bool only_names; /* skip the checks of the store and of data, which a check of another branch has done */
	bool read_data; /* read all file data and verify its checksums */
	void (*problem)(void *arg, const char *line); /* called for each problem, with a line without a newline */
	void *arg;
};

/* Checks a filesystem that has no other user at the time.  Returns 0 if the check was completed, whether or not it
 * found problems, or an error that kept it from being completed. */
int th_fs_check(struct th_fs *fs, const struct th_fs_check_options *options, struct th_check_result *ret);

/* Checks K1 to K6 of the inodes that differ from a view, and that the directories above them lead to the root.  base:
 * NULL: of all inodes.  No other thread changes the filesystem, and no inode in memory is dirty: each is read again.
 * Returns 0 if the check was completed, or an error; *ret_problems: the number of lines reported. */
int th_fs_check_changes(struct th_fs *fs, struct th_view *base, const struct th_fs_check_options *options,
			uint64_t *ret_problems);

#endif
