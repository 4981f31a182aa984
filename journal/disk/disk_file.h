/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part that the two disks on a file or block device share: opening it, and transfers by plain system calls.
 * Internal to journal/disk.
 */
#ifndef TH_JOURNAL_DISK_DISK_FILE_H
#define TH_JOURNAL_DISK_DISK_FILE_H

#include <pthread.h>
#include <sys/types.h>

#include "journal/disk/disk.h"
#include "journal/disk/disk_lock.h"
#include "journal/disk/transfer.h"

struct th_disk_file {
	struct th_disk disk; /* must be first */
	char *name; /* owned; disk.name */
	int fd;
	struct th_disk_lock lock;
	bool read_only;
	bool is_device;
};

/* Opens and locks the file or block device `path`.  *file must be zeroed; fills in everything but disk.ops.  `name` is
 * copied and becomes the disk's name in messages.  Returns 0 or an error of th_disk_open(), which leaves nothing to
 * release. */
int th_disk_file_open(struct th_disk_file *file, const char *path, const char *name, unsigned flags);
/* Releases the lock, the descriptor and the name. */
void th_disk_file_release(struct th_disk_file *file);

/* Carries out a transfer on this thread, skipping its first `done` bytes.  Returns 0 or -errno; -EIO if the file ends
 * before the transfer does. */
int th_disk_file_run(const struct th_disk_file *file, const struct th_transfer *transfer, size_t done);
/* The implementation of th_disk_ops.now for a disk that begins with a struct th_disk_file. */
int th_disk_file_now(struct th_disk *disk, const struct th_transfer *transfer);

/* The implementation of th_disk_ops.discard for such a disk. */
int th_disk_file_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks);

/* The implementation of th_disk_ops.grow for such a disk. */
int th_disk_file_grow(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks);

/* The implementation of th_disk_ops.hold for such a disk. */
int th_disk_file_hold(struct th_disk *disk, enum th_disk_hold hold);

/* The two engines: one disk on io_uring, one on a pool of threads.  On success the disk owns a copy of *file, which the
 * caller must not release.  On an error the caller keeps it.  Returns 0, -ENOSYS if io_uring is not usable here, or
 * another -errno. */
int th_disk_uring_new(const struct th_disk_file *file, struct th_disk **ret);
int th_disk_threads_new(const struct th_disk_file *file, struct th_disk **ret);

#endif
