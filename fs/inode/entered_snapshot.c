/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/entered_snapshot.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

/* --- the tree of <search.h>, by id; called with fs->entrance_lock held --- */

static int compare_ids(const void *a, const void *b)
{
	const struct th_entered_snapshot *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct th_entered_snapshot *find(struct th_fs *fs, uint64_t id)
{
	struct th_entered_snapshot wanted = { .id = id }, *const *found = tfind(&wanted, &fs->snapshots, compare_ids);

	return found ? *found : NULL;
}

/* Returns the entered snapshot with one more reference, or NULL. */
static struct th_entered_snapshot *share(struct th_fs *fs, uint64_t id)
{
	struct th_entered_snapshot *snapshot = find(fs, id);

	if (snapshot)
		snapshot->refs++;
	return snapshot;
}

static void note_deleted(struct th_fs *fs, struct th_entered_snapshot *snapshot)
{
	snapshot->deleted = true;
	snapshot->next_deleted = fs->deleted_snapshots;
	fs->deleted_snapshots = snapshot;
}

static void unlink_deleted(struct th_fs *fs, const struct th_entered_snapshot *snapshot)
{
	struct th_entered_snapshot **at = &fs->deleted_snapshots;

	while (*at != snapshot)
		at = &(*at)->next_deleted;
	*at = snapshot->next_deleted;
}

static int add(struct th_fs *fs, struct th_entered_snapshot *snapshot)
{
	struct th_snapshot info;

	if (!tsearch(snapshot, &fs->snapshots, compare_ids))
		return -ENOMEM;
	/* A thread that deleted it before this moment has not found it (mark_deleted). */
	if (th_snapshot_find_id(fs->store, snapshot->id, &info) == -ENOENT)
		note_deleted(fs, snapshot);
	return 0;
}

/* --- called without the lock: opening a view may read its root from the disk --- */

static int entrance_new(struct th_fs *fs, uint64_t id, struct th_entered_snapshot **ret)
{
	struct th_entered_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct th_snapshot info;

	if (!snapshot)
		return -ENOMEM;
	int err = id <= TH_SNAPSHOT_ID_MAX ? th_snapshot_find_id(fs->store, id, &info) : -EUCLEAN;

	if (!err)
		err = th_view_snapshot(fs->store, id, &snapshot->view);
	if (err) {
		free(snapshot);
		return err;
	}
	snapshot->id = id;
	snapshot->created_ns = info.created_ns;
	snapshot->refs = 1;
	*ret = snapshot;
	return 0;
}

static void entrance_free(struct th_entered_snapshot *snapshot)
{
	if (!snapshot)
		return;
	th_view_close(snapshot->view);
	free(snapshot);
}

int th_entered_snapshot_get(struct th_fs *fs, uint64_t id, struct th_entered_snapshot **ret)
{
	struct th_entered_snapshot *mine;
	int err;

	pthread_mutex_lock(&fs->entrance_lock);
	*ret = share(fs, id);
	pthread_mutex_unlock(&fs->entrance_lock);
	if (*ret)
		return 0;
	err = entrance_new(fs, id, &mine);
	if (err)
		return err;
	pthread_mutex_lock(&fs->entrance_lock);
	*ret = share(fs, id);
	if (!*ret) {
		err = add(fs, mine);
		if (!err) {
			*ret = mine;
			mine = NULL;
		}
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	entrance_free(mine);
	return err;
}

int th_entered_snapshot_open_base(struct th_fs *fs, uint64_t id)
{
	return entrance_new(fs, id, &fs->base);
}

struct th_entered_snapshot *th_entered_snapshot_ref(struct th_fs *fs, struct th_entered_snapshot *snapshot)
{
	pthread_mutex_lock(&fs->entrance_lock);
	snapshot->refs++;
	pthread_mutex_unlock(&fs->entrance_lock);
	return snapshot;
}

void th_entered_snapshot_put(struct th_fs *fs, struct th_entered_snapshot *snapshot)
{
	pthread_mutex_lock(&fs->entrance_lock);
	bool last = !--snapshot->refs;

	if (last && snapshot != fs->base) {
		tdelete(snapshot, &fs->snapshots, compare_ids);
		if (snapshot->deleted)
			unlink_deleted(fs, snapshot);
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	if (last)
		entrance_free(snapshot);
}

/* --- deletion --- */

uint64_t th_entered_snapshot_next_deleted(struct th_fs *fs, uint64_t id)
{
	uint64_t next = 0;

	pthread_mutex_lock(&fs->entrance_lock);
	for (struct th_entered_snapshot *at = fs->deleted_snapshots; at; at = at->next_deleted) {
		if (at->id > id && (!next || at->id < next))
			next = at->id;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	return next;
}

void th_entered_snapshot_mark_deleted(struct th_fs *fs, uint64_t id)
{
	pthread_mutex_lock(&fs->entrance_lock);
	struct th_entered_snapshot *snapshot = find(fs, id);

	if (snapshot && !snapshot->deleted)
		note_deleted(fs, snapshot);
	pthread_mutex_unlock(&fs->entrance_lock);
}

/* --- depths --- */

void th_entered_snapshot_note_depth(struct th_entered_snapshot *snapshot, unsigned depth)
{
	uint64_t bit = UINT64_C(1) << depth % 64;

	if (!(atomic_load(&snapshot->depths[depth / 64]) & bit))
		atomic_fetch_or(&snapshot->depths[depth / 64], bit);
}

bool th_entered_snapshot_has_depth(const struct th_entered_snapshot *snapshot, unsigned depth)
{
	return atomic_load(&snapshot->depths[depth / 64]) >> depth % 64 & 1;
}
