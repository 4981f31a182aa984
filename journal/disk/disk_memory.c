/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory: one mapping of its whole size, and of addresses to grow into.  The kernel backs a page when it is
 * first written, so blocks that were never written cost nothing.  A transfer is a memcpy and is complete when the
 * operation returns.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "journal/disk/disk.h"

struct memory_disk {
	struct th_disk disk;
	char *bytes;
	uint64_t room; /* blocks of addresses, those after the disk inaccessible: a growing disk must not move */
};

/* Addresses are mapped for a disk of so many times the size.  With fewer a disk cannot grow as much. */
#define ROOM_FACTOR 8

static char *memory_block(struct th_disk *disk, uint64_t addr)
{
	return ((struct memory_disk *)disk)->bytes + (addr << TH_BLOCK_SHIFT);
}

static void memory_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	th_future_init(future, NULL, NULL);
	memcpy(buf, memory_block(disk, addr), (size_t)blocks << TH_BLOCK_SHIFT);
	th_future_complete(future, 0);
}

static void memory_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
			struct th_future *future)
{
	char *to = memory_block(disk, addr);

	th_future_init(future, NULL, NULL);
	for (int i = 0; i < iovcnt; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	th_future_complete(future, 0);
}

static void memory_flush(struct th_disk *disk, struct th_future *future)
{
	(void)disk;
	th_future_init(future, NULL, NULL);
	th_future_complete(future, 0);
}

/* Returns the pages to the kernel: they read as zeros afterwards. */
static int memory_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	return madvise(memory_block(disk, addr), blocks << TH_BLOCK_SHIFT, MADV_DONTNEED) < 0 ? -errno : 0;
}

static int memory_grow(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks)
{
	const struct memory_disk *memory = (const struct memory_disk *)disk;

	*ret_blocks = blocks > disk->blocks ? blocks : disk->blocks;
	if (*ret_blocks > memory->room)
		return -EFBIG;
	return mprotect(memory->bytes, *ret_blocks << TH_BLOCK_SHIFT, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

static void memory_close(struct th_disk *disk)
{
	struct memory_disk *memory = (struct memory_disk *)disk;

	munmap(memory->bytes, memory->room << TH_BLOCK_SHIFT);
	free(memory);
}

static const struct th_disk_ops memory_ops = {
	.get = memory_get,
	.save = memory_save,
	.flush = memory_flush,
	.discard = memory_discard,
	.grow = memory_grow,
	.close = memory_close,
};

static char *map(uint64_t blocks, uint64_t room)
{
	char *bytes = mmap(NULL, room << TH_BLOCK_SHIFT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (bytes == MAP_FAILED)
		return NULL;
	if (mprotect(bytes, blocks << TH_BLOCK_SHIFT, PROT_READ | PROT_WRITE) == 0)
		return bytes;
	munmap(bytes, room << TH_BLOCK_SHIFT);
	return NULL;
}

int th_disk_memory_new(uint64_t blocks, struct th_disk **ret)
{
	struct memory_disk *memory;

	if (blocks == 0 || blocks > SIZE_MAX >> TH_BLOCK_SHIFT)
		return -EINVAL;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	memory->room = blocks > (SIZE_MAX >> TH_BLOCK_SHIFT) / ROOM_FACTOR ? blocks : blocks * ROOM_FACTOR;
	memory->bytes = map(blocks, memory->room);
	if (!memory->bytes) {
		memory->room = blocks;
		memory->bytes = map(blocks, blocks);
	}
	if (!memory->bytes) {
		free(memory);
		return -ENOMEM;
	}
	memory->disk.ops = &memory_ops;
	memory->disk.blocks = blocks;
	memory->disk.name = "memory";
	memory->disk.sparse = true;
	*ret = &memory->disk;
	return 0;
}
