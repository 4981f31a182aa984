/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/writeback_list.h"

#include <errno.h>

#include "fs/data/writeback.h"
#include "fs/inode/atime_record.h"
#include "fs/inode/dirty_list.h"
#include "tree/chunk.h"

/* Dirty pages above which writers help with the writeback: a quarter of the cache's budget, in addition to it, but from
 * 4 MiB to 64 MiB. */
#define DIRTY_PART 4
#define DIRTY_PAGES_MAX 16384
#define DIRTY_PAGES_MIN 1024
/* Up to this many pages of a file without names are not written: it will usually be deleted soon. */
#define ORPHAN_PAGES_MAX 64
/* Attempts to make room: one that writes back pages and so frees the blocks that they replace, and two that make freed
 * blocks reusable, as the first of them may free more. */
#define ROOM_TRIES 3

/* Inodes whose locks are held, to be written back in one transaction. */
struct batch {
	struct th_inode *inodes[TH_WRITEBACK_INODES_MAX];
	size_t count, pages;
	struct th_inode *late[TH_WRITEBACK_INODES_MAX]; /* not locked */
	size_t nlate;
};

/* Is the inode not worth writing?  It has no name, and is deleted with its last reference. */
static bool short_lived(const struct th_inode *inode)
{
	return !inode->attr.nlink && th_file_pages_count(inode) <= ORPHAN_PAGES_MAX;
}

static void inode_done(struct th_inode *inode)
{
	pthread_rwlock_unlock(&inode->lock);
	th_inode_put(inode);
}

/* Writes them one by one, so that an inode that fails does not keep the others from being written. */
static int batch_write_each(struct batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->count; i++) {
		int one = th_writeback_inode(batch->inodes[i], TH_WRITEBACK_ANY);

		if (one)
			th_dirty_add(batch->inodes[i]);
		err = err ? err : one;
	}
	return err;
}

/* Removes an inode that needs a read from the disk: only this writeback waits for it, not the users of the batch. */
static void batch_postpone(struct batch *batch, struct th_inode *inode)
{
	size_t i = 0;

	while (batch->inodes[i] != inode)
		i++;
	batch->inodes[i] = batch->inodes[--batch->count];
	batch->late[batch->nlate++] = inode;
	pthread_rwlock_unlock(&inode->lock);
}

/* Writes the postponed inodes.  No other lock held. */
static int batch_write_late(struct batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->nlate; i++) {
		struct th_inode *inode = batch->late[i];
		int one = th_writeback_lock(inode);

		if (one)
			th_dirty_add(inode);
		inode_done(inode);
		err = err ? err : one;
	}
	batch->nlate = 0;
	return err;
}

/* No lock held but those of the batch. */
static int batch_write(struct batch *batch)
{
	struct th_inode *missed;
	int err, late;

	th_atime_records_write(batch->inodes, batch->count);
	/* Only a single inode exceeds the limit; it takes several transactions. */
	if (batch->pages > TH_WRITEBACK_PAGES_MAX)
		batch_postpone(batch, batch->inodes[0]);
	while ((err = th_writeback_inodes(batch->inodes, batch->count, &missed)) == -EINPROGRESS)
		batch_postpone(batch, missed);
	if (err)
		err = batch_write_each(batch);
	for (size_t i = 0; i < batch->count; i++)
		inode_done(batch->inodes[i]);
	batch->count = batch->pages = 0;
	late = batch_write_late(batch);
	return err ? err : late;
}

/* Adds an inode, and writes the batch before that if the inode does not fit.  Two inodes are locked together only where
 * the second lock is free: the order of locks (L3) is not the order of the list. */
static int batch_add(struct batch *batch, struct th_inode *inode)
{
	int err = 0;

	if (batch->count && pthread_rwlock_trywrlock(&inode->lock)) {
		err = batch_write(batch);
		pthread_rwlock_wrlock(&inode->lock);
	} else if (!batch->count) {
		pthread_rwlock_wrlock(&inode->lock);
	}
	if (short_lived(inode)) {
		inode_done(inode);
		return err;
	}
	if (batch->count && batch->pages + th_file_pages_count(inode) > TH_WRITEBACK_PAGES_MAX) {
		int earlier;

		pthread_rwlock_unlock(&inode->lock);
		earlier = batch_write(batch);
		err = err ? err : earlier;
		pthread_rwlock_wrlock(&inode->lock);
	}
	batch->inodes[batch->count++] = inode;
	batch->pages += th_file_pages_count(inode);
	return err;
}

/* Between th_dirty_walk_begin and _end. */
static int write_list(struct th_fs *fs)
{
	struct batch batch = { .count = 0 };
	struct th_inode *inode;
	int err = 0, one;

	for (size_t left = th_dirty_count(fs); left && (inode = th_dirty_take(fs)); left--) {
		one = batch_add(&batch, inode);
		if (batch.count == TH_WRITEBACK_INODES_MAX) {
			int full = batch_write(&batch);

			one = one ? one : full;
		}
		err = err ? err : one;
	}
	one = batch_write(&batch);
	return err ? err : one;
}

int th_writeback_all(struct th_fs *fs)
{
	int err;

	if (!fs->dirty)
		return 0;
	th_dirty_walk_begin(fs);
	err = write_list(fs);
	th_dirty_walk_end(fs);
	return err;
}

/* --- too many pages, too little space --- */

static int64_t pages_max(const struct th_fs *fs)
{
	size_t pages = fs->options.cache_bytes / DIRTY_PART / TH_BLOCK_SIZE;

	if (pages == 0 || pages > DIRTY_PAGES_MAX) /* 0: the default, which is large enough */
		return DIRTY_PAGES_MAX;
	return pages < DIRTY_PAGES_MIN ? DIRTY_PAGES_MIN : (int64_t)pages;
}

int th_writeback_relieve(struct th_fs *fs)
{
	int64_t max = pages_max(fs);
	int err = 0;

	if (th_dirty_pages(fs) <= max)
		return 0;
	th_dirty_walk_begin(fs);
	if (th_dirty_pages(fs) > max)
		err = write_list(fs);
	th_dirty_walk_end(fs);
	return th_dirty_pages(fs) > 2 * max ? err : 0;
}

bool th_writeback_make_room(struct th_fs *fs, unsigned tries)
{
	struct th_store_info info;

	if (tries >= ROOM_TRIES)
		return false;
	/* The first checkpoint shows how much is freed. */
	if (!tries)
		return !th_store_checkpoint(fs->store);
	th_store_info(fs->store, &info);
	return info.blocks_waiting && !th_chunk_make_room(fs->store);
}
