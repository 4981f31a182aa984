/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching a session to its directory: by a block device where possible (fuseblk), else as a plain FUSE filesystem.
 *
 * To a filesystem on a block device the kernel passes sync(1) and syncfs(2), its unmounting waits until the daemon has
 * written everything and closed the image, and the programs that list block devices know it.  The device of an image
 * file is a loop device, which nothing reads or writes: the daemon uses the file itself.  Only root can mount so.
 */
#ifndef TH_FS_FUSE_ATTACH_H
#define TH_FS_FUSE_ATTACH_H

#include "fs/fuse/mount_options.h"
#include "fs/fuse/session.h"

struct th_disk;

struct th_fuse_attach {
	const char *image, *directory;
	const struct th_mount_parsed *options;
	struct th_disk *disk; /* of the image; its claim is passed on to the kernel */
	fuse_log_func_t log; /* the present one */
	bool unclaimed; /* a dead filesystem keeps the device: it cannot be mounted itself */
};

/* Makes fuse->session and mounts it.  Sets fuse->block, or fuse->no_block to the reason why it is a plain filesystem.
 * Returns 0, or -errno after reporting by fuse_log(). */
int th_fuse_attach(struct th_fuse *fuse, const struct th_fuse_attach *attach);

#endif
