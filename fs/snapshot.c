/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots as the filesystem sees them: taken, deleted, renamed, and entered (struct th_fs_snapshot). */
#include <errno.h>
#include <stdlib.h>

#include "fs/data/file.h"
#include "fs/fs.h"
#include "fs/inode/inode.h"

static uint64_t now_ns(void)
{
	struct th_time now = th_time_now();

	return (uint64_t)now.seconds * 1000000000 + now.nanoseconds;
}

static void tell(struct th_fs *fs, const char *name, uint64_t except)
{
	if (name)
		atomic_store(&fs->snapshots_changed_ns, now_ns());
	if (fs->snapshot_changed)
		fs->snapshot_changed(fs->snapshot_changed_arg, name, except);
}

/* The kernel does not remember that a snapshot is not there: no name is stale. */
int th_fs_snapshot_create(struct th_fs *fs, const char *name, struct th_snapshot *ret)
{
	struct th_snapshot snapshot;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_create(fs->store, name, ret ? ret : &snapshot);
	if (!err)
		tell(fs, NULL, 0);
	return err;
}

static void mark_deleted(struct th_fs *fs, uint64_t snapshot_id)
{
	pthread_mutex_lock(&fs->entrance_lock);
	for (struct th_fs_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->id == snapshot_id)
			snapshot->deleted = true;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
}

void th_fs_snapshot_gone(struct th_fs *fs, const struct th_snapshot *snapshot)
{
	mark_deleted(fs, snapshot->id);
	tell(fs, snapshot->name, 0);
}

int th_fs_snapshot_delete_in(struct th_fs *fs, const char *name, uint64_t in)
{
	struct th_snapshot snapshot;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_find(fs->store, name, &snapshot);
	if (!err)
		err = th_snapshot_delete(fs->store, name);
	if (err < 0)
		return err;
	mark_deleted(fs, snapshot.id);
	tell(fs, name, in);
	return 0;
}

int th_fs_snapshot_rename_in(struct th_fs *fs, const char *from, const char *to, uint64_t in)
{
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_rename(fs->store, from, to);
	if (!err) {
		tell(fs, from, in);
		tell(fs, to, in);
	}
	return err;
}

int th_fs_snapshot_delete(struct th_fs *fs, const char *name)
{
	return th_fs_snapshot_delete_in(fs, name, 0);
}

int th_fs_snapshot_rename(struct th_fs *fs, const char *from, const char *to)
{
	return th_fs_snapshot_rename_in(fs, from, to, 0);
}

int th_fs_snapshot_hold(struct th_fs *fs, const char *name, const char *tag)
{
	int err = th_fs_writable(fs);

	return err < 0 ? err : th_snapshot_hold(fs->store, name, tag);
}

int th_fs_snapshot_release(struct th_fs *fs, const char *name, const char *tag)
{
	int err = th_fs_writable(fs);

	return err < 0 ? err : th_snapshot_release(fs->store, name, tag);
}

/* --- entrances; static functions here with fs->entrance_lock held --- */

static struct th_fs_snapshot *entrance_find(struct th_fs *fs, uint64_t snapshot_id, uint64_t root)
{
	struct th_fs_snapshot *snapshot = fs->snapshots;

	while (snapshot && (snapshot->id != snapshot_id || snapshot->root != root || !snapshot->number))
		snapshot = snapshot->next;
	return snapshot;
}

static bool number_used(const struct th_fs *fs, uint64_t number)
{
	for (struct th_fs_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->number == number)
			return true;
	}
	return false;
}

/* A number that no entrance has.  Numbers come round only after 2^24 entrances. */
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

static void entrance_link(struct th_fs *fs, struct th_fs_snapshot *snapshot)
{
	snapshot->next = fs->snapshots;
	fs->snapshots = snapshot;
}

/* The same entrance, if there is one, with one more reference. */
static struct th_fs_snapshot *entrance_share(struct th_fs *fs, uint64_t snapshot_id, uint64_t root)
{
	struct th_fs_snapshot *snapshot = entrance_find(fs, snapshot_id, root);

	if (snapshot)
		snapshot->refs++;
	return snapshot;
}

/* --- without the lock: everybody needs it, and opening a view may read its root --- */

static int entrance_new(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_fs_snapshot **ret)
{
	struct th_fs_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return -ENOMEM;
	int err = th_view_snapshot(fs->store, snapshot_id, &snapshot->view);

	if (err < 0) {
		free(snapshot);
		return err;
	}
	snapshot->id = snapshot_id;
	snapshot->root = root;
	snapshot->refs = 1;
	*ret = snapshot;
	return 0;
}

static void entrance_free(struct th_fs_snapshot *snapshot)
{
	if (!snapshot)
		return;
	th_view_close(snapshot->view);
	free(snapshot);
}

int th_fs_snapshot_enter(struct th_fs *fs, uint64_t snapshot_id, uint64_t root, struct th_fs_snapshot **ret)
{
	struct th_fs_snapshot *mine;
	struct th_snapshot snapshot;
	int err;

	pthread_mutex_lock(&fs->entrance_lock);
	*ret = entrance_share(fs, snapshot_id, root);
	pthread_mutex_unlock(&fs->entrance_lock);
	if (*ret)
		return 0;
	err = entrance_new(fs, snapshot_id, root, &mine);
	if (err < 0)
		return err;
	pthread_mutex_lock(&fs->entrance_lock);
	*ret = entrance_share(fs, snapshot_id, root);
	if (!*ret) {
		mine->number = number_new(fs);
		entrance_link(fs, mine);
		/* Whoever deleted it meanwhile has not found the entrance (mark_deleted). */
		mine->deleted = th_snapshot_find_id(fs->store, snapshot_id, &snapshot) == -ENOENT;
		*ret = mine;
		mine = NULL;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	entrance_free(mine);
	return 0;
}

int th_fs_snapshot_base(struct th_fs *fs, uint64_t snapshot_id)
{
	int err = entrance_new(fs, snapshot_id, TH_ROOT_ID, &fs->base);

	if (err < 0)
		return err;
	pthread_mutex_lock(&fs->entrance_lock);
	entrance_link(fs, fs->base);
	pthread_mutex_unlock(&fs->entrance_lock);
	return 0;
}

struct th_fs_snapshot *th_fs_snapshot_ref(struct th_fs *fs, struct th_fs_snapshot *snapshot)
{
	pthread_mutex_lock(&fs->entrance_lock);
	snapshot->refs++;
	pthread_mutex_unlock(&fs->entrance_lock);
	return snapshot;
}

void th_fs_snapshot_leave(struct th_fs *fs, struct th_fs_snapshot *snapshot)
{
	pthread_mutex_lock(&fs->entrance_lock);
	bool last = !--snapshot->refs;

	if (last) {
		struct th_fs_snapshot **at = &fs->snapshots;

		while (*at != snapshot)
			at = &(*at)->next;
		*at = snapshot->next;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	if (last)
		entrance_free(snapshot);
}

uint64_t th_fs_snapshot_lingering(struct th_fs *fs, uint64_t number)
{
	uint64_t next = 0;

	pthread_mutex_lock(&fs->entrance_lock);
	for (struct th_fs_snapshot *snapshot = fs->snapshots; snapshot; snapshot = snapshot->next) {
		if (snapshot->deleted && snapshot->number > number && (!next || snapshot->number < next))
			next = snapshot->number;
	}
	pthread_mutex_unlock(&fs->entrance_lock);
	return next;
}
