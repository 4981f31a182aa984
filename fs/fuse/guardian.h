/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guardian: a process that ends the connection to the kernel when the daemon was killed.
 *
 * Usually the kernel does that itself, when the last descriptor of /dev/fuse is closed.  But a thread that has the
 * kernel drop pages or names (notify.c, rollback.c) waits in the kernel for pages under writeback, and for locks of
 * programs, until the daemon has answered requests.  If the daemon is killed in that moment, this thread waits for
 * ever.  It keeps the process and its descriptors, so programs on the mount hang, and cannot be killed.  The guardian
 * waits for the end of the daemon's main thread, which never does such a call, and then aborts the connection.
 */
#ifndef TH_FS_FUSE_GUARDIAN_H
#define TH_FS_FUSE_GUARDIAN_H

/* Starts the guardian of the filesystem that is mounted on the directory.  Called by the main thread of the daemon,
 * after mounting, and before system calls are restricted.  It has no descriptor of the daemon, and ends with the
 * daemon.  Returns 0, or -errno: this user cannot reach the kernel's switch, or there is no memory; then it is not
 * started. */
int th_fuse_guardian_start(const char *directory);

#endif
