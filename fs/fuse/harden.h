/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon gives up, so that a defect in it, reached by a made image or a user's request, gives an attacker
 * little.  docs/security.md says against whom this protects, and what remains.
 *
 * Restrictions of a process hold for threads that start later, so th_harden_begin() is called before there are any.
 * System calls are restricted in all threads, when the mount is made.  Without root's rights the daemon has only those
 * of its user.  It then runs fusermount3, a set-uid program, to unmount, and cannot restrict itself further.
 */
#ifndef TH_FS_FUSE_HARDEN_H
#define TH_FS_FUSE_HARDEN_H

#include <stdbool.h>

/* Closes all descriptors but the standard streams and `keep` (negative: none), cleans the environment, forbids core
 * dumps, protects the process from the OOM killer, marks it as a server of block I/O, gives up capabilities, and
 * forbids to gain others.  debug: core dumps stay allowed.  A step that the kernel refuses is skipped: each only
 * removes a right. */
void th_harden_begin(int keep, bool debug);
/* Restricts the system calls of all threads to those that a serving daemon needs; others fail with EPERM, and the
 * kernel logs them.  Returns 0, also without root's rights, where it does nothing; or -errno. */
int th_harden_system_calls(void);

#endif
