/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting: opens an image, serves it on a directory until it is unmounted, and closes it. */
#ifndef TH_FS_FUSE_MOUNT_H
#define TH_FS_FUSE_MOUNT_H

#include <stdbool.h>

struct th_mount_options {
	const char *image;
	const char *directory;
	const char *options; /* as given with -o, joined by commas (mount_options.h); NULL: none */
	bool foreground; /* do not become a daemon, and log to stderr instead of syslog */
};

/* Mounts the image and serves it until it is unmounted, or by SIGTERM, SIGINT or SIGHUP; then writes a checkpoint and
 * closes it.  In the foreground it returns after that.  Otherwise it returns twice, as fork(2) does: in the calling
 * process when the mount works or has failed, and in the daemon at its end.  Returns an exit code, 0 or 1, with which
 * the caller exits; errors have been reported on stderr or in the log. */
int th_mount_run(const struct th_mount_options *options);

#endif
