/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/copy_tree.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/extent.h"
#include "fs/data/file_pages.h"
#include "fs/dir/dir.h"
#include "fs/dir/link.h"
#include "fs/dir/snapdir.h"
#include "fs/inode/inode_id.h"
#include "fs/inode/update.h"
#include "journal/base/array.h"

/* A directory whose entries are still to be copied. */
struct pending {
	uint64_t from, to; /* ids */
};

/* A copied inode that has several names. */
struct twin {
	uint64_t from, to;
};

struct walk {
	struct th_copy_tree *copy;
	struct th_fs *fs;
	struct th_view *view; /* of the snapshot */
	struct th_update update;
	struct pending *pending;
	size_t npending, capacity;
	void *twins; /* a tree of <search.h> of struct twin, by `from` */
	size_t bytes; /* of the keys and values that were put */
};

static int put(struct walk *walk, struct th_slice key, struct th_slice value)
{
	walk->bytes += key.size + value.size;
	return th_txn_put(walk->update.txn, key, value);
}

static int damaged(struct walk *walk, uint64_t id, const char *what)
{
	th_fs_report(walk->fs, "inode %llu: %s, so it is not copied; run 'thunderhead check'", (unsigned long long)id,
		     what);
	return -EUCLEAN;
}

/* --- one inode: its keys, with a new id --- */

/* The name that a copied inode gets. */
struct place {
	uint64_t parent; /* id of the copied directory, or of the target directory */
	struct th_slice name;
};

static int copy_record(struct walk *walk, const struct th_cursor_entry *entry, uint64_t from, uint64_t to,
		       const struct place *place, struct th_attr *ret)
{
	struct th_fs_key key = th_fs_key_inode(to);
	uint8_t value[TH_INODE_VALUE_MAX];
	int err = th_inode_decode(entry->value.data, entry->value.size, entry->refs, ret);

	if (err)
		return damaged(walk, from, "its record is damaged");
	ret->flags &= ~(uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL);
	ret->parent = place->parent;
	ret->name = place->name.data;
	ret->name_size = (uint16_t)place->name.size;
	ret->ctime = ret->btime = walk->update.now;
	err = put(walk, th_fs_key_slice(&key), (struct th_slice){ value, th_inode_encode(ret, value) });
	return err ? err : th_txn_ref(walk->update.txn, th_fs_key_slice(&key), 1);
}

static int copy_extent(struct walk *walk, const struct th_cursor_entry *entry, const struct th_fs_key_parts *parts,
		       uint64_t to)
{
	struct th_extent extent;
	const char *why;
	int64_t blocks = 0;
	int err = th_extent_decode(parts->number, entry->value, &extent, &why);

	if (err)
		return damaged(walk, parts->id, why);
	if (extent.kind == TH_EXTENT_INLINE) {
		struct th_fs_key key = th_fs_key_extent(to, parts->number);

		return put(walk, th_fs_key_slice(&key), entry->value);
	}
	walk->bytes += entry->key.size + entry->value.size;
	err = th_chunk_share(walk->update.txn, &extent.run, &extent.run);
	return err ? err : th_extent_add(walk->update.txn, to, &extent, &blocks);
}

static int copy_key(struct walk *walk, const struct th_cursor_entry *entry, uint64_t to, const struct place *place,
		    struct th_attr *ret)
{
	struct th_fs_key_parts parts;
	struct th_fs_key key;
	int err = th_fs_key_parse(entry->key, &parts);

	if (err)
		return damaged(walk, walk->copy->source, "a key is damaged");
	switch (parts.kind) {
	case TH_FS_KEY_INODE:
		return copy_record(walk, entry, parts.id, to, place, ret);
	case TH_FS_KEY_XATTR:
		key = th_fs_key_xattr(to, parts.name.data, parts.name.size);
		return put(walk, th_fs_key_slice(&key), entry->value);
	case TH_FS_KEY_EXTENT:
		return copy_extent(walk, entry, &parts, to);
	default:
		return 0; /* further names, and entries of a directory, are copied with the directories that they are in */
	}
}

/* Copies all keys of an inode but its names and entries.  The keys of other kinds come before those of entries. */
static int copy_keys(struct walk *walk, uint64_t from, uint64_t to, const struct place *place, struct th_attr *ret)
{
	struct th_fs_key first = th_fs_key_kind(from, TH_FS_KEY_INODE), end = th_fs_key_kind(from, TH_FS_KEY_ENTRY);
	struct th_range range = { th_fs_key_slice(&first), th_fs_key_slice(&end) };
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	bool found = false;
	int end_of_keys = 0, err = th_cursor_open(walk->view, &range, &cursor);

	if (err)
		return err;
	while (!err && !(end_of_keys = th_cursor_next(cursor, &entry))) {
		err = copy_key(walk, &entry, to, place, ret);
		found = true;
	}
	th_cursor_close(cursor);
	if (!err && end_of_keys < 0)
		err = end_of_keys;
	return err || found ? err : -ENOENT;
}

/* --- hard links --- */

static int compare_twins(const void *a, const void *b)
{
	const struct twin *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static struct twin *find_twin(const struct walk *walk, uint64_t from)
{
	struct twin wanted = { .from = from }, *const *found = tfind(&wanted, &walk->twins, compare_twins);

	return found ? *found : NULL;
}

static int note_twin(struct walk *walk, uint64_t from, uint64_t to)
{
	struct twin *twin = malloc(sizeof(*twin));

	if (!twin)
		return -ENOMEM;
	*twin = (struct twin){ from, to };
	if (tsearch(twin, &walk->twins, compare_twins))
		return 0;
	free(twin);
	return -ENOMEM;
}

static int add_name(struct walk *walk, uint64_t id, const struct place *place)
{
	struct th_fs_key link = th_fs_key_link(id, place->parent, place->name.data, place->name.size);
	struct th_fs_key key = th_fs_key_inode(id);
	int err = put(walk, th_fs_key_slice(&link), (struct th_slice){ "", 0 });

	return err ? err : th_txn_ref(walk->update.txn, th_fs_key_slice(&key), 1);
}

/* --- trees --- */

/* Copies one inode, or gives another name to one that was copied already.  *ret_to: the id of the copy. */
static int copy_inode(struct walk *walk, uint64_t from, bool is_dir, const struct place *place, uint64_t *ret_to)
{
	struct twin *twin = find_twin(walk, from);
	struct th_attr attr = { 0 };
	int err;

	if (twin && !is_dir) {
		*ret_to = twin->to;
		return add_name(walk, twin->to, place);
	}
	err = th_fs_new_id(walk->fs, ret_to);
	if (!err)
		err = copy_keys(walk, from, *ret_to, place, &attr);
	if (err)
		return err;
	if (S_ISDIR(attr.mode) != is_dir || twin)
		return damaged(walk, from, "its record and its directory disagree");
	walk->copy->inodes++;
	if (is_dir || attr.nlink > 1)
		err = note_twin(walk, from, *ret_to);
	if (!err && is_dir)
		err = th_append(walk->pending, walk->capacity, walk->npending, (struct pending){ from, *ret_to });
	return err;
}

static int copy_entry(struct walk *walk, const struct pending *dir, const struct th_cursor_entry *entry)
{
	struct th_fs_key_parts parts;
	struct th_dirent_disk value;
	struct place place = { .parent = dir->to };
	struct th_fs_key key;
	uint64_t to;
	int err = th_fs_key_parse(entry->key, &parts);

	if (err || entry->value.size != sizeof(value))
		return damaged(walk, dir->from, "an entry is damaged");
	memcpy(&value, entry->value.data, sizeof(value));
	place.name = parts.name;
	err = copy_inode(walk, th_get_le64(value.target), value.type == DT_DIR, &place, &to);
	if (err)
		return err == -ENOENT ? damaged(walk, dir->from, "an entry has no inode") : err;
	value.target = th_le64(to);
	key = th_fs_key_entry(dir->to, parts.number, parts.name.data, parts.name.size);
	return put(walk, th_fs_key_slice(&key), (struct th_slice){ &value, sizeof(value) });
}

static int copy_entries(struct walk *walk, const struct pending *dir)
{
	struct th_fs_key prefix = th_fs_key_kind(dir->from, TH_FS_KEY_ENTRY);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int end = 0, err = th_cursor_open(walk->view, &range, &cursor);

	if (err)
		return err;
	while (!err && !(end = th_cursor_next(cursor, &entry)))
		err = copy_entry(walk, dir, &entry);
	th_cursor_close(cursor);
	return err ? err : (end < 0 ? end : 0);
}

/* Stages the whole copy, but not its name. */
static int stage_tree(struct walk *walk, uint64_t *ret_id, uint8_t *ret_type)
{
	struct th_copy_tree *copy = walk->copy;
	const struct place place = { copy->dir->id, copy->name };
	struct th_fs_key key = th_fs_key_inode(copy->source);
	struct th_value value;
	struct th_attr attr;
	int err = th_get(walk->view, th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	th_value_release(&value);
	if (err)
		return damaged(walk, copy->source, "its record is damaged");
	*ret_type = (uint8_t)IFTODT(attr.mode);
	err = copy_inode(walk, copy->source, S_ISDIR(attr.mode), &place, ret_id);
	while (!err && walk->npending) {
		struct pending dir = walk->pending[--walk->npending];

		err = copy_entries(walk, &dir);
	}
	return err;
}

/* --- the name --- */

/* Checks the directory and the name.  dir->lock held. */
static int check_place(const struct th_inode *dir, struct th_slice name)
{
	if (!dir->attr.nlink)
		return -ENOENT;
	if (th_snapdir_is_name(dir, name))
		return -EEXIST;
	if (dir->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))
		return -EPERM;
	return th_dir_check_name(name);
}

/* Gives the present inode of the name another name, and the name to the copy.  dir->lock and old->lock held. */
static int stage_replacement(struct walk *walk, struct th_inode *old, struct th_dirent entry, uint64_t id, uint8_t type)
{
	const struct th_copy_tree *copy = walk->copy;
	struct th_update *update = &walk->update;
	int err = old->attr.flags & (FS_IMMUTABLE_FL | FS_APPEND_FL) ? -EPERM : check_place(copy->dir, copy->aside);

	if (!err)
		err = th_dir_add(update->txn, copy->dir, copy->aside, old->id, entry.type);
	if (!err)
		err = th_link_move(update, old, copy->dir->id, copy->name, copy->dir->id, copy->aside);
	if (!err)
		err = th_dir_replace(update->txn, copy->dir, copy->name, entry, id, type);
	return err;
}

/* Stages the name of the copy, and commits.  dir->lock held; reads of the directory may block. */
static int finish_locked(struct walk *walk, uint64_t id, uint8_t type)
{
	struct th_copy_tree *copy = walk->copy;
	struct th_inode *old = NULL;
	struct th_dirent entry;
	int err = check_place(copy->dir, copy->name);

	if (!err)
		err = th_dir_find(copy->dir, copy->name, &entry);
	if (!err)
		err = copy->aside.size ? th_inode_get(walk->fs, NULL, entry.id, &old) : -EEXIST;
	else if (err == -ENOENT && copy->dir->attr.nlink)
		err = th_dir_add(walk->update.txn, copy->dir, copy->name, id, type);
	if (old) {
		pthread_rwlock_wrlock(&old->lock);
		err = stage_replacement(walk, old, entry, id, type);
	}
	if (!err)
		th_link_parent(&walk->update, copy->dir, 1, type == DT_DIR ? 1 : 0);
	err = th_update_end(&walk->update, err);
	copy->replaced = old != NULL;
	if (old)
		pthread_rwlock_unlock(&old->lock);
	th_inode_put(old);
	return err;
}

/* --- public --- */

/* A copy takes no space but metadata.  So a tree can be restored on a full disk: the part of the emergency reserve for
 * that may be used. */
static int finish(struct walk *walk, uint64_t id, uint8_t type)
{
	uint32_t cost = (uint32_t)(2 * walk->bytes / TH_BLOCK_SIZE + 2);
	struct th_inode *dir = walk->copy->dir;
	bool reserved = !th_file_pages_reserve_metadata(walk->fs, cost);
	int err;

	if (reserved)
		th_txn_use_emergency(walk->update.txn);
	pthread_rwlock_wrlock(&dir->lock);
	err = finish_locked(walk, id, type);
	pthread_rwlock_unlock(&dir->lock);
	if (reserved)
		th_chunk_unreserve(walk->fs->store, cost);
	return err;
}

int th_copy_tree(struct th_copy_tree *copy)
{
	struct walk walk = { .copy = copy, .fs = copy->dir->fs, .view = copy->from->view };
	uint64_t id;
	uint8_t type;
	int err;

	copy->inodes = 0;
	copy->replaced = false;
	if (copy->dir->snapshot || th_inode_is_snapdir(copy->dir))
		return -EROFS;
	if (!th_inode_is_dir(copy->dir))
		return -ENOTDIR;
	err = th_update_begin(&walk.update, walk.fs);
	if (err)
		return err;
	err = stage_tree(&walk, &id, &type);
	err = err ? th_update_end(&walk.update, err) : finish(&walk, id, type);
	tdestroy(walk.twins, free);
	free(walk.pending);
	return err;
}
