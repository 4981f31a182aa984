/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker of the filesystem: the store's own (th_store_check), which it tells where file data lies, and on top of
 * it what only the filesystem can know of its live tree:
 *
 *   K1  every key is of a kind that is defined, its value is well-formed, and the inode that it belongs to exists;
 *   K2  a directory entry leads to an inode of the type that it says, which knows this name;
 *   K3  an inode's names are entries of directories that lead to it, and as many as its link count says; one without a
 *       name is on the list of orphans;
 *   K4  a directory has as many entries and subdirectories as it says;
 *   K5  a file's extents do not overlap and hold as many blocks as it says;
 *   K6  no id is in use that may be given out again.
 */
#ifndef TH_FS_CHECK_CHECK_H
#define TH_FS_CHECK_CHECK_H

#include "fs/fs.h"

struct th_fs_check_options {
	bool only_names; /* what the store checks by itself, and data, was looked at already: of another branch */
	bool read_data; /* read all file data, and compare it with its checksums */
	void (*problem)(void *arg, const char *line); /* told of each, without a newline */
	void *arg;
};

/* Checks a filesystem that nobody else uses.  0 when the check was carried through, whatever it found. */
int th_fs_check(struct th_fs *fs, const struct th_fs_check_options *options, struct th_check_result *ret);

#endif
