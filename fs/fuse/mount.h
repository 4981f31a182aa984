/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting: from an image and a directory to a daemon that answers, and back to a closed store.
 */
#ifndef TH_FS_FUSE_MOUNT_H
#define TH_FS_FUSE_MOUNT_H

#include <stdbool.h>

struct th_mount_options {
	const char *image;
	const char *directory;
	/* As given with -o, joined by commas; NULL: none.  Ours are ro, cache=SIZE, commit=SECONDS, snapdir=MODE,
	 * snapshot=NAME, subdir=PATH, relatime, noatime, strictatime and nodiratime; what only fstab means (noauto,
	 * user, x-...) and what is so anyway (acl, user_xattr) is dropped; the rest goes to FUSE.  With remount:
	 * fs/remount.h. */
	const char *options;
	bool foreground; /* stay, and log to stderr; else become a daemon, and log to syslog */
};

/*
 * Mounts, serves until the filesystem is unmounted or SIGTERM, SIGINT or SIGHUP comes, commits and closes.  In the
 * foreground it returns then; else it returns twice, as fork(2) does: in the caller's process when the mount answers or
 * has failed, and in the daemon at its end.  The caller exits with what it returns: 0 or 1.  What went wrong has been
 * said on stderr, or in the log.
 */
int th_mount_run(const struct th_mount_options *options);

#endif
