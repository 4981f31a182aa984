/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/snapshot.h"

#include <errno.h>

#include "fs/inode/entered_snapshot.h"
#include "fs/snapshot/unfinished.h"
#include "journal/base/clock.h"

/* Runs the callback fs->snapshot_changed, and records the time of a change of names. */
static void notify(struct th_fs *fs, const char *name, uint64_t except)
{
	if (name)
		atomic_store(&fs->snapshots_changed_ns, th_now_ns());
	if (fs->snapshot_changed)
		fs->snapshot_changed(fs->snapshot_changed_arg, name, except);
}

/* The kernel does not cache that a snapshot does not exist, so no cached name is stale. */
int th_fs_snapshot_create(struct th_fs *fs, const char *name, struct th_snapshot *ret)
{
	struct th_unfinished unfinished;
	struct th_snapshot snapshot;
	int err = th_fs_writable(fs);

	if (!err && !th_unfinished_read(fs->live, &unfinished))
		err = -ECANCELED; /* a part of a snapshot is none */
	if (!err)
		err = th_snapshot_create(fs->store, name, ret ? ret : &snapshot);
	if (!err)
		notify(fs, NULL, 0);
	return err;
}

void th_fs_snapshot_deleted_with_branch(struct th_fs *fs, const struct th_snapshot *snapshot)
{
	th_entered_snapshot_mark_deleted(fs, snapshot->id);
	notify(fs, snapshot->name, 0);
}

int th_fs_snapshot_delete_in(struct th_fs *fs, const char *name, uint64_t in)
{
	struct th_snapshot snapshot;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_find(fs->store, name, &snapshot);
	if (!err)
		err = th_snapshot_delete(fs->store, name);
	if (err)
		return err;
	th_entered_snapshot_mark_deleted(fs, snapshot.id);
	notify(fs, name, in);
	return 0;
}

int th_fs_snapshot_rename_in(struct th_fs *fs, const char *from, const char *to, uint64_t in)
{
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_rename(fs->store, from, to);
	if (!err) {
		notify(fs, from, in);
		notify(fs, to, in);
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

	return err ? err : th_snapshot_hold(fs->store, name, tag);
}

int th_fs_snapshot_release(struct th_fs *fs, const char *name, const char *tag)
{
	int err = th_fs_writable(fs);

	return err ? err : th_snapshot_release(fs->store, name, tag);
}
