/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices for mounts of type fuseblk: a loop device on an image file, and devices whose daemon was killed.
 */
#ifndef TH_FS_FUSE_LOOP_DEVICE_H
#define TH_FS_FUSE_LOOP_DEVICE_H

#include <stdbool.h>

#define TH_LOOP_NAME_MAX 32

/* Attaches a free loop device to the file or device at `path`.  It detaches itself (LO_FLAGS_AUTOCLEAR) when it is
 * neither open nor mounted.  Fills in its name.  Returns a descriptor of it, which the caller closes, or -errno. */
int th_loop_attach(const char *path, bool read_only, char name[TH_LOOP_NAME_MAX]);

/* Makes the loop device as large as its file has become.  Returns 0 or -errno. */
int th_loop_resize(const char *name);

/* Returns whether the kernel still has a FUSE filesystem on the block device whose daemon has ended: after umount -l,
 * for as long as a program uses it.  It keeps the device claimed, and the kernel would show it to a new mount of the
 * device. */
bool th_device_is_dead(const char *path);

#endif
