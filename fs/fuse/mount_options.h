/* SPDX-License-Identifier: Apache-2.0 */
/* The mount options, taken apart: ours, those for FUSE, and those that only fstab means. */
#ifndef TH_FS_FUSE_MOUNT_OPTIONS_H
#define TH_FS_FUSE_MOUNT_OPTIONS_H

#include "fs/fs.h"
#include "fs/fuse/mount.h"

struct th_mount_parsed {
	struct th_fs_options fs; /* its strings point into text */
	char *text; /* a copy of the options, cut up */
	char *fuse; /* comma-separated, for libfuse */
	unsigned max_read; /* in fuse, too: libfuse wants it said twice; 0: not given */
	bool remount; /* what is mounted already, with other flags */
};

/* -EINVAL, after saying on stderr which option is wrong. */
int th_mount_parse(const struct th_mount_options *options, struct th_mount_parsed *ret);
void th_mount_parsed_release(struct th_mount_parsed *parsed);

#endif
