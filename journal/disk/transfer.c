/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk/transfer.h"

#include "journal/disk/disk.h"

struct th_transfer th_transfer_get(uint64_t addr, uint32_t blocks, void *buf)
{
	return (struct th_transfer){
		.kind = TH_TRANSFER_GET,
		.addr = addr,
		.one = { .iov_base = buf, .iov_len = (size_t)blocks << TH_BLOCK_SHIFT },
	};
}

struct th_transfer th_transfer_save(uint64_t addr, const struct iovec *iov, int iovcnt)
{
	return (struct th_transfer){ .kind = TH_TRANSFER_SAVE, .addr = addr, .iov = iov, .iovcnt = iovcnt };
}

struct th_transfer th_transfer_flush(void)
{
	return (struct th_transfer){ .kind = TH_TRANSFER_FLUSH };
}

const struct iovec *th_transfer_iov(const struct th_transfer *transfer, int *ret_iovcnt)
{
	*ret_iovcnt = transfer->iov ? transfer->iovcnt : 1;
	return transfer->iov ? transfer->iov : &transfer->one;
}

size_t th_transfer_size(const struct th_transfer *transfer)
{
	int iovcnt;
	const struct iovec *iov = th_transfer_iov(transfer, &iovcnt);
	size_t size = 0;

	for (int i = 0; i < iovcnt; i++)
		size += iov[i].iov_len;
	return size;
}
