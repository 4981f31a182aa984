/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing an open store.  A crash at any moment leaves a store of the old or of the new size:
 *
 *   1  The disk is extended.  The superblock has the old size still.
 *   2  The ring of superblocks is copied to the new end of the disk.
 *   3  A checkpoint writes its superblock, which has the new size, to the first ring and to the new end ring.
 *   4  The new blocks become free: from here on a log record may name them.
 *   5  After one more checkpoint no superblock that can be read has the old end ring: its blocks become free (S3).
 */
#include <errno.h>

#include "journal/super.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/state/state.h"

/* One at a time, of any store: it is rare, and short. */
static pthread_mutex_t resizing = PTHREAD_MUTEX_INITIALIZER;

struct resize {
	uint64_t blocks; /* wanted; 0: the size of the disk.  Then the new size */
	uint64_t before; /* the old size */
	int err; /* why the request is refused; 1: there is nothing to do */
};

/* Decides on the new size.  Returns 0, 1 if the store has it, or an error. */
static int extend_disk(struct th_store *store, struct resize *resize)
{
	int err;

	if (resize->blocks && resize->blocks < resize->before)
		return -EINVAL;
	/* The disk may be larger than the wanted size. */
	if (resize->blocks == 0 || resize->blocks > store->disk->blocks) {
		err = th_disk_grow(store->disk, resize->blocks);
		if (err)
			return err;
	}
	if (resize->blocks == 0)
		resize->blocks = store->disk->blocks;
	/* The two end rings must not overlap. */
	if (resize->blocks < resize->before + TH_SUPER_TAIL_BLOCKS) {
		resize->blocks = resize->before;
		return 1;
	}
	return 0;
}

/* Steps 1 to 3, in a checkpoint. */
static int resize_step(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct resize *resize = arg;

	(void)state;
	resize->before = store->super.blocks;
	resize->err = extend_disk(store, resize);
	if (!resize->err)
		resize->err = th_super_copy(store->disk, resize->blocks);
	if (!resize->err)
		store->super.blocks = resize->blocks;
	return 0;
}

/* Steps 4 and 5. */
static int use_space(struct th_store *store, const struct resize *resize)
{
	int err = th_space_grow(store->space, resize->blocks, TH_SUPER_TAIL_BLOCKS);

	if (!err)
		err = th_checkpoint(store, NULL, NULL, TH_CHECKPOINT_FORCE);
	if (!err)
		th_space_give(store->space, resize->before - TH_SUPER_TAIL_BLOCKS, TH_SUPER_TAIL_BLOCKS);
	return err;
}

int th_store_resize(struct th_store *store, uint64_t bytes, uint64_t *ret_bytes)
{
	struct resize resize = { .blocks = bytes / TH_BLOCK_SIZE };
	int err;

	if (bytes && !resize.blocks)
		return -EINVAL;
	pthread_mutex_lock(&resizing);
	err = th_checkpoint(store, resize_step, &resize, TH_CHECKPOINT_FORCE);
	if (!err)
		err = resize.err;
	if (!err)
		err = use_space(store, &resize);
	pthread_mutex_unlock(&resizing);
	*ret_bytes = resize.blocks * TH_BLOCK_SIZE;
	return err;
}
