/* SPDX-License-Identifier: Apache-2.0 */
/* One get, save or flush as it was asked for: for those who make disks (disk.h). */
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
	uint64_t addr;
	const struct iovec *iov; /* the caller's; NULL for a get, so that a transfer may be copied */
	int iovcnt;
	struct iovec one; /* the buffer of a get */
};

struct th_transfer th_transfer_get(uint64_t addr, uint32_t blocks, void *buf);
struct th_transfer th_transfer_save(uint64_t addr, const struct iovec *iov, int iovcnt);
struct th_transfer th_transfer_flush(void);
/* Its buffers; they belong to the transfer. */
const struct iovec *th_transfer_iov(const struct th_transfer *transfer, int *ret_iovcnt);
/* In bytes. */
size_t th_transfer_size(const struct th_transfer *transfer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
