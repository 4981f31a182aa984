/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/dirty_list.h"

#include <errno.h>
#include <stdlib.h>

struct dirty {
	pthread_mutex_t walk_lock; /* before any inode lock */

	pthread_mutex_t lock; /* guards the list; a leaf (L4) */
	struct th_inode *first, *last;
	size_t count;

	_Atomic int64_t pages;
	_Atomic uint64_t hint;
};

static struct dirty *dirty_of(struct th_fs *fs)
{
	return fs->dirty;
}

int th_dirty_init(struct th_fs *fs)
{
	struct dirty *dirty = calloc(1, sizeof(*dirty));

	if (!dirty)
		return -ENOMEM;
	pthread_mutex_init(&dirty->walk_lock, NULL);
	pthread_mutex_init(&dirty->lock, NULL);
	fs->dirty = dirty;
	return 0;
}

void th_dirty_release(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);

	if (!dirty)
		return;
	pthread_mutex_destroy(&dirty->walk_lock);
	pthread_mutex_destroy(&dirty->lock);
	free(dirty);
	fs->dirty = NULL;
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

/* --- adding and removing inodes --- */

void th_dirty_add(struct th_inode *inode)
{
	struct dirty *dirty = dirty_of(inode->fs);
	bool added;

	pthread_mutex_lock(&dirty->lock);
	added = !inode->on_dirty_list;
	if (added)
		dirty_link(dirty, inode);
	pthread_mutex_unlock(&dirty->lock);
	/* A walk that has taken it already waits for inode->lock, which is held here, before it puts this reference. */
	if (added)
		th_inode_ref(inode);
}

void th_inode_mark_dirty(struct th_inode *inode)
{
	inode->attr_dirty = true;
	th_dirty_add(inode);
}

void th_inode_mark_atime_dirty(struct th_inode *inode)
{
	inode->atime_dirty = true;
	th_dirty_add(inode);
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

struct th_inode *th_dirty_take(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);
	struct th_inode *inode;

	pthread_mutex_lock(&dirty->lock);
	inode = dirty->first;
	if (inode)
		dirty_unlink(dirty, inode);
	pthread_mutex_unlock(&dirty->lock);
	return inode;
}

size_t th_dirty_count(struct th_fs *fs)
{
	struct dirty *dirty = dirty_of(fs);
	size_t count;

	pthread_mutex_lock(&dirty->lock);
	count = dirty->count;
	pthread_mutex_unlock(&dirty->lock);
	return count;
}

void th_dirty_walk_begin(struct th_fs *fs)
{
	pthread_mutex_lock(&dirty_of(fs)->walk_lock);
}

void th_dirty_walk_end(struct th_fs *fs)
{
	pthread_mutex_unlock(&dirty_of(fs)->walk_lock);
}

/* --- counters --- */

void th_dirty_charge(struct th_fs *fs, int64_t pages)
{
	dirty_of(fs)->pages += pages;
}

int64_t th_dirty_pages(struct th_fs *fs)
{
	return dirty_of(fs)->pages;
}

uint64_t th_dirty_hint(struct th_fs *fs)
{
	return dirty_of(fs)->hint;
}

void th_dirty_set_hint(struct th_fs *fs, uint64_t hint)
{
	dirty_of(fs)->hint = hint;
}
