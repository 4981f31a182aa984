/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock on an image, which keeps two processes of one machine from writing to it.  Internal to journal/disk and to
 * the programs that write to an image before it is one (mkfs).
 *
 * A file is locked with flock(2): a lock of the inode, whatever name or bind mount led there.  The same bytes can also
 * be reached through a loop device, which is another inode.  So the lock of a loop device, or of a partition of one, is
 * taken on its backing file, too, and further down if that is a loop device again.  A device that begins inside its
 * backing file shares that file with others, such as further partitions: it takes a shared lock there, which excludes
 * only those that use the whole file, and an exclusive one of its own bytes (F_OFD_SETLK).
 *
 * A writer also claims a block device (O_EXCL), as the kernel does for what it mounts, so that neither a mounted
 * filesystem nor a volume manager uses the device at the same time.  A daemon drops its claim when the kernel has one
 * of its own, because the device is the source of its mount (fuseblk).
 *
 * A daemon that was unmounted and writes its last checkpoint marks that by a shared lock on the first byte.  A process
 * that finds the image locked with this mark waits.
 */
#ifndef TH_JOURNAL_DISK_DISK_LOCK_H
#define TH_JOURNAL_DISK_DISK_LOCK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "journal/disk/disk.h"

#define TH_DISK_LOCK_LEVELS 4 /* loop devices on one another; beyond that nothing is locked */

struct th_disk_lock {
	int fd[TH_DISK_LOCK_LEVELS]; /* [0]: the caller's, of the image; then those below; -1: none */
	uint64_t begin[TH_DISK_LOCK_LEVELS]; /* the byte of each where the image begins */
	uint64_t size; /* bytes of a device */
	int claim; /* -1: none */
};

/* Locks the image of which fd is an open descriptor: exclusively, or shared if read_only.  claimed: a writer claims a
 * device.  Waits only for a holder with
 * the mark, and a moment for one that was killed.  Returns 0, -EBUSY, or another -errno. */
int th_disk_lock_take(struct th_disk_lock *lock, int fd, bool read_only, bool claimed);
/* Unlocks and closes the descriptors below the caller's. */
void th_disk_lock_release(struct th_disk_lock *lock);
/* Returns whether other machines may have the image, too: it lies on a device that is no loop device, or on a
 * filesystem of which another machine may be a server or client. */
bool th_disk_lock_is_shared(const struct th_disk_lock *lock);
/* The implementation of th_disk_hold() (disk.h). */
int th_disk_lock_hold(struct th_disk_lock *lock, enum th_disk_hold hold);

/* Sets *ret to the status of the file or device at the end of the chain of loop devices that begins at `path`, without
 * opening any.  Returns 0 or -errno. */
int th_disk_lock_bottom(const char *path, struct stat *ret);

#endif
