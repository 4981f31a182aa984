/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control/rollback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/writeback_list.h"
#include "fs/diff/diff_session.h"
#include "fs/dir/orphan.h"
#include "fs/format/key.h"
#include "fs/inode/inode.h"
#include "fs/inode/moment.h"
#include "journal/base/array.h"

struct rollback {
	struct th_fs *fs;
	struct th_diff_sessions *sessions;
	const char *keep;
	struct th_snapshot to;
	struct th_name_list names; /* of the directories that the kernel knows: those that differ */
};

/* --- names --- */

static int name_add(struct th_name_list *names, uint64_t parent, struct th_slice name)
{
	size_t need = names->size + sizeof(parent) + 1 + name.size;
	uint8_t *to;

	if (th_grow(names->bytes, names->capacity, need))
		return -ENOMEM;
	to = names->bytes + names->size;
	memcpy(to, &parent, sizeof(parent));
	to[sizeof(parent)] = (uint8_t)name.size;
	memcpy(to + sizeof(parent) + 1, name.data, name.size);
	names->size = need;
	return 0;
}

bool th_name_list_next(const struct th_name_list *names, size_t *at, uint64_t *ret_parent, struct th_slice *ret_name)
{
	const uint8_t *from = names->bytes + *at;

	if (*at == names->size)
		return false;
	memcpy(ret_parent, from, sizeof(*ret_parent));
	*ret_name = (struct th_slice){ from + sizeof(*ret_parent) + 1, from[sizeof(*ret_parent)] };
	*at += sizeof(*ret_parent) + 1 + ret_name->size;
	return true;
}

/* Adds the names that differ between two views.  Keys that are none of a filesystem's are skipped: the checker reports
 * them. */
static int add_differing(struct rollback *rollback, struct th_diff *diff)
{
	struct th_fs_key_parts parts;
	struct th_change change;
	int err;

	while (!(err = th_diff_next(diff, &change))) {
		if (th_fs_key_parse(change.key, &parts) || parts.kind != TH_FS_KEY_ENTRY ||
		    !th_inode_is_known(rollback->fs, parts.id))
			continue;
		err = name_add(&rollback->names, parts.id, parts.name);
		if (err)
			break;
	}
	return err < 0 ? err : 0;
}

static int gather_names(struct rollback *rollback)
{
	struct th_store *store = rollback->fs->store;
	struct th_view *now, *then = NULL;
	struct th_diff *diff;
	int err = th_view_freeze(store, &now);

	if (err)
		return err;
	err = th_view_snapshot(store, rollback->to.id, &then);
	if (!err)
		err = th_diff_open(now, then, NULL, &diff);
	if (!err) {
		err = add_differing(rollback, diff);
		th_diff_close(diff);
	}
	if (then)
		th_view_close(then);
	th_view_close(now);
	return err;
}

/* --- the change --- */

/* Checks that the snapshot has the directory that is mounted. */
static int check_root(const struct rollback *rollback)
{
	struct th_fs *fs = rollback->fs;
	struct th_fs_key key = th_fs_key_inode(fs->root->id);
	struct th_value value;
	struct th_view *view;
	struct th_attr attr;
	int err = th_view_snapshot(fs->store, rollback->to.id, &view);

	if (err)
		return err;
	err = th_get(view, th_fs_key_slice(&key), &value);
	if (!err) {
		err = th_inode_decode(value.data, value.size, value.refs, &attr);
		if (!err && (!S_ISDIR(attr.mode) || (!attr.parent && fs->root->id != TH_ROOT_ID)))
			err = -ENOTDIR;
		th_value_release(&value);
	}
	th_view_close(view);
	return err == -ENOENT ? -ENOTDIR : err;
}

/* Replaces the live tree, and what is in memory of it.  No request is in progress. */
static int replace_tree(struct rollback *rollback)
{
	struct th_fs *fs = rollback->fs;
	int err;

	/* Ids that were used after the snapshot stay used.  The next one reserves a batch in the new tree. */
	pthread_mutex_lock(&fs->id_lock);
	th_store_raise_mark(fs->store, fs->reserved_id);
	fs->next_id = fs->reserved_id;
	pthread_mutex_unlock(&fs->id_lock);
	th_moment_set_quiet(fs, true);
	err = th_store_rollback(fs->store, rollback->to.name);
	if (!err)
		th_inode_outdate(fs);
	th_moment_set_quiet(fs, false);
	return err;
}

/* Loads the root directory again, which others use without looking for it.  A later request retries after an error. */
static void renew_root(struct th_fs *fs)
{
	struct th_inode *root;

	if (!th_inode_get(fs, NULL, fs->root->id, &root))
		th_inode_put(root);
}

/* Files without a name that were open when the snapshot was taken are deleted, unless they are still open. */
static void delete_orphans(struct th_fs *fs)
{
	int err = th_orphan_recover(fs);

	if (err)
		th_fs_report(fs, "rollback: files that were deleted, but open, use space until the next mount: %s",
			     strerror(-err));
}

static int change(struct rollback *rollback)
{
	struct th_fs *fs = rollback->fs;
	bool kept = false;
	int err;

	th_diff_sessions_end(rollback->sessions); /* their views of the present */
	err = th_writeback_all(fs);
	if (!err && rollback->keep) {
		err = th_snapshot_create(fs->store, rollback->keep, NULL);
		kept = !err;
	}
	if (!err)
		err = gather_names(rollback);
	if (!err)
		err = replace_tree(rollback);
	if (err && kept)
		th_snapshot_delete(fs->store, rollback->keep);
	if (err)
		return err;
	renew_root(fs);
	delete_orphans(fs);
	return 0;
}

int th_rollback_open(struct th_fs *fs, struct th_diff_sessions *sessions, const char *snapshot, const char *keep)
{
	struct rollback rollback = { .fs = fs, .sessions = sessions, .keep = keep };
	const struct th_front *front = fs->front;
	int err = th_fs_writable(fs);

	if (!err)
		err = th_snapshot_find(fs->store, snapshot, &rollback.to);
	if (!err)
		err = check_root(&rollback);
	if (!err && front)
		front->write_back(fs->front_arg);
	if (!err)
		err = th_store_checkpoint(fs->store); /* so that little is left to write while requests wait */
	if (err)
		return err;
	if (front)
		front->stop(fs->front_arg);
	err = change(&rollback);
	if (front)
		front->resume(fs->front_arg);
	if (!err && front)
		front->drop(fs->front_arg, &rollback.names);
	if (!err && keep && fs->snapshot_changed)
		fs->snapshot_changed(fs->snapshot_changed_arg, NULL, 0);
	free(rollback.names.bytes);
	return err;
}
