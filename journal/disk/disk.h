/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk model: where blocks are kept, behind a small table of operations.
 *
 * The tree and the journal see addresses as opaque numbers and transfers as futures, so that a store may live in a
 * file, on a block device, in memory, or in an object store.  A disk reservations:
 *
 *   D1  a save that completed is seen by every later get;
 *   D2  a save that completed before a flush was started is on stable storage when that flush completes;
 *   D3  nothing is reserved about the order, or the wholeness, of saves that no flush has covered.
 *
 * Addresses and lengths count blocks of TH_BLOCK_SIZE bytes.  Buffers must be aligned to TH_BLOCK_SIZE (O_DIRECT).
 * All operations may be called from any thread.
 *
 * Whoever makes a disk of his own embeds a struct th_disk, sets ops, blocks and name, and need not care about the rest:
 * th_disk_get and its like check what is asked for before they pass it on.  An operation initialises the future that it
 * is given, first of all, and sees to it that it completes exactly once.
 */
#ifndef TH_DISK_H
#define TH_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "future.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define TH_BLOCK_SHIFT 12
#define TH_BLOCK_SIZE (1u << TH_BLOCK_SHIFT)

struct th_disk;
struct th_transfer; /* transfer.h, for those who make disks */

struct th_disk_ops {
	/* Reads blocks into buf.  Completes with 0, or -errno; short is -EIO. */
	void (*get)(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future);
	/* Writes the buffers one after another from addr on.  Buffers, and the iov array, stay the caller's and must
	 * not change until complete.  Each iov_len is a multiple of TH_BLOCK_SIZE; iovcnt is at most TH_DISK_IOV_MAX.
	 */
	void (*save)(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		     struct th_future *future);
	/* Makes every save that completed before this call durable. */
	void (*flush)(struct th_disk *disk, struct th_future *future);
	/* May be NULL: carries out a transfer that is waited for at once, on the calling thread, where that is cheaper
	 * than a future.  0 or -errno. */
	int (*now)(struct th_disk *disk, const struct th_transfer *transfer);
	/* th_disk_reap and th_disk_watch.  NULL: transfers are completed without. */
	void (*reap)(struct th_disk *disk, struct th_future *future);
	void (*watch)(struct th_disk *disk, bool on);
	/* Frees the disk.  No transfer may be under way. */
	void (*close)(struct th_disk *disk);
};

#define TH_DISK_IOV_MAX 256

struct th_disk {
	const struct th_disk_ops *ops;
	uint64_t blocks; /* size, in blocks */
	const char *name; /* for messages: a path, or "memory" */
	/* Told in one line of damage that is found on the disk: what, where, expected, found.  NULL: nobody is.  For
	 * the disk's owner to set before he shares it. */
	void (*report)(void *arg, const char *line);
	void *report_arg;
	/* Counted by the functions below, with __atomic builtins, as C++ does not know _Atomic. */
	uint64_t bytes_read, bytes_written, reads, writes, flushes;
};

enum th_disk_flags {
	TH_DISK_READ_ONLY = 1 << 0,
	TH_DISK_THREADS = 1 << 1, /* do not use io_uring */
	TH_DISK_BUFFERED = 1 << 2, /* do not use O_DIRECT (also the fallback where it is refused) */
};

/* Opens an existing file or block device and takes its lock (flock: exclusive, or shared if read-only).  Transfers use
 * io_uring where the kernel allows it, else a pool of threads.  The disk starts threads, so a program that forks does so
 * before.  The caller owns *ret and closes it with th_disk_close().
 * Returns 0, -EBUSY if another process holds the lock or the device is in use, -EISDIR or -ENOTBLK if path is neither a
 * file nor a block device, or another -errno of open(2). */
int th_disk_open(const char *path, unsigned flags, struct th_disk **ret);
/* Opens a disk by its URL: "file:PATH", or a plain path, which th_disk_open() opens.  A path that exists is opened as a
 * path even if it begins like an unknown scheme; "./file:x" is the file named "file:x".  Messages call the disk by its
 * URL.  Returns as th_disk_open(), or -EPFNOSUPPORT if the scheme is unknown and no such path exists. */
int th_disk_open_url(const char *url, unsigned flags, struct th_disk **ret);
/* Returns the path of the file or device that a URL stands for, whether it exists or not: a pointer into url, or NULL if
 * the scheme is unknown or is not one of files. */
const char *th_disk_url_path(const char *url);
/* A disk in memory of that many blocks, all zero; blocks never written use no memory. */
int th_disk_memory_new(uint64_t blocks, struct th_disk **ret);
/* A disk that leaves the one it passes everything on to open when it is closed: a store closes its disk, and some
 * callers want to keep theirs.  NULL: no memory. */
struct th_disk *th_disk_lend(struct th_disk *disk);
/* Ends a disk, releasing its lock.  NULL is fine. */
void th_disk_close(struct th_disk *disk);

/* Start a transfer; counters are kept here.  The future is initialised by the disk.  -EINVAL: it lies beyond the disk,
 * or a buffer is not aligned; -EROFS. */
void th_disk_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future);
void th_disk_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt, struct th_future *future);
void th_disk_flush(struct th_disk *disk, struct th_future *future);

/* The same, waited for. */
int th_disk_read(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf);
int th_disk_write(struct th_disk *disk, uint64_t addr, uint32_t blocks, const void *buf);
int th_disk_sync(struct th_disk *disk);

/* Completes transfers that have arrived, on this thread.  With a future, until that is complete: one of a transfer, or
 * one that a continuation of a transfer completes. */
void th_disk_reap(struct th_disk *disk, struct th_future *future);
/* On, and later off again: meanwhile the disk completes all transfers by itself.  Else one with a continuation that was
 * left by th_future_then_driven is completed only by whoever waits for something or reaps. */
void th_disk_watch(struct th_disk *disk, bool on);

/* For those who read a disk's structures: says what is wrong with one.  The line begins with the disk's name. */
void th_disk_report(struct th_disk *disk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Memory fit for transfers: size rounded up to whole blocks, aligned.  Free with free(). */
void *th_disk_buffer(size_t size);

/* --- the disk for tests: records, and fails on demand (disk_fault.c) --- */

enum th_fault_kind {
	TH_FAULT_NONE,
	TH_FAULT_ERROR, /* the Nth transfer fails with -EIO and has no effect */
	TH_FAULT_TEAR, /* the Nth save stops half way, and -EIO */
	TH_FAULT_DROP, /* the Nth save says it is done and has no effect */
	TH_FAULT_FLIP, /* the Nth transfer has one bit wrong */
	TH_FAULT_CUT, /* from the Nth save or flush on, everything fails with -EIO: the power is gone */
};

/* Wraps a disk it then owns.  Saves are recorded in order with the flushes between them. */
int th_disk_fault_new(struct th_disk *inner, struct th_disk **ret);
/* Arms a fault at the nth (from 0) transfer counted from now. */
void th_disk_fault_arm(struct th_disk *disk, enum th_fault_kind kind, uint64_t nth);
/* Saves and flushes recorded since the last reset. */
uint64_t th_disk_fault_events(const struct th_disk *disk);
/* Forgets what was recorded and remembers the present content as the base for crash images. */
int th_disk_fault_reset(struct th_disk *disk);
/* A new memory disk as a crash may leave it just after event number nevents: everything that a completed flush covers
 * is there, and of the saves after it an arbitrary subset chosen by seed (some torn).  The caller closes it. */
int th_disk_fault_crash_image(struct th_disk *disk, uint64_t nevents, uint64_t seed, struct th_disk **ret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
