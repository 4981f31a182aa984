/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of files in a filesystem, as users name them: of a mounted one by a path of the system, which need not exist
 * any more; of one that is not mounted by the image and a path in it.
 *
 *   /mnt/docs/a.txt                  the mount /mnt and /docs/a.txt
 *   /mnt/docs/.snapshots/S/a.txt     the same, in snapshot S
 */
#ifndef TH_TOOLS_FS_PATH_H
#define TH_TOOLS_FS_PATH_H

#include <limits.h>

#include "fs/control/control.h"

struct th_fs_path {
	char target[PATH_MAX]; /* the root of the mount, or the image */
	char path[PATH_MAX]; /* from there: "/docs/a.txt"; "/" is the root */
	char snapshot[TH_SNAPSHOT_NAME_MAX + 1]; /* "": the present */
};

/* Finds the mount that a path is in.  The path need not exist, but one of its directories.  Returns 0, or -errno after
 * reporting why. */
int th_fs_path_find(const char *path, struct th_fs_path *ret);
/* The same for a path in an image.  Returns as th_fs_path_find(). */
int th_fs_path_in(const char *image, const char *path, struct th_fs_path *ret);

#endif
