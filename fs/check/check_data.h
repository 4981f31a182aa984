/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the filesystem checker that reads file data. */
#ifndef TH_FS_CHECK_CHECK_DATA_H
#define TH_FS_CHECK_CHECK_DATA_H

#include "fs/check/check.h"

/* Reads the data of every file in the live tree, the other branches and all snapshots, each block once, and verifies
 * its checksums.  *ret_problems: the runs that could not be read or had a wrong checksum.  Returns 0 if the check was
 * completed, or an error. */
int th_fs_check_data(struct th_fs *fs, const struct th_fs_check_options *options, uint64_t *ret_problems);

#endif
