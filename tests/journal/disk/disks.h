/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of every kind for the tests of this folder, and the file under those that have one. */
#ifndef TH_TESTS_JOURNAL_DISK_DISKS_H
#define TH_TESTS_JOURNAL_DISK_DISKS_H

#include "tests/journal/suite.h"

#define TH_TEST_DISK_BLOCKS 4096u

/* Those up to TH_TEST_THREADS_BUFFERED are in a file. */
enum th_test_disk_kind {
	TH_TEST_URING,
	TH_TEST_URING_BUFFERED,
	TH_TEST_THREADS,
	TH_TEST_THREADS_BUFFERED,
	TH_TEST_FILE_KINDS,
	TH_TEST_MEMORY = TH_TEST_FILE_KINDS,
	TH_TEST_FAULT,
	TH_TEST_DISK_KINDS
};

/* Makes the file of this process, of `size` bytes.  Returns its path: static. */
const char *th_test_file(uint64_t size);
/* Removes it, if it was made.  A fixture's teardown. */
void th_test_file_remove(void);

/* Opens a disk of TH_TEST_DISK_BLOCKS blocks, all zero.  The caller closes it. */
struct th_disk *th_test_disk(int kind);

/* Start a transfer as a future and wait for it.  Return its result. */
int th_test_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf);
int th_test_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt);

/* Makes io_uring fail in this process from now on, as containers do. */
void th_test_forbid_io_uring(void);

#endif
