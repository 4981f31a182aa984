/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/dirty_list.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/data/writeback.h"

/* Pages that may wait in memory before writers help to flush: a quarter of the cache's budget, beside it, but no more
 * than 64 MiB and no less than 4. */
#define DIRTY_PART 4
#define DIRTY_PAGES_MAX 16384
#define DIRTY_PAGES_MIN 1024
/* A file without names that holds no more pages than these is left alone: it will probably go before it matters. */
#define ORPHAN_PAGES_MAX 64

/* Commits until what was freed before them can be used again, and one for what the first of them flushes. */
#define RECLAIM_COMMITS 3

struct dirty {
	/* One flush of the list at a time: who finds the list empty may trust that nothing is in another's hands.
	 * Taken before any inode lock. */
	pthread_mutex_t flush_lock;

	pthread_mutex_t lock; /* guards the list; a leaf (L4) */
	struct th_inode *first, *last;
	size_t count;

	_Atomic int64_t pages;
	int64_t pages_max;
	_Atomic uint64_t hint;
};

static struct dirty *dirty_of(struct th_fs *fs)
{
	return fs->dirty;
}

static int64_t pages_max(size_t cache_bytes)
{
	size_t pages = cache_bytes / DIRTY_PART / TH_BLOCK_SIZE;

	if (pages == 0 || pages > DIRTY_PAGES_MAX) /* 0: the default, which is large enough */
		return DIRTY_PAGES_MAX;
	return pages < DIRTY_PAGES_MIN ? DIRTY_PAGES_MIN : (int64_t)pages;
}

int th_dirty_init(struct th_fs *fs)
{
	struct dirty *dirty = calloc(1, sizeof(*dirty));

	if (!dirty)
		return -ENOMEM;
	pthread_mutex_init(&dirty->flush_lock, NULL);
	pthread_mutex_init(&dirty->lock, NULL);
	dirty->pages_max = pages_max(fs->options.cache_bytes);
	fs->dirty = dirty;
	return 0;
}

/* --- the list; dirty->lock held --- */

static void dirty_link(struct dirty *dirty, struct th_inode *inode)
{
	inode->dirty_next = NULL;
	inode->dirty_prev = dirty->last;
	if (dirty->last)
		dirty->last->dirty_next = inode;
	else
		dirty->first = inode;
	dirty->last = inode;
	inode->on_dirty_list = true;
	dirty->count++;
}

static void dirty_unlink(struct dirty *dirty, struct th_inode *inode)
{
	if (inode->dirty_prev)
		inode->dirty_prev->dirty_next = inode->dirty_next;
	else
		dirty->first = inode->dirty_next;
	if (inode->dirty_next)
		inode->dirty_next->dirty_prev = inode->dirty_prev;
	else
		dirty->last = inode->dirty_prev;
	inode->dirty_next = inode->dirty_prev = NULL;
	inode->on_dirty_list = false;
	dirty->count--;
}

/* --- the list --- */

void th_dirty_add(struct th_inode *inode)
{
	struct dirty *dirty = dirty_of(inode->fs);
	bool added;

	pthread_mutex_lock(&dirty->lock);
	added = !inode->on_dirty_list;
	if (added)
		dirty_link(dirty, inode);
	pthread_mutex_unlock(&dirty->lock);
	/* A flush that has found it already waits for its lock, which we hold, before it ends this reference. */
	if (added)
		th_inode_ref(inode);
}

bool th_dirty_remove(struct th_inode *inode)
{
	struct dirty *dirty = dirty_of(inode->fs);
	bool removed;

	pthread_mutex_lock(&dirty->lock);
	removed = inode->on_dirty_list;
	if (removed)
		dirty_unlink(dirty, inode);
	pthread_mutex_unlock(&dirty->lock);
	return removed;
}

/* The oldest, with the list's reference; NULL if the list is empty. */
static struct th_inode *dirty_take(struct dirty *dirty)
{
	struct th_inode *inode;

	pthread_mutex_lock(&dirty->lock);
	inode = dirty->first;
	if (inode)
		dirty_unlink(dirty, inode);
	pthread_mutex_unlock(&dirty->lock);
	return inode;
}

static size_t dirty_count(struct dirty *dirty)
{
	size_t count;

	pthread_mutex_lock(&dirty->lock);
	count = dirty->count;
	pthread_mutex_unlock(&dirty->lock);
	return count;
}

void th_dirty_release(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);

	if (!dirty)
		return;
	pthread_mutex_destroy(&dirty->flush_lock);
	pthread_mutex_destroy(&dirty->lock);
	free(dirty);
	fs->dirty = NULL;
}

/* --- flushing the list; flush_lock held --- */

/* Inodes whose locks are held, to be flushed together. */
struct dirty_batch {
	struct th_inode *inodes[TH_WRITEBACK_INODES_MAX];
	size_t count, pages;
	struct th_inode *late[TH_WRITEBACK_INODES_MAX]; /* not locked */
	size_t nlate;
};

/* Not worth writing: it has no name, and will be deleted when its last user goes. */
static bool dirty_passing(const struct th_inode *inode)
{
	return !inode->attr.nlink && th_file_pages_pages(inode) <= ORPHAN_PAGES_MAX;
}

static void dirty_done(struct th_inode *inode)
{
	pthread_rwlock_unlock(&inode->lock);
	th_inode_put(inode);
}

/* One by one, so that an inode that fails does not keep the others from being flushed. */
static int dirty_flush_each(struct dirty_batch *batch)
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

/* An inode for which the disk must be read leaves the batch: nobody is to wait for that but who waits for the flush. */
static void dirty_batch_postpone(struct dirty_batch *batch, struct th_inode *inode)
{
	size_t i = 0;

	while (batch->inodes[i] != inode)
		i++;
	batch->inodes[i] = batch->inodes[--batch->count];
	batch->late[batch->nlate++] = inode;
	pthread_rwlock_unlock(&inode->lock);
}

/* When no other lock is held. */
static int dirty_flush_late(struct dirty_batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->nlate; i++) {
		struct th_inode *inode = batch->late[i];
		int one = th_writeback_lock(inode);

		if (one)
			th_dirty_add(inode);
		dirty_done(inode);
		err = err ? err : one;
	}
	batch->nlate = 0;
	return err;
}

/* No lock held but those of the batch. */
static int dirty_batch_flush(struct dirty_batch *batch)
{
	struct th_inode *missed;
	int err, late;

	/* Then it is one inode, and takes several transactions. */
	if (batch->pages > TH_WRITEBACK_PAGES_MAX)
		dirty_batch_postpone(batch, batch->inodes[0]);
	while ((err = th_writeback_inodes(batch->inodes, batch->count, &missed)) == -EINPROGRESS)
		dirty_batch_postpone(batch, missed);
	if (err)
		err = dirty_flush_each(batch);
	for (size_t i = 0; i < batch->count; i++)
		dirty_done(batch->inodes[i]);
	batch->count = batch->pages = 0;
	late = dirty_flush_late(batch);
	return err ? err : late;
}

/* Inodes are locked together only where that cannot wait: the order of locks (L3) is not the list's. */
static int dirty_batch_add(struct dirty_batch *batch, struct th_inode *inode)
{
	int err = 0;

	if (batch->count && pthread_rwlock_trywrlock(&inode->lock)) {
		err = dirty_batch_flush(batch);
		pthread_rwlock_wrlock(&inode->lock);
	} else if (!batch->count) {
		pthread_rwlock_wrlock(&inode->lock);
	}
	if (dirty_passing(inode)) {
		dirty_done(inode);
		return err;
	}
	if (batch->count && batch->pages + th_file_pages_pages(inode) > TH_WRITEBACK_PAGES_MAX) {
		int earlier;

		pthread_rwlock_unlock(&inode->lock);
		earlier = dirty_batch_flush(batch);
		err = err ? err : earlier;
		pthread_rwlock_wrlock(&inode->lock);
	}
	batch->inodes[batch->count++] = inode;
	batch->pages += th_file_pages_pages(inode);
	return err;
}

static int dirty_flush_all(struct dirty *dirty)
{
	struct dirty_batch batch = { .count = 0 };
	struct th_inode *inode;
	int err = 0, one;

	for (size_t left = dirty_count(dirty); left && (inode = dirty_take(dirty)); left--) {
		one = dirty_batch_add(&batch, inode);
		if (batch.count == TH_WRITEBACK_INODES_MAX) {
			int full = dirty_batch_flush(&batch);

			one = one ? one : full;
		}
		err = err ? err : one;
	}
	one = dirty_batch_flush(&batch);
	return err ? err : one;
}

int th_file_flush_all(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);
	int err;

	if (!dirty)
		return 0;
	pthread_mutex_lock(&dirty->flush_lock);
	err = dirty_flush_all(dirty);
	pthread_mutex_unlock(&dirty->flush_lock);
	return err;
}

/* --- how much waits --- */

void th_dirty_charge(struct th_fs *fs, int64_t pages)
{
	dirty_of(fs)->pages += pages;
}

int th_dirty_relieve(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);
	int err = 0;

	if (dirty->pages <= dirty->pages_max)
		return 0;
	pthread_mutex_lock(&dirty->flush_lock);
	if (dirty->pages > dirty->pages_max)
		err = dirty_flush_all(dirty);
	pthread_mutex_unlock(&dirty->flush_lock);
	return dirty->pages > 2 * dirty->pages_max ? err : 0;
}

bool th_dirty_reclaim(struct th_fs *fs, unsigned nth)
{
	struct th_store_info info;

	if (nth >= RECLAIM_COMMITS || th_store_checkpoint(fs->store))
		return false;
	/* The first commit is the one that learns what was freed; without any, more of them are of no use. */
	th_store_info(fs->store, &info);
	return !nth || info.blocks_waiting;
}

uint64_t th_dirty_hint(struct th_fs *fs)
{
	return dirty_of(fs)->hint;
}

void th_dirty_set_hint(struct th_fs *fs, uint64_t hint)
{
	dirty_of(fs)->hint = hint;
}
