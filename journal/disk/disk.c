/* SPDX-License-Identifier: Apache-2.0 */
/* The part that all kinds of disk share: checking and counting transfers, and waiting for them. */
#include "journal/disk/disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "journal/base/report.h"
#include "journal/base/thread.h"
#include "journal/disk/transfer.h"

static void refuse(struct th_future *future, int error)
{
	th_future_init(future, NULL, NULL);
	th_future_complete(future, error);
}

static bool aligned(const void *buf)
{
	return ((uintptr_t)buf & (TH_BLOCK_SIZE - 1)) == 0;
}

static bool inside(const struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	uint64_t size = __atomic_load_n(&disk->blocks, __ATOMIC_RELAXED);

	return blocks > 0 && blocks <= size && addr <= size - blocks;
}

/* Returns the blocks in the buffers, or 0 if a buffer is not fit for a transfer. */
static uint64_t iov_blocks(const struct iovec *iov, int iovcnt)
{
	uint64_t blocks = 0;

	if (iovcnt < 1 || iovcnt > TH_DISK_IOV_MAX)
		return 0;
	for (int i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len == 0 || iov[i].iov_len % TH_BLOCK_SIZE || !aligned(iov[i].iov_base))
			return 0;
		blocks += iov[i].iov_len >> TH_BLOCK_SHIFT;
	}
	return blocks;
}

/* Returns 0, or the error of the disk's guard. */
static int ask_guard(struct th_disk *disk, uint64_t addr)
{
	return disk->guard ? disk->guard(disk->guard_arg, addr) : 0;
}

/* The admit functions check and count a transfer.  Return 0, -EINVAL, or the error of the guard. */
static int admit_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, const void *buf)
{
	if (!inside(disk, addr, blocks) || !aligned(buf))
		return -EINVAL;
	__atomic_fetch_add(&disk->reads, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&disk->bytes_read, (uint64_t)blocks << TH_BLOCK_SHIFT, __ATOMIC_RELAXED);
	return 0;
}

static int admit_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt)
{
	uint64_t blocks = iov_blocks(iov, iovcnt);
	int err = inside(disk, addr, blocks) ? ask_guard(disk, addr) : -EINVAL;

	if (err)
		return err;
	__atomic_fetch_add(&disk->writes, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&disk->bytes_written, blocks << TH_BLOCK_SHIFT, __ATOMIC_RELAXED);
	return 0;
}

static void admit_flush(struct th_disk *disk)
{
	__atomic_fetch_add(&disk->flushes, 1, __ATOMIC_RELAXED);
}

void th_disk_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	int err = admit_get(disk, addr, blocks, buf);

	if (err)
		refuse(future, err);
	else
		disk->ops->get(disk, addr, blocks, buf, future);
}

void th_disk_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt, struct th_future *future)
{
	int err = admit_save(disk, addr, iov, iovcnt);

	if (err)
		refuse(future, err);
	else
		disk->ops->save(disk, addr, iov, iovcnt, future);
}

void th_disk_flush(struct th_disk *disk, struct th_future *future)
{
	admit_flush(disk);
	disk->ops->flush(disk, future);
}

void th_disk_reap(struct th_disk *disk, struct th_future *future)
{
	if (future)
		th_thread_waits();
	if (disk->ops->reap)
		disk->ops->reap(disk, future);
	else if (future)
		th_future_await(future); /* not driven: its drive function may have called this one */
}

void th_disk_watch(struct th_disk *disk, bool on)
{
	if (disk->ops->watch)
		disk->ops->watch(disk, on);
}

int th_disk_read(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf)
{
	struct th_future future;
	int err;

	err = admit_get(disk, addr, blocks, buf);
	if (err)
		return err;
	if (disk->ops->now) {
		struct th_transfer transfer = th_transfer_get(addr, blocks, buf);

		th_thread_waits();
		return disk->ops->now(disk, &transfer);
	}
	disk->ops->get(disk, addr, blocks, buf, &future);
	return th_future_wait(&future);
}

int th_disk_write(struct th_disk *disk, uint64_t addr, uint32_t blocks, const void *buf)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = (size_t)blocks << TH_BLOCK_SHIFT };
	struct th_future future;
	int err;

	err = admit_save(disk, addr, &iov, 1);
	if (err)
		return err;
	if (disk->ops->now) {
		struct th_transfer transfer = th_transfer_save(addr, &iov, 1);

		th_thread_waits();
		return disk->ops->now(disk, &transfer);
	}
	disk->ops->save(disk, addr, &iov, 1, &future);
	return th_future_wait(&future);
}

int th_disk_sync(struct th_disk *disk)
{
	struct th_future future;

	admit_flush(disk);
	if (disk->ops->now) {
		struct th_transfer transfer = th_transfer_flush();

		th_thread_waits();
		return disk->ops->now(disk, &transfer);
	}
	disk->ops->flush(disk, &future);
	return th_future_wait(&future);
}

int th_disk_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	int err;

	if (!inside(disk, addr, blocks))
		return -EINVAL;
	if (!disk->ops->discard || __atomic_load_n(&disk->no_discard, __ATOMIC_RELAXED))
		return -EOPNOTSUPP;
	err = ask_guard(disk, addr);
	if (err)
		return err;
	th_thread_waits();
	err = disk->ops->discard(disk, addr, blocks);
	if (err == -EOPNOTSUPP)
		__atomic_store_n(&disk->no_discard, true, __ATOMIC_RELAXED);
	if (err)
		return err;
	__atomic_fetch_add(&disk->discards, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&disk->bytes_discarded, blocks << TH_BLOCK_SHIFT, __ATOMIC_RELAXED);
	return 0;
}

int th_disk_hold(struct th_disk *disk, enum th_disk_hold hold)
{
	return disk->ops->hold ? disk->ops->hold(disk, hold) : 0;
}

int th_disk_grow(struct th_disk *disk, uint64_t blocks)
{
	uint64_t size = blocks;
	int err;

	if (!disk->ops->grow)
		return -EOPNOTSUPP;
	if (blocks && blocks < disk->blocks)
		return -EINVAL;
	err = disk->ops->grow(disk, blocks, &size);
	if (!err && size > disk->blocks)
		__atomic_store_n(&disk->blocks, size, __ATOMIC_RELAXED);
	return err;
}

void th_disk_close(struct th_disk *disk)
{
	if (disk)
		disk->ops->close(disk);
}

/* Puts the disk's name before the line. */
static void report_named(void *arg, const char *line)
{
	struct th_disk *disk = arg;

	th_report_format(disk->report, disk->report_arg, "%s: %s", disk->name, line);
}

void th_disk_report(struct th_disk *disk, const char *format, ...)
{
	va_list args;

	if (!disk->report)
		return;
	va_start(args, format);
	th_report_vformat(report_named, disk, format, args);
	va_end(args);
}

void *th_disk_buffer(size_t size)
{
	if (size > SIZE_MAX - TH_BLOCK_SIZE)
		return NULL;
	size = (size + TH_BLOCK_SIZE - 1) & ~(size_t)(TH_BLOCK_SIZE - 1);
	return aligned_alloc(TH_BLOCK_SIZE, size ? size : TH_BLOCK_SIZE);
}
