/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two disks that live in a file or on a block device share: opening, and transfers done on the spot.  Internal
 * to journal/.
 */
#ifndef TH_JOURNAL_DISK_DISK_FILE_H
#define TH_JOURNAL_DISK_DISK_FILE_H

#include <pthread.h>
#include <sys/types.h>

#include "journal/disk/disk.h"
#include "journal/disk/transfer.h"

struct th_disk_file {
	struct th_disk disk; /* must be first */
	char *path; /* disk.name */
	int fd;
	bool read_only;
};

/* Fills in everything but disk.ops of a zeroed file.  On an error nothing is held. */
int th_disk_file_open(struct th_disk_file *file, const char *path, unsigned flags);
/* Releases the lock, the descriptor and the name. */
void th_disk_file_release(struct th_disk_file *file);

/* Carries out a transfer on this thread, from byte `done` on.  0 or -errno. */
int th_disk_file_run(const struct th_disk_file *file, const struct th_transfer *transfer, size_t done);
/* For th_disk_ops.now. */
int th_disk_file_now(struct th_disk *disk, const struct th_transfer *transfer);

/* The two kinds.  They take over *file (a copy of it) on success.  -ENOSYS: there is no usable io_uring here. */
int th_disk_uring_new(const struct th_disk_file *file, struct th_disk **ret);
int th_disk_threads_new(const struct th_disk_file *file, struct th_disk **ret);

#endif
