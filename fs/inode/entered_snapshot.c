/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode/entered_snapshot.h"

#include <errno.h>
#include <stdlib.h>

/* --- the list; called with fs->entrance_lock held --- */

static struct th_entered_snapshot *entrance_find(struct th_fs *fs, uint64_t snapshot_id, uint64_t root)
{
	struct th_entered_snapshot *snapshot = fs->snapshots;

	while (snapshot && (snapshot->id != snapshot_id || snapshot->root != root || !snapshot->number))
		snapshot = snapshot->next;
	return snapshot;
}

static bool number_used(const struct th_fs *fs, uint64_t number)
{
	for (struct th_entered_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->number == number)
			return true;
	}
	return false;
}

/* Returns an unused number.  Numbers wrap around after 2^24. */
static uint64_t number_new(struct th_fs *fs)
{
	uint64_t number;

	do {
		number = fs->next_number++;
		if (fs->next_number >= TH_SNAPDIR_SNAPSHOT)
			fs->next_number = 1;
	} while (number_used(fs, number));
	return number;
}

static void entrance_link(struct th_fs *fs, struct th_entered_snapshot *snapshot)
{
	snapshot->next = fs->snapshots;
	fs->snapshots = snapshot;
}

/* Returns the entry for this pair with one more reference, or NULL. */
static struct th_entered_snapshot *entrance_share(struct th_fs *fs, uint64_t snapshot_id, uint64_t root)
{
	struct th_entered_snapshot *snapshot = entrance_find(fs, snapshot_id, root);

	if (snapshot)
		snapshot->refs++;
	return snapshot;
}

/* --- called without the lock: opening a view may read its root from the disk --- */

static int entrance_new(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_entered_snapshot **ret)
{
	struct th_entered_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return -ENOMEM;
	int err = th_view_snapshot(fs->store, snapshot_id, &snapshot->view);

	if (err) {
		free(snapshot);
		return err;
	}
	snapshot->id = snapshot_id;
	snapshot->root = root;
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

int th_entered_snapshot_get(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_entered_snapshot **ret)
{
	struct th_entered_snapshot *mine;
	struct th_snapshot snapshot;
	int err;

	pthread_mutex_lock(&fs->entrance_lock);
	*ret = entrance_share(fs, snapshot_id, root);
	pthread_mutex_unlock(&fs->entrance_lock);
	if (*ret)
		return 0;
	err = entrance_new(fs, snapshot_id, root, &mine);
	if (err)
		return err;
	pthread_mutex_lock(&fs->entrance_lock);
	*ret = entrance_share(fs, snapshot_id, root);
	if (!*ret) {
		mine->number = number_new(fs);
		entrance_link(fs, mine);
		/* A thread that deleted it before this moment has not found the entry (mark_deleted). */
		mine->deleted = th_snapshot_find_id(fs->store, snapshot_id, &snapshot) == -ENOENT;
		*ret = mine;
		mine = NULL;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	entrance_free(mine);
	return 0;
}

int th_entered_snapshot_open_base(struct th_fs *fs, uint64_t snapshot_id)
{
	int err = entrance_new(fs, snapshot_id, TH_ROOT_ID, &fs->base);

	if (err)
		return err;
	pthread_mutex_lock(&fs->entrance_lock);
	entrance_link(fs, fs->base);
	pthread_mutex_unlock(&fs->entrance_lock);
	return 0;
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

	if (last) {
		struct th_entered_snapshot **at = &fs->snapshots;

		while (*at != snapshot)
			at = &(*at)->next;
		*at = snapshot->next;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	if (last)
		entrance_free(snapshot);
}

uint64_t th_entered_snapshot_next_deleted(struct th_fs *fs, uint64_t number)
{
	uint64_t next = 0;

	pthread_mutex_lock(&fs->entrance_lock);
	for (struct th_entered_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->deleted && snapshot->number > number && (!next || snapshot->number < next))
			next = snapshot->number;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	return next;
}

void th_entered_snapshot_mark_deleted(struct th_fs *fs, uint64_t snapshot_id)
{
	pthread_mutex_lock(&fs->entrance_lock);
	for (struct th_entered_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->id == snapshot_id)
			snapshot->deleted = true;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
}
