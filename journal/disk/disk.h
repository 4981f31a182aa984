/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks: numbered blocks, with a table of operations.
 *
 * The tree and the journal see opaque block addresses and futures, so a store can live in a file, on a block device, in
 * memory or in an object store.  Every disk guarantees:
 *
 *   D1  A get that starts after a save completed sees that save.
 *   D2  A save that completed before a flush started is on stable storage when that flush completes.
 *   D3  Nothing is guaranteed about saves that no flush covers: any of them may be lost, torn or reordered.
 *   D4  Each block that was discarded reads as before or as zeros, and may change from the one to the other, until a
 *   save
 *       that starts after the discard returned.
 *
 * Addresses and lengths count blocks of TH_BLOCK_SIZE bytes.  Buffers are aligned to TH_BLOCK_SIZE, for O_DIRECT.
 * Any thread may call any function here on the same disk, except th_disk_close(), which no other call may overlap.
 * A function that takes over a disk owns it on success only; after an error the disk is still the caller's.
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
#define TH_BLOCK_SIZE (1u << TH_BLOCK_SHIFT) /* bytes */
#define TH_DISK_IOV_MAX 256 /* buffers in one save */

struct th_disk;
struct th_transfer; /* transfer.h, for implementations */

/* How a process keeps others from using its disk. */
enum th_disk_hold {
	TH_DISK_HOLD_CLAIMED, /* a writer of a block device claims it, as for a mounted filesystem; the initial state */
	TH_DISK_HOLD_MOUNTED, /* the kernel claims the device for a mount that this process serves */
	TH_DISK_HOLD_LEAVING, /* the lock will be released soon: a process that wants the disk waits for it */
};

/*
 * An implementation.  The functions below check arguments and count transfers before they call an operation.  Each
 * operation that takes a future, but for reap, initialises it before anything else, and completes it exactly once with
 * 0 or -errno.  get, save, flush and close are required; the others may be NULL.  A disk that was opened read-only
 * refuses saves itself, with -EROFS.
 */
struct th_disk_ops {
	/* Reads `blocks` blocks from addr into buf.  A short read completes with -EIO. */
	void (*get)(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future);
	/* Writes the buffers one after another, from addr on.  The iov array and the buffers belong to the caller and
	 * must not change until the future is complete. */
	void (*save)(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		     struct th_future *future);
	/* Makes every save that completed before this call durable. */
	void (*flush)(struct th_disk *disk, struct th_future *future);
	/* Gives the space of unused blocks back to the layer below, on the calling thread.  Returns 0, -EOPNOTSUPP if
	 * the disk cannot, after which it is not called again, or another -errno.  NULL: the disk cannot. */
	int (*discard)(struct th_disk *disk, uint64_t addr, uint64_t blocks);
	/* Makes the disk `blocks` blocks large, or 0: as large as the layer below is now, and sets *ret_blocks to its
	 * size.  Does not change disk->blocks.  Returns 0, -EFBIG if the layer below is smaller and cannot grow, or
	 * another -errno.  NULL: the disk cannot. */
	int (*grow)(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks);
	/* th_disk_hold().  NULL: does nothing. */
	int (*hold)(struct th_disk *disk, enum th_disk_hold hold);
	/* Carries out a transfer on the calling thread, for disks where that is cheaper than a future.  Returns 0 or
	 * -errno.  NULL: a transfer that is waited for uses the operations above. */
	int (*now)(struct th_disk *disk, const struct th_transfer *transfer);
	/* th_disk_reap() and th_disk_watch().  NULL: the disk completes transfers on threads of its own. */
	void (*reap)(struct th_disk *disk, struct th_future *future);
	void (*watch)(struct th_disk *disk, bool on);
	/* Frees the disk.  No transfer is under way. */
	void (*close)(struct th_disk *disk);
};

/* Reports one line about damage found on a disk: which structure, where, expected and found.  `line` is valid during
 * the call only.  Called from any thread. */
typedef void th_disk_report_line(void *arg, const char *line);

/* A program with a disk of its own embeds this in its structure and sets ops, blocks and name; the rest is zero. */
struct th_disk {
	const struct th_disk_ops *ops;
	uint64_t blocks; /* size, in blocks; th_disk_grow() changes it, atomically */
	const char *name; /* for messages: a URL or path, or "memory"; the disk keeps a copy of what it was given */
	th_disk_report_line *report; /* NULL: damage is not reported; set before other threads use the disk */
	void *report_arg;
	/* Called before each save and discard, from any thread; an error becomes the result of the transfer.  NULL:
	 * none. */
	int (*guard)(void *arg, uint64_t addr);
	void *guard_arg;
	bool shared; /* other machines may have the disk, too: its writer keeps a heartbeat by default */
	bool heals; /* a wrong copy of a structure is overwritten with a right one where it is read; set as `report` is */
	bool sparse; /* unused blocks need no space below once they are discarded: stores discard by default */
	bool no_discard; /* discard returned -EOPNOTSUPP; atomic */
	/* Totals.  The functions below count with __atomic builtins, as C++ has no _Atomic. */
	uint64_t bytes_read, bytes_written, bytes_discarded, reads, writes, flushes, discards;
};

enum th_disk_flags {
	TH_DISK_READ_ONLY = 1 << 0, /* saves fail with -EROFS */
	TH_DISK_THREADS = 1 << 1, /* do not use io_uring */
	TH_DISK_BUFFERED = 1 << 2, /* do not use O_DIRECT; also the fallback where O_DIRECT is refused */
	TH_DISK_UNCLAIMED = 1 << 3, /* do not claim a block device; it is locked all the same */
};

/* --- opening and closing --- */

/* Opens an existing file or block device and takes its lock (flock: exclusive, or shared if read-only), of a loop
 * device also that of its backing file.  Waits for a daemon that was unmounted a moment ago.  Transfers use io_uring
 * where the kernel allows it, else a pool of threads.  The disk starts threads, so a program that forks does so before.
 * `flags` are of enum th_disk_flags.  The caller owns *ret and closes it with th_disk_close().  Returns 0, -EBUSY if
 * another process holds the lock or the device is in use, -EISDIR or -ENOTBLK if path is neither a file nor a block
 * device, -ENOMEM, or another -errno of open(2). */
int th_disk_open(const char *path, unsigned flags, struct th_disk **ret);
/* Opens a disk by its URL: "file:PATH", or a plain path, which th_disk_open() opens.  A path that exists is opened as a
 * path even if it begins like an unknown scheme; "./file:x" is the file named "file:x".  Messages call the disk by its
 * URL.  Returns as th_disk_open(), or -EPFNOSUPPORT if the scheme is unknown and no such path exists. */
int th_disk_open_url(const char *url, unsigned flags, struct th_disk **ret);
/* Returns the path of the file or device that a URL stands for, whether it exists or not: a pointer into url, or NULL
 * if the scheme is unknown or is not one of files. */
const char *th_disk_url_path(const char *url);
/* Makes a disk in memory of `blocks` blocks, all zero.  Blocks that were never written use no memory.  The caller owns
 * *ret.  Returns 0, -EINVAL if blocks is 0 or too large for the address space, or -ENOMEM. */
int th_disk_memory_new(uint64_t blocks, struct th_disk **ret);
/* Makes a non-owning disk that passes every transfer on to `disk`.  Closing it leaves `disk` open: a store closes the
 * disk it was given, and some callers keep theirs.  `disk` must outlive it.  Returns NULL if there is no memory. */
struct th_disk *th_disk_lend(struct th_disk *disk);
/* Releases the disk's lock and frees it.  No transfer may be under way.  NULL is ignored. */
void th_disk_close(struct th_disk *disk);

/* --- transfers --- */

/* Start a transfer, whose result comes with the future.  The disk initialises the future, whose memory is the
 * caller's.  Buffers are the caller's and must stay, unchanged for a save, until the future is complete.  A save has at
 * most TH_DISK_IOV_MAX buffers, each a multiple of TH_BLOCK_SIZE.
 * The result is 0, -EINVAL if the range is empty or exceeds the disk or a buffer is not aligned, -EROFS for a save to a
 * read-only disk, -EIO, or another -errno. */
void th_disk_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future);
void th_disk_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt, struct th_future *future);
void th_disk_flush(struct th_disk *disk, struct th_future *future);

/* Carry out a transfer and wait for it.  Return its result, as above. */
int th_disk_read(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf);
int th_disk_write(struct th_disk *disk, uint64_t addr, uint32_t blocks, const void *buf);
int th_disk_sync(struct th_disk *disk);

/* Discards blocks whose content is not needed (D4), so that the layer below can use their space: punches a hole into a
 * file, issues BLKDISCARD on a device.  Waits for it.  No transfer of these blocks may be under way.
 * Returns 0, -EINVAL if the range is empty or exceeds the disk, -EROFS, -EOPNOTSUPP if the disk cannot, -EIO, or
 * another
 * -errno. */
int th_disk_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks);

/* Makes the disk larger: extends a file to `blocks` blocks, or takes over the present size of the device or file (0).
 * Transfers may be under way.  The new blocks read as zeros, on a device as anything.  A flush makes the size durable.
 * Returns 0, also if it has that size already; -EINVAL if it is larger; -EFBIG if the device has fewer blocks;
 * -EROFS; -EOPNOTSUPP; -ENOSPC or another -errno. */
int th_disk_grow(struct th_disk *disk, uint64_t blocks);

/* Changes how others are kept from using the disk.  In every state the disk stays locked.  Returns 0, -EBUSY if the
 * device cannot be claimed again, or another -errno. */
int th_disk_hold(struct th_disk *disk, enum th_disk_hold hold);

/* Completes, on this thread, transfers that have arrived.  With a future: blocks until that is complete; it may be a
 * transfer's, or one that the continuation of a transfer completes.  NULL: does not block. */
void th_disk_reap(struct th_disk *disk, struct th_future *future);
/* Starts (on) or ends (off) a period in which the disk completes all transfers by itself; periods nest.  Outside of
 * one, a transfer with a continuation of th_future_then_driven() completes only on a thread that waits for a transfer
 * or reaps. */
void th_disk_watch(struct th_disk *disk, bool on);

/* --- for code that reads a disk's structures --- */

/* Passes one formatted line, after the disk's name, to disk->report. */
void th_disk_report(struct th_disk *disk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Allocates memory fit for transfers: aligned to TH_BLOCK_SIZE, and `size` bytes rounded up to whole blocks, at least
 * one.  The caller frees it with free().  Returns NULL if there is no memory. */
void *th_disk_buffer(size_t size);

/* --- the disk for tests: it records saves, discards and flushes, and fails on demand (disk_fault.c) --- */

enum th_fault_kind {
	TH_FAULT_NONE,
	TH_FAULT_ERROR, /* the Nth transfer fails with -EIO and has no effect */
	TH_FAULT_TEAR, /* the Nth save writes its first half and fails with -EIO */
	TH_FAULT_DROP, /* the Nth save succeeds and has no effect */
	TH_FAULT_FLIP, /* the Nth get or save has one bit wrong */
	TH_FAULT_CUT, /* power loss: from the Nth save or flush on, every transfer and discard fails with -EIO */
};

/* Wraps `inner`, which the new disk owns on success, and records saves, discards and flushes in order.  The caller owns
 * *ret.  Returns 0, -ENOMEM, or an error of reading `inner`, whose content is the base of crash images. */
int th_disk_fault_new(struct th_disk *inner, struct th_disk **ret);
/* Arms a fault for the nth transfer from now on, counted from 0 among those that the kind is about.  Replaces an armed
 * fault and restores the power. */
void th_disk_fault_arm(struct th_disk *disk, enum th_fault_kind kind, uint64_t nth);
/* Returns the number of saves, discards and flushes recorded since the last reset. */
uint64_t th_disk_fault_events(const struct th_disk *disk);
/* Drops the record; the present content becomes the base of crash images.  Returns 0, -ENOMEM or a read error, which
 * leave the record as it was. */
int th_disk_fault_reset(struct th_disk *disk);
/* Makes a memory disk as a crash just after the first `nevents` events may leave it: all saves that a completed flush
 * covers, and of the saves after that flush a subset chosen by `seed`, some of them torn.  A discard that a flush
 * covers leaves zeros, a later one zeros in a subset of its blocks.  The caller owns *ret.
 * Returns 0, -ENOMEM or a read error. */
int th_disk_fault_crash_image(struct th_disk *disk, uint64_t nevents, uint64_t seed, struct th_disk **ret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
