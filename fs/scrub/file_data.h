/* SPDX-License-Identifier: Apache-2.0 */
/* The data of files, for a scrub: verified by the checksums in extents. */
#ifndef TH_FS_SCRUB_FILE_DATA_H
#define TH_FS_SCRUB_FILE_DATA_H

#include "fs/inode/context.h"
#include "tree/scrub/scrub.h"

struct th_scrub_file_data {
	struct th_fs *fs;
	struct th_scrub *scrub; /* set when the scrub was made */
};

/* A th_scrub_value, for a struct th_scrub_file_data.  Reports each damaged block: tree, inode, path, offset, block. */
int th_scrub_file_value(void *arg, const char *tree, struct th_slice key, struct th_slice value);

#endif
