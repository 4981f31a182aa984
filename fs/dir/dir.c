/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "journal/base/array.h"

int th_dir_check_name(struct th_slice name)
{
	const char *bytes = name.data;

	if (name.size > TH_NAME_MAX)
		return -ENAMETOOLONG;
	if (!name.size || memchr(bytes, '/', name.size) || memchr(bytes, 0, name.size))
		return -EINVAL;
	if (bytes[0] == '.' && (name.size == 1 || (name.size == 2 && bytes[1] == '.')))
		return -EINVAL;
	return 0;
}

/* Returns 55 bits that are never 0, so that the cookie of a name is larger than TH_DIR_COOKIE_MAX. */
static uint64_t name_hash(const struct th_inode *dir, struct th_slice name)
{
	uint64_t (*hash)(const void *, size_t) = dir->fs->options.name_hash;
	uint64_t value = hash ? hash(name.data, name.size) : XXH3_64bits(name.data, name.size);

	value >>= 64 - TH_NAME_HASH_BITS;
	return value ? value : 1;
}

static struct th_fs_key entry_key(const struct th_inode *dir, struct th_slice name)
{
	return th_fs_key_entry(dir->id, name_hash(dir, name), name.data, name.size);
}

static bool type_valid(uint8_t type)
{
	switch (type) {
	case DT_REG:
	case DT_DIR:
	case DT_LNK:
	case DT_CHR:
	case DT_BLK:
	case DT_FIFO:
	case DT_SOCK:
		return true;
	default:
		return false;
	}
}

static int entry_decode(struct th_slice value, struct th_dirent *ret)
{
	struct th_dirent_disk disk;

	if (value.size != sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, value.data, sizeof(disk));
	*ret = (struct th_dirent){ th_get_le64(disk.target), disk.type, disk.twin };
	return ret->id && ret->id <= TH_ID_MAX && type_valid(ret->type) ? 0 : -EUCLEAN;
}

static void report_entry(const struct th_inode *dir, struct th_slice name)
{
	th_fs_report(dir->fs, "directory %llu: entry '%.*s' is not valid; run 'thunderhead check'",
		     (unsigned long long)dir->id, (int)name.size, (const char *)name.data);
}

int th_dir_find(const struct th_inode *dir, struct th_slice name, struct th_dirent *ret)
{
	struct th_fs_key key = entry_key(dir, name);
	struct th_value value;
	int err = th_get(th_inode_view(dir), th_fs_key_slice(&key), &value);

	if (err)
		return err;
	err = entry_decode((struct th_slice){ value.data, value.size }, ret);
	th_value_release(&value);
	if (err)
		report_entry(dir, name);
	return err;
}

/* Returns the range of the entries with the hash of this key. */
static struct th_range twins_range(const struct th_fs_key *key, void *space)
{
	return th_range_prefix((struct th_slice){ key->bytes, 9 + 8 }, space);
}

/* Marks the twin numbers of the entries with the same hash.  Returns 0, -EEXIST if one has the same name, or -errno. */
static int mark_twins(struct th_cursor *cursor, const struct th_inode *dir, const struct th_fs_key *key, bool *used)
{
	struct th_cursor_entry at;
	struct th_dirent entry;
	int end;

	while (!(end = th_cursor_next(cursor, &at))) {
		if (at.key.size == key->size && !memcmp(at.key.data, key->bytes, key->size))
			return -EEXIST;
		int err = entry_decode(at.value, &entry);

		if (err) {
			report_entry(dir, (struct th_slice){ (const char *)at.key.data + 17, at.key.size - 17 });
			return err;
		}
		used[entry.twin] = true;
	}
	return end < 0 ? end : 0;
}

/* Finds the smallest twin number that no entry with the same hash has. */
static int pick_twin(struct th_txn *txn, const struct th_inode *dir, const struct th_fs_key *key, uint8_t *ret)
{
	bool used[TH_NAME_TWINS] = { false };
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = twins_range(key, space);
	struct th_cursor *cursor;
	int err = th_txn_cursor(txn, &range, &cursor);

	if (err)
		return err;
	err = mark_twins(cursor, dir, key, used);
	th_cursor_close(cursor);
	if (err)
		return err;
	for (unsigned twin = 0; twin < TH_NAME_TWINS; twin++) {
		if (!used[twin]) {
			*ret = (uint8_t)twin;
			return 0;
		}
	}
	return -ENOSPC;
}

static int put_entry(struct th_txn *txn, const struct th_fs_key *key, uint64_t id, uint8_t type, uint8_t twin)
{
	struct th_dirent_disk disk = { th_le64(id), type, twin };

	return th_txn_put(txn, th_fs_key_slice(key), (struct th_slice){ &disk, sizeof(disk) });
}

int th_dir_add(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, uint64_t id, uint8_t type)
{
	struct th_fs_key key = entry_key(dir, name);
	uint8_t twin;
	int err = pick_twin(txn, dir, &key, &twin);

	return err ? err : put_entry(txn, &key, id, type, twin);
}

int th_dir_replace(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, struct th_dirent entry,
		   uint64_t id, uint8_t type)
{
	struct th_fs_key key = entry_key(dir, name);

	return put_entry(txn, &key, id, type, entry.twin);
}

int th_dir_remove(struct th_txn *txn, const struct th_inode *dir, struct th_slice name)
{
	struct th_fs_key key = entry_key(dir, name);

	return th_txn_delete(txn, th_fs_key_slice(&key));
}

int th_dir_check_empty(const struct th_inode *dir)
{
	struct th_fs_key prefix = th_fs_key_kind(dir->id, TH_FS_KEY_ENTRY);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	int err = th_cursor_open(th_inode_view(dir), &range, &cursor);

	if (err)
		return err;
	int end = th_cursor_next(cursor, &at);

	th_cursor_close(cursor);
	return end < 0 ? end : end ? 0 : -ENOTEMPTY;
}

/* --- walking --- */

/* Entries with one hash, sorted by twin number: that is the order of their cookies, but not of their keys. */
struct group {
	struct group_name {
		struct th_dirent entry;
		uint16_t size;
		char name[TH_NAME_MAX];
	} * names;
	size_t count, capacity;
	uint64_t hash;
};

static int group_add(struct group *group, const struct th_fs_key_parts *parts, const struct th_dirent *entry)
{
	int err = th_grow(group->names, group->capacity, group->count + 1);

	if (err)
		return err;
	size_t at = group->count++;

	for (; at && group->names[at - 1].entry.twin > entry->twin; at--)
		group->names[at] = group->names[at - 1];
	group->names[at].entry = *entry;
	group->names[at].size = (uint16_t)parts->name.size;
	memcpy(group->names[at].name, parts->name.data, parts->name.size);
	group->hash = parts->number;
	return 0;
}

static int group_emit(struct group *group, uint64_t cookie, th_dir_each *each, void *arg)
{
	int ret = 0;

	for (size_t i = 0; i < group->count && !ret; i++) {
		const struct group_name *name = &group->names[i];
		uint64_t next = group->hash << 8 | name->entry.twin;

		if (next > cookie)
			ret = each(arg, (struct th_slice){ name->name, name->size }, &name->entry, next);
	}
	group->count = 0;
	return ret;
}

static int entry_parse(struct th_inode *dir, const struct th_cursor_entry *at, struct th_fs_key_parts *parts,
		       struct th_dirent *entry)
{
	int err = th_fs_key_parse(at->key, parts);

	if (!err && parts->number >> TH_NAME_HASH_BITS)
		err = -EUCLEAN;
	if (!err)
		err = entry_decode(at->value, entry);
	if (err)
		report_entry(dir, parts->name);
	return err;
}

static int walk(struct th_inode *dir, struct th_cursor *cursor, struct group *group, uint64_t cookie, th_dir_each *each,
		void *arg)
{
	struct th_cursor_entry at;
	struct th_fs_key_parts parts = { 0 };
	struct th_dirent entry;
	int end;

	while (!(end = th_cursor_next(cursor, &at))) {
		int ret = entry_parse(dir, &at, &parts, &entry);

		if (!ret && group->count && parts.number != group->hash)
			ret = group_emit(group, cookie, each, arg);
		if (!ret)
			ret = group_add(group, &parts, &entry);
		if (ret)
			return ret;
	}
	return end < 0 ? end : group_emit(group, cookie, each, arg);
}

int th_dir_walk(struct th_inode *dir, uint64_t cookie, th_dir_each *each, void *arg)
{
	struct th_fs_key prefix = th_fs_key_kind(dir->id, TH_FS_KEY_ENTRY);
	struct th_fs_key from = th_fs_key_entry(dir->id, cookie >> 8, NULL, 0);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct group group = { 0 };
	struct th_cursor *cursor;

	range.from = th_fs_key_slice(&from);
	int err = th_cursor_open(th_inode_view(dir), &range, &cursor);

	if (err)
		return err;
	int ret = walk(dir, cursor, &group, cookie, each, arg);

	th_cursor_close(cursor);
	free(group.names);
	return ret;
}
