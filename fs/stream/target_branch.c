/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/target_branch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/data/extent.h"
#include "fs/format/key.h"
#include "fs/snapshot/branch.h"

/* Extents that one transaction frees at most when a branch is emptied. */
#define EXTENTS_MAX 1024

static int refuse(char *why, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char *why, int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, TH_TARGET_WHY_MAX, format, arguments);
	va_end(arguments);
	return err;
}

/* --- finding --- */

static int read_unfinished(struct th_fs *fs, const struct th_branch *branch, struct th_unfinished *ret)
{
	struct th_view *view;
	int err;

	if (branch->current)
		return th_unfinished_read(fs->live, ret);
	err = th_view_branch(fs->store, branch->name, &view);
	if (err)
		return err;
	err = th_unfinished_read(view, ret);
	th_view_close(view);
	return err;
}

/* Finds the branch that is being received and has this name or this snapshot; NULL: any. */
static int find_unfinished(struct th_fs *fs, const char *name, const uint8_t *identity, struct th_target_branch *ret)
{
	struct th_branch *list;
	size_t count;
	int err = th_branch_list(fs->store, &list, &count), found = -ENOENT;

	if (err)
		return err;
	for (size_t i = 0; i < count && found == -ENOENT; i++) {
		if (list[i].detached || (name && strcmp(list[i].name, name)))
			continue;
		found = read_unfinished(fs, &list[i], &ret->unfinished);
		if (!found && identity && memcmp(ret->unfinished.identity, identity, TH_SNAPSHOT_IDENTITY))
			found = -ENOENT;
		if (!found)
			strcpy(ret->name, list[i].name);
	}
	free(list);
	return found;
}

int th_target_branch_unfinished(struct th_fs *fs, const char *name, struct th_target_branch *ret)
{
	*ret = (struct th_target_branch){ 0 };
	return find_unfinished(fs, name, NULL, ret);
}

/* Copies the name of the current branch. */
static void current_name(struct th_fs *fs, char *ret)
{
	struct th_store_info info;

	th_store_info(fs->store, &info);
	strcpy(ret, info.branch);
}

/* Names the branch that a snapshot belongs to; a detached one has no name to be found by, and *ret stays. */
static int name_of(struct th_fs *fs, uint64_t id, char *ret)
{
	struct th_branch *list;
	size_t count;
	int err = th_branch_list(fs->store, &list, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		if (list[i].id == id && !list[i].detached)
			strcpy(ret, list[i].name);
	}
	free(list);
	return 0;
}

/* Chooses the branch: the wanted one, that of the sender, that of the base, the current one. */
static int choose(struct th_fs *fs, const struct th_stream_info *info, const char *wanted, struct th_target_branch *ret)
{
	current_name(fs, ret->name);
	if (!wanted && info->flags & TH_STREAM_BRANCH && *info->branch)
		wanted = info->branch;
	if (wanted) {
		snprintf(ret->name, sizeof(ret->name), "%s", wanted);
		return strlen(wanted) < sizeof(ret->name) ? 0 : -ENAMETOOLONG;
	}
	return ret->base.id ? name_of(fs, ret->base.branch, ret->name) : 0;
}

/* --- a branch for all of a snapshot --- */

/* Returns whether a view has no file but the root directory: 1, 0, or an error. */
static int is_empty(struct th_view *view)
{
	struct th_fs_key first = th_fs_key_kind(TH_ROOT_ID, TH_FS_KEY_XATTR);
	struct th_range range = { .from = th_fs_key_slice(&first) };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int err = th_cursor_open(view, &range, &cursor);

	if (err)
		return err;
	err = th_cursor_next(cursor, &entry);
	th_cursor_close(cursor);
	return err < 0 ? err : err == 1;
}

/* A branch cannot be created without a snapshot that it begins from; so the current one, which is empty, gets the
 * name. */
static int prepare_whole(struct th_fs *fs, struct th_target_branch *target, char *why)
{
	char current[TH_BRANCH_NAME_MAX + 1];
	struct th_view *view;
	int empty, err = 0;

	current_name(fs, current);
	if (th_branch_find(fs->store, target->name, NULL)) {
		empty = is_empty(fs->live);
		if (!empty)
			return refuse(
				why, -ENOTEMPTY,
				"there is no branch '%s', and branch '%s' is not empty: all of a snapshot needs an "
				"empty branch, as a new image has",
				target->name, current);
		return empty < 0 ? empty : th_fs_branch_rename(fs, current, target->name);
	}
	err = strcmp(current, target->name) ? th_view_branch(fs->store, target->name, &view)
					    : th_view_freeze(fs->store, &view);
	if (err)
		return err;
	empty = is_empty(view);
	th_view_close(view);
	if (!empty)
		return refuse(why, -ENOTEMPTY,
			      "branch '%s' is not empty: all of a snapshot needs an empty branch, as a new image has",
			      target->name);
	return empty < 0 ? empty : 0;
}

/* --- a branch for the changes since a base --- */

/* Returns whether the head of a branch is as the base is: 1, 0, or an error.  Times of access do not count. */
static int is_unchanged(struct th_fs *fs, const struct th_target_branch *target)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };
	struct th_view *base, *head = NULL;
	struct th_diff *diff = NULL;
	struct th_change change;
	char current[TH_BRANCH_NAME_MAX + 1];
	int err = th_view_snapshot(fs->store, target->base.id, &base);

	if (err)
		return err;
	current_name(fs, current);
	err = strcmp(current, target->name) ? th_view_branch(fs->store, target->name, &head)
					    : th_view_freeze(fs->store, &head);
	if (!err)
		err = th_diff_open(base, head, &range, &diff);
	if (!err)
		err = th_diff_next(diff, &change);
	th_diff_close(diff);
	th_view_close(head);
	th_view_close(base);
	return err < 0 ? err : err == 1;
}

/* Renames the branch to the first name of its own that is free. */
static int keep(struct th_fs *fs, struct th_target_branch *target)
{
	int err = -EEXIST;

	for (unsigned i = 1; err == -EEXIST && i < 10000; i++) {
		snprintf(target->kept, sizeof(target->kept), "%.200s-kept-%u", target->name, i);
		err = th_fs_branch_rename(fs, target->name, target->kept);
	}
	return err;
}

static int create(struct th_fs *fs, struct th_target_branch *target)
{
	target->unfinished.created = true;
	return th_fs_branch_create(fs, target->name, target->base.name, NULL);
}

static int prepare_changes(struct th_fs *fs, bool force, struct th_target_branch *target, char *why)
{
	int unchanged, err;

	if (th_branch_find(fs->store, target->name, NULL))
		return create(fs, target);
	unchanged = is_unchanged(fs, target);
	if (unchanged)
		return unchanged < 0 ? unchanged : 0;
	if (!force)
		return refuse(why, -ESTALE,
			      "branch '%s' has changed since snapshot '%s'; --force keeps its state as another branch",
			      target->name, target->base.name);
	err = keep(fs, target);
	return err ? err : create(fs, target);
}

/* --- the decision --- */

static int check_resumed(const struct th_stream_info *info, const struct th_target_branch *target, char *why)
{
	const struct th_unfinished *unfinished = &target->unfinished;
	bool later = info->position.inode > unfinished->inode ||
		     (info->position.inode == unfinished->inode && info->position.block > unfinished->block);

	if (memcmp(unfinished->base, info->base, sizeof(info->base)))
		return refuse(why, -EINVAL, "snapshot '%s' is being received as changes since another snapshot",
			      info->name);
	if (later)
		return refuse(why, -EINVAL, "the stream continues after the place up to which '%s' was received",
			      info->name);
	return 0;
}

static int find_base(struct th_fs *fs, const struct th_stream_info *info, struct th_snapshot *ret, char *why)
{
	if (!(info->flags & TH_STREAM_INCREMENTAL))
		return 0;
	if (!th_snapshot_find_identity(fs->store, info->base, ret))
		return 0;
	return refuse(why, -ENXIO, "it has no snapshot '%s' with the same identity, which the stream continues from",
		      info->base_name);
}

int th_target_branch_prepare(struct th_fs *fs, const struct th_stream_info *info, const char *wanted, bool force,
			     struct th_target_branch *ret, char *why)
{
	struct th_snapshot unused;
	int err;

	*why = 0;
	*ret = (struct th_target_branch){ 0 };
	err = find_base(fs, info, &ret->base, why);
	if (err)
		return err;
	err = find_unfinished(fs, NULL, info->identity, ret);
	ret->resumed = !err;
	if (err != -ENOENT)
		return err ? err : check_resumed(info, ret, why);
	if (!th_snapshot_find(fs->store, info->name, &unused))
		return refuse(why, -EEXIST, "it has another snapshot '%s'; rename that first", info->name);
	if (info->position.inode || info->position.block)
		return refuse(why, -EINVAL, "the stream continues one of which nothing was received");
	err = choose(fs, info, wanted, ret);
	if (err)
		return err;
	err = find_unfinished(fs, ret->name, NULL, &(struct th_target_branch){ 0 });
	if (!err)
		return refuse(why, -EBUSY,
			      "branch '%s' has a part of another snapshot; receive the rest of that, or undo it by "
			      "'thunderhead receive --abort'",
			      ret->name);
	if (err != -ENOENT)
		return err;
	ret->unfinished = (struct th_unfinished){ 0 };
	memcpy(ret->unfinished.identity, info->identity, sizeof(ret->unfinished.identity));
	memcpy(ret->unfinished.base, info->base, sizeof(ret->unfinished.base));
	return ret->base.id ? prepare_changes(fs, force, ret, why) : prepare_whole(fs, ret, why);
}

/* --- undoing --- */

/* Deletes the keys of an inode but, of the root, that of the inode itself. */
static int delete_inode(struct th_fs *fs, uint64_t id)
{
	struct th_fs_key first = id == TH_ROOT_ID ? th_fs_key_kind(id, TH_FS_KEY_XATTR) : th_fs_key_inode(id);
	struct th_fs_key end = th_fs_key_inode(id + 1), atime = th_fs_key_atime(id);
	struct th_range range = { th_fs_key_slice(&first), th_fs_key_slice(&end) };
	uint64_t at = 0, last = TH_EXTENT_END;
	int err = 0;

	while (!err && at < last) {
		int64_t unused = 0;
		struct th_txn *txn;

		err = th_txn_begin(fs->store, &txn);
		if (err)
			return err;
		err = th_extent_clear(fs, txn, id, at, last, EXTENTS_MAX, &at, &unused);
		if (!err && at == last)
			err = th_txn_delete_range(txn, range);
		if (!err)
			err = th_txn_delete(txn, th_fs_key_slice(&atime));
		if (err)
			th_txn_rollback(txn);
		else
			err = th_txn_commit(txn);
	}
	return err;
}

/* Stores the root directory as one that is empty, and ends the receive. */
static int finish_empty(struct th_fs *fs)
{
	struct th_fs_key key = th_fs_key_inode(TH_ROOT_ID);
	uint8_t bytes[TH_INODE_VALUE_MAX];
	struct th_value value;
	struct th_attr attr;
	struct th_txn *txn;
	int err = th_get(fs->live, th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	attr.size = 0;
	attr.nlink = 2;
	if (!err)
		err = th_txn_begin(fs->store, &txn);
	if (err) {
		th_value_release(&value);
		return err;
	}
	err = th_txn_put(txn, th_fs_key_slice(&key), (struct th_slice){ bytes, th_inode_encode(&attr, bytes) });
	th_value_release(&value);
	if (!err)
		err = th_unfinished_delete(txn);
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	return th_txn_commit(txn);
}

static int make_empty(struct th_fs *fs)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };
	struct th_cursor_entry entry;
	struct th_fs_key_parts parts;
	struct th_cursor *cursor;
	struct th_view *view;
	uint64_t previous = 0;
	int err = th_view_freeze(fs->store, &view);

	if (err)
		return err;
	err = th_cursor_open(view, &range, &cursor);
	if (!err) {
		while (!(err = th_cursor_next(cursor, &entry))) {
			err = th_fs_key_parse(entry.key, &parts);
			if (!err && parts.id != previous)
				err = delete_inode(fs, previous = parts.id);
			if (err)
				break;
		}
		th_cursor_close(cursor);
	}
	th_view_close(view);
	return err < 0 ? err : finish_empty(fs);
}

int th_target_branch_reset(struct th_fs *fs, const struct th_unfinished *unfinished)
{
	static const uint8_t none[sizeof(unfinished->base)];
	struct th_snapshot base;
	int err;

	if (!memcmp(unfinished->base, none, sizeof(none)))
		return make_empty(fs);
	err = th_snapshot_find_identity(fs->store, unfinished->base, &base);
	return err ? err : th_fs_rollback(fs->store, base.name, NULL);
}
