/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"

int th_dir_check_name(struct th_slice name)
{
	return th_fs_name_check(name);
}

uint64_t th_dir_hash(const struct th_fs *fs, struct th_slice name)
{
	uint64_t (*hash)(const void *, size_t) = fs->options.name_hash;
	uint64_t value = hash ? hash(name.data, name.size) : th_name_hash(&fs->name_key, name.data, name.size);

	value >>= 64 - TH_NAME_HASH_BITS;
	return value ? value : 1; /* so that the cookie of a name is larger than TH_DIR_COOKIE_MAX */
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
	*ret = (struct th_dirent){ th_get_le64(disk.target), th_get_le32(disk.twin), disk.type };
	return ret->id && ret->id <= TH_ID_MAX && type_valid(ret->type) && ret->twin < TH_NAME_TWINS ? 0 : -EUCLEAN;
}

static void report_entry(struct th_fs *fs, uint64_t directory, struct th_slice name)
{
	th_fs_report(fs, "directory %llu: entry '%.*s' is not valid; run 'thunderhead check'",
		     (unsigned long long)directory, (int)name.size, (const char *)name.data);
}

/* Finds an entry by looking at all of the directory.  Entries that cannot be read are skipped. */
static int find_by_name(struct th_fs *fs, struct th_view *view, uint64_t directory, struct th_slice name,
			struct th_dirent *ret)
{
	struct th_fs_key prefix = th_fs_key_kind(directory, TH_FS_KEY_ENTRY);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space), hole;
	struct th_fs_key_parts parts;
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	int damage = 0, end, err = th_cursor_open(view, &range, &cursor);

	if (err)
		return err;
	while ((end = th_cursor_next(cursor, &at)) != 1) {
		if (end < 0) {
			damage = end;
			if (!th_fs_lenient(fs, end) || th_cursor_skip(cursor, &hole))
				break;
		} else if (!th_fs_key_parse(at.key, &parts) && parts.name.size == name.size &&
			   !memcmp(parts.name.data, name.data, name.size)) {
			err = entry_decode(at.value, ret);
			th_cursor_close(cursor);
			return err;
		}
	}
	th_cursor_close(cursor);
	return damage ? damage : -ENOENT;
}

/* Decodes an entry that was read, and releases it. */
static int entry_take(struct th_fs *fs, uint64_t directory, struct th_slice name, struct th_value *value,
		      struct th_dirent *ret)
{
	int err = entry_decode((struct th_slice){ value->data, value->size }, ret);

	th_value_release(value);
	if (err)
		report_entry(fs, directory, name);
	return err;
}

int th_dir_find_in(struct th_fs *fs, struct th_view *view, uint64_t directory, struct th_slice name,
		   struct th_dirent *ret)
{
	struct th_fs_key key = th_fs_key_entry(directory, th_dir_hash(fs, name), name.data, name.size);
	struct th_value value;
	int err;

	if (fs->name_key_lost)
		return find_by_name(fs, view, directory, name, ret);
	err = th_get(view, th_fs_key_slice(&key), &value);
	return err ? err : entry_take(fs, directory, name, &value, ret);
}

int th_dir_find_txn(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name,
		    struct th_dirent *ret)
{
	struct th_fs_key key = th_fs_key_entry(directory, th_dir_hash(fs, name), name.data, name.size);
	struct th_value value;
	int err = th_txn_get(txn, th_fs_key_slice(&key), &value);

	return err ? err : entry_take(fs, directory, name, &value, ret);
}

int th_dir_find(const struct th_inode *dir, struct th_slice name, struct th_dirent *ret)
{
	return th_dir_find_in(dir->fs, th_inode_view(dir), dir->id, name, ret);
}

/* Returns the range of the entries with the hash of this key. */
static struct th_range twins_range(const struct th_fs_key *key, void *space)
{
	return th_range_prefix((struct th_slice){ key->bytes, TH_FS_KEY_HEAD + 8 }, space);
}

/* The twin numbers of the entries with one hash. */
struct twins {
	uint32_t *numbers;
	size_t count, capacity;
};

/* Collects the twin numbers of the entries with the same hash.  Returns 0, -EEXIST if one has the same name, or
 * -errno. */
static int collect_twins(struct th_cursor *cursor, struct th_fs *fs, uint64_t directory, const struct th_fs_key *key,
			 struct twins *twins)
{
	struct th_cursor_entry at;
	struct th_dirent entry;
	int end;

	while (!(end = th_cursor_next(cursor, &at))) {
		if (at.key.size == key->size && !memcmp(at.key.data, key->bytes, key->size))
			return -EEXIST;
		int err = entry_decode(at.value, &entry);

		if (err) {
			report_entry(fs, directory,
				     (struct th_slice){ (const char *)at.key.data + TH_FS_KEY_HEAD + 8,
							at.key.size - TH_FS_KEY_HEAD - 8 });
			return err;
		}
		err = th_grow(twins->numbers, twins->capacity, twins->count + 1);
		if (err)
			return err;
		twins->numbers[twins->count++] = entry.twin;
	}
	return end < 0 ? end : 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Returns the smallest number that is not on the list. */
static uint32_t smallest_unused(struct twins *twins)
{
	uint32_t unused = 0;

	if (twins->count)
		qsort(twins->numbers, twins->count, sizeof(*twins->numbers), compare_numbers);
	for (size_t i = 0; i < twins->count && twins->numbers[i] <= unused; i++)
		unused = twins->numbers[i] + 1;
	return unused;
}

/* Finds the smallest twin number that no entry with the same hash has. */
static int pick_twin(struct th_fs *fs, struct th_txn *txn, uint64_t directory, const struct th_fs_key *key,
		     uint32_t *ret)
{
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = twins_range(key, space);
	struct twins twins = { 0 };
	struct th_cursor *cursor;
	int err = th_txn_cursor(txn, &range, &cursor);

	if (err)
		return err;
	err = collect_twins(cursor, fs, directory, key, &twins);
	th_cursor_close(cursor);
	*ret = err ? 0 : smallest_unused(&twins);
	free(twins.numbers);
	return !err && *ret >= TH_NAME_TWINS ? -ENOSPC : err;
}

static int put_entry(struct th_txn *txn, const struct th_fs_key *key, uint64_t id, uint8_t type, uint32_t twin)
{
	struct th_dirent_disk disk = { th_le64(id), th_le32(twin), type };

	return th_txn_put(txn, th_fs_key_slice(key), (struct th_slice){ &disk, sizeof(disk) });
}

int th_dir_add_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name, uint64_t id,
		  uint8_t type)
{
	struct th_fs_key key = th_fs_key_entry(directory, th_dir_hash(fs, name), name.data, name.size);
	uint32_t twin;
	int err = pick_twin(fs, txn, directory, &key, &twin);

	return err ? err : put_entry(txn, &key, id, type, twin);
}

int th_dir_add(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, uint64_t id, uint8_t type)
{
	return th_dir_add_in(dir->fs, txn, dir->id, name, id, type);
}

int th_dir_replace_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name,
		      struct th_dirent entry, uint64_t id, uint8_t type)
{
	struct th_fs_key key = th_fs_key_entry(directory, th_dir_hash(fs, name), name.data, name.size);

	return put_entry(txn, &key, id, type, entry.twin);
}

int th_dir_replace(struct th_txn *txn, const struct th_inode *dir, struct th_slice name, struct th_dirent entry,
		   uint64_t id, uint8_t type)
{
	return th_dir_replace_in(dir->fs, txn, dir->id, name, entry, id, type);
}

int th_dir_remove_in(struct th_fs *fs, struct th_txn *txn, uint64_t directory, struct th_slice name)
{
	struct th_fs_key key = th_fs_key_entry(directory, th_dir_hash(fs, name), name.data, name.size);

	return th_txn_delete(txn, th_fs_key_slice(&key));
}

int th_dir_remove(struct th_txn *txn, const struct th_inode *dir, struct th_slice name)
{
	return th_dir_remove_in(dir->fs, txn, dir->id, name);
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

/* Entries that a walk keeps in memory.  More entries with one hash are read again for each such number of them. */
#define BATCH_MAX 256

/* The place of an entry in the order of a walk: its hash, then its twin number. */
static uint64_t position_of(uint64_t hash, uint32_t twin)
{
	return hash << TH_NAME_TWIN_BITS | twin;
}

/* The cookie of a position has 31 bits if the twin number has 8; else it is the position with this mark. */
#define COOKIE_TWIN_BITS 8
#define COOKIE_LONG (UINT64_C(1) << (TH_NAME_HASH_BITS + TH_NAME_TWIN_BITS))

static uint64_t cookie_of(uint64_t hash, uint32_t twin)
{
	return twin >> COOKIE_TWIN_BITS ? COOKIE_LONG | position_of(hash, twin) : hash << COOKIE_TWIN_BITS | twin;
}

static uint64_t cookie_position(uint64_t cookie)
{
	if (cookie & COOKIE_LONG)
		return cookie & (COOKIE_LONG - 1);
	return position_of(cookie >> COOKIE_TWIN_BITS, cookie & ((1u << COOKIE_TWIN_BITS) - 1));
}

/* The entries with one hash after a position, in the order of their positions, which is not that of their keys.  If
 * there are more than BATCH_MAX, the first of them. */
struct batch {
	struct batch_name {
		struct th_dirent entry;
		uint16_t size;
		char name[TH_NAME_MAX];
	} * names;
	size_t count, capacity;
	uint64_t hash;
	bool cut; /* entries were left out */
};

/* Adds an entry, if it is one of the first BATCH_MAX. */
static int batch_add(struct batch *batch, struct th_slice name, const struct th_dirent *entry)
{
	if (batch->count == BATCH_MAX) {
		batch->cut = true;
		if (batch->names[BATCH_MAX - 1].entry.twin <= entry->twin)
			return 0;
		batch->count--;
	}
	int err = th_grow(batch->names, batch->capacity, batch->count + 1);

	if (err)
		return err;
	size_t at = batch->count++;

	for (; at && batch->names[at - 1].entry.twin > entry->twin; at--)
		batch->names[at] = batch->names[at - 1];
	batch->names[at].entry = *entry;
	batch->names[at].size = (uint16_t)name.size;
	memcpy(batch->names[at].name, name.data, name.size);
	return 0;
}

/* Passes the entries on and empties the batch.  *position becomes that of the last one. */
static int batch_emit(struct batch *batch, uint64_t *position, th_dir_each *each, void *arg)
{
	int ret = 0;

	for (size_t i = 0; i < batch->count && !ret; i++) {
		const struct batch_name *name = &batch->names[i];

		*position = position_of(batch->hash, name->entry.twin);
		ret = each(arg, (struct th_slice){ name->name, name->size }, &name->entry,
			   cookie_of(batch->hash, name->entry.twin));
	}
	batch->count = 0;
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
		report_entry(dir->fs, dir->id, parts->name);
	return err;
}

/* Walks the entries after *position, to the end or to a hash of which entries were left out (batch->cut). */
static int walk(struct th_inode *dir, struct th_cursor *cursor, struct batch *batch, uint64_t *position,
		th_dir_each *each, void *arg)
{
	struct th_cursor_entry at;
	struct th_fs_key_parts parts = { 0 };
	struct th_dirent entry;
	int end;

	while (!(end = th_cursor_next(cursor, &at))) {
		int ret = entry_parse(dir, &at, &parts, &entry);

		if (!ret && parts.number != batch->hash) {
			ret = batch_emit(batch, position, each, arg);
			if (!ret && batch->cut)
				return 0;
			batch->hash = parts.number;
		}
		if (!ret && position_of(parts.number, entry.twin) > *position)
			ret = batch_add(batch, parts.name, &entry);
		if (ret)
			return ret;
	}
	return end < 0 ? end : batch_emit(batch, position, each, arg);
}

static int walk_from(struct th_inode *dir, struct batch *batch, uint64_t *position, th_dir_each *each, void *arg)
{
	struct th_fs_key prefix = th_fs_key_kind(dir->id, TH_FS_KEY_ENTRY);
	struct th_fs_key from = th_fs_key_entry(dir->id, *position >> TH_NAME_TWIN_BITS, NULL, 0);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor *cursor;

	range.from = th_fs_key_slice(&from);
	int err = th_cursor_open(th_inode_view(dir), &range, &cursor);

	if (err)
		return err;
	int ret = walk(dir, cursor, batch, position, each, arg);

	th_cursor_close(cursor);
	return ret;
}

int th_dir_walk(struct th_inode *dir, uint64_t cookie, th_dir_each *each, void *arg)
{
	uint64_t position = cookie_position(cookie);
	struct batch batch = { 0 };
	int ret;

	do {
		batch.cut = false;
		ret = walk_from(dir, &batch, &position, each, arg);
	} while (!ret && batch.cut);
	free(batch.names);
	return ret;
}
