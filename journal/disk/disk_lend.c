/* SPDX-License-Identifier: Apache-2.0 */
/* A non-owning disk: passes transfers on to another disk, and leaves that open when it is closed. */
#include <stdlib.h>

#include "journal/disk/disk.h"

struct lent_disk {
	struct th_disk disk;
	struct th_disk *below;
};

static void lent_get(struct th_disk *disk, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	th_disk_get(((struct lent_disk *)disk)->below, addr, blocks, buf, future);
}

static void lent_save(struct th_disk *disk, uint64_t addr, const struct iovec *iov, int iovcnt,
		      struct th_future *future)
{
	th_disk_save(((struct lent_disk *)disk)->below, addr, iov, iovcnt, future);
}

static void lent_flush(struct th_disk *disk, struct th_future *future)
{
	th_disk_flush(((struct lent_disk *)disk)->below, future);
}

static int lent_discard(struct th_disk *disk, uint64_t addr, uint64_t blocks)
{
	return th_disk_discard(((struct lent_disk *)disk)->below, addr, blocks);
}

static int lent_grow(struct th_disk *disk, uint64_t blocks, uint64_t *ret_blocks)
{
	struct th_disk *below = ((struct lent_disk *)disk)->below;
	int err = th_disk_grow(below, blocks);

	*ret_blocks = below->blocks;
	return err;
}

static int lent_hold(struct th_disk *disk, enum th_disk_hold hold)
{
	return th_disk_hold(((struct lent_disk *)disk)->below, hold);
}

static void lent_reap(struct th_disk *disk, struct th_future *future)
{
	th_disk_reap(((struct lent_disk *)disk)->below, future);
}

static void lent_watch(struct th_disk *disk, bool on)
{
	th_disk_watch(((struct lent_disk *)disk)->below, on);
}

static void lent_close(struct th_disk *disk)
{
	free(disk);
}

static const struct th_disk_ops lent_ops = {
	.get = lent_get,
	.save = lent_save,
	.flush = lent_flush,
	.discard = lent_discard,
	.grow = lent_grow,
	.hold = lent_hold,
	.reap = lent_reap,
	.watch = lent_watch,
	.close = lent_close,
};

struct th_disk *th_disk_lend(struct th_disk *disk)
{
	struct lent_disk *lent = calloc(1, sizeof(*lent));

	if (!lent)
		return NULL;
	lent->below = disk;
	lent->disk.ops = &lent_ops;
	lent->disk.blocks = disk->blocks;
	lent->disk.name = disk->name;
	lent->disk.shared = disk->shared;
	lent->disk.sparse = disk->sparse;
	return &lent->disk;
}
