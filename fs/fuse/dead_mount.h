/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts whose daemon has ended without unmounting, such as by SIGKILL.  They stay in the tree of directories, and
 * every access fails with ENOTCONN.  A new mount in the same place, or of the same device, removes them first.
 */
#ifndef TH_FS_FUSE_DEAD_MOUNT_H
#define TH_FS_FUSE_DEAD_MOUNT_H

#include <stdbool.h>

/* Resolves the path of a mount point as realpath(3) does, also if it is a dead mount.  The caller frees the result.
 * Returns NULL and sets errno on errors. */
char *th_mount_point(const char *directory);

/* Unmounts the dead mount of this filesystem on `directory`, a path by th_mount_point().  Returns 1 if there was one, 0
 * if not, -EBUSY if a program still uses it, or another -errno. */
int th_dead_mount_remove(const char *directory);
/* Unmounts all dead mounts of a block device.  Returns how many. */
int th_dead_mount_remove_device(const char *device);

#endif
