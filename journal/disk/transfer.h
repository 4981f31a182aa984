/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One get, save or flush as a value, for implementations of disks (disk.h).  A transfer can be copied and kept.  It
 * owns nothing: buffers, and the iov array of a save, are those of the caller that started it.
 */
#ifndef TH_TRANSFER_H
#define TH_TRANSFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum th_transfer_kind { TH_TRANSFER_GET, TH_TRANSFER_SAVE, TH_TRANSFER_FLUSH };

struct th_transfer {
	enum th_transfer_kind kind;
	uint64_t addr; /* first block; 0 for a flush */
	const struct iovec
		*iov; /* the buffers of a save; NULL for a get, so that copies do not point into each other */
	int iovcnt;
	struct iovec one; /* the buffer of a get */
};

/* Return a transfer with the arguments of th_disk_get(), th_disk_save() or th_disk_flush(). */
struct th_transfer th_transfer_get(uint64_t addr, uint32_t blocks, void *buf);
struct th_transfer th_transfer_save(uint64_t addr, const struct iovec *iov, int iovcnt);
struct th_transfer th_transfer_flush(void);
/* Returns the buffers of a get or save and sets *ret_iovcnt to their number.  The array is valid as long as the
 * transfer, and for a save as long as the caller's. */
const struct iovec *th_transfer_iov(const struct th_transfer *transfer, int *ret_iovcnt);
/* Returns the bytes that a get or save moves. */
size_t th_transfer_size(const struct th_transfer *transfer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
