/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the filesystem's checker that reads file data. */
#ifndef TH_FS_CHECK_CHECK_DATA_H
#define TH_FS_CHECK_CHECK_DATA_H

#include "fs/check/check.h"

/* Reads the data of every file in the live tree, the other branches and every snapshot, each block once, and compares
 * it with its checksums.  0 when it was carried through; *ret_problems counts what was wrong. */
int th_fs_check_data(struct th_fs *fs, const struct th_fs_check_options *options, uint64_t *ret_problems);

#endif
