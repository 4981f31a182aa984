/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/check/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/check/check_data.h"
#include "fs/data/extent.h"
#include "fs/diff/inode_paths.h"
#include "fs/dir/dir.h"
#include "fs/format/acl.h"
#include "fs/inode/inode.h"
#include "fs/inode/inode_id.h"
#include "fs/snapshot/branch.h"
#include "fs/snapshot/unfinished.h"
#include "journal/base/array.h"

struct check {
	struct th_fs *fs;
	const struct th_fs_check_options *options;
	struct th_view *view;
	uint64_t next_id;
	uint64_t problems; /* reported by problem() */
	uint64_t counted; /* calls of check_live_entry() that found a problem: the store counts each of these as one */
	struct th_inode *parent; /* the directory of the last lookup of a name */
	/* The current inode, and the sums over its keys. */
	uint64_t id;
	bool exists;
	struct th_attr attr;
	uint64_t entries, subdirs, links, blocks, extent_end;
	struct twins {
		uint64_t hash; /* of the entries that were checked last */
		uint32_t *numbers; /* theirs */
		size_t count, capacity;
		uint8_t *
			seen; /* a bit for each number that an entry with this hash has; NULL: no hash had two entries */
	} twins;
};

static void problem(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct check *check, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	check->problems++;
	check->options->problem(check->options->arg, line);
}

/* --- the twin numbers of one hash --- */

static void twins_begin(struct twins *twins, uint64_t hash)
{
	if (twins->hash == hash)
		return;
	for (size_t i = 0; twins->seen && i < twins->count; i++)
		twins->seen[twins->numbers[i] / 8] = 0;
	twins->count = 0;
	twins->hash = hash;
}

/* Notes the twin number of an entry.  Returns 0, -EEXIST if an entry with the same hash has it, or -ENOMEM. */
static int twins_add(struct twins *twins, uint32_t number)
{
	int err = th_grow(twins->numbers, twins->capacity, twins->count + 1);

	if (err)
		return err;
	twins->numbers[twins->count++] = number;
	if (twins->count == 1)
		return 0;
	if (!twins->seen)
		twins->seen = calloc(TH_NAME_TWINS / 8, 1);
	if (!twins->seen)
		return -ENOMEM;
	for (size_t i = twins->count == 2 ? 0 : twins->count - 1; i < twins->count; i++) {
		uint32_t at = twins->numbers[i];

		if (twins->seen[at / 8] & 1u << at % 8)
			return -EEXIST;
		twins->seen[at / 8] |= (uint8_t)(1u << at % 8);
	}
	return 0;
}

/* --- after the last key of an inode --- */

static void end_directory(struct check *check)
{
	if (check->entries != check->attr.size)
		problem(check, "directory %llu: has %llu entries, expected %llu", (unsigned long long)check->id,
			(unsigned long long)check->entries, (unsigned long long)check->attr.size);
	if (check->subdirs + 2 != check->attr.nlink)
		problem(check, "directory %llu: has %llu subdirectories, expected %llu", (unsigned long long)check->id,
			(unsigned long long)check->subdirs, (unsigned long long)check->attr.nlink - 2);
	if (check->links)
		problem(check, "directory %llu: has %llu names beside its first one, expected none",
			(unsigned long long)check->id, (unsigned long long)check->links);
}

static void end_inode(struct check *check)
{
	uint64_t names = check->links + (check->attr.parent ? 1 : 0);

	if (!check->exists)
		return;
	if (S_ISDIR(check->attr.mode))
		end_directory(check);
	else if (names != check->attr.nlink)
		problem(check, "inode %llu: has %llu names, expected %u by its link count",
			(unsigned long long)check->id, (unsigned long long)names, check->attr.nlink);
	if (check->blocks != check->attr.blocks)
		problem(check, "inode %llu: its extents hold %llu blocks, expected %llu", (unsigned long long)check->id,
			(unsigned long long)check->blocks, (unsigned long long)check->attr.blocks);
}

static void begin_inode(struct check *check, uint64_t id)
{
	end_inode(check);
	check->id = id;
	check->exists = false;
	check->entries = check->subdirs = check->links = check->blocks = check->extent_end = 0;
	twins_begin(&check->twins, 0);
}

/* --- names --- */

/* Makes check->parent that directory.  Returns false if it cannot be loaded or is no directory. */
static bool take_parent(struct check *check, uint64_t directory)
{
	if (check->parent && check->parent->id == directory)
		return true;
	th_inode_put(check->parent);
	if (th_inode_get(check->fs, NULL, directory, &check->parent))
		check->parent = NULL;
	return check->parent && th_inode_is_dir(check->parent);
}

/* Checks that the directory has this name for the current inode. */
static void check_name(struct check *check, uint64_t directory, struct th_slice name)
{
	struct th_dirent entry;

	if (!take_parent(check, directory) || th_dir_find(check->parent, name, &entry) || entry.id != check->id)
		problem(check, "inode %llu: directory %llu has no entry for its name '%.*s'",
			(unsigned long long)check->id, (unsigned long long)directory, (int)name.size,
			(const char *)name.data);
}

static bool key_exists(struct check *check, struct th_fs_key key)
{
	struct th_value value;

	if (th_get(check->view, th_fs_key_slice(&key), &value))
		return false;
	th_value_release(&value);
	return true;
}

/* Checks the primary name, which is in the inode's value; only the root and orphans may have none. */
static void check_primary_name(struct check *check, int32_t refs)
{
	if (check->id == TH_ROOT_ID) {
		if (check->attr.parent || refs || !S_ISDIR(check->attr.mode))
			problem(check, "inode %u: is not a root directory", TH_ROOT_ID);
	} else if (check->attr.parent) {
		check_name(check, check->attr.parent, (struct th_slice){ check->attr.name, check->attr.name_size });
	} else if (refs) {
		problem(check, "inode %llu: has %d references but no name", (unsigned long long)check->id, refs);
	} else if (!key_exists(check, th_fs_key_orphan(check->id))) {
		problem(check, "inode %llu: has no name and is not on the list of orphans",
			(unsigned long long)check->id);
	}
}

/* --- keys by kind --- */

static void check_inode(struct check *check, const struct th_cursor_entry *entry)
{
	if (th_inode_decode(entry->value.data, entry->value.size, entry->refs, &check->attr)) {
		problem(check, "inode %llu: malformed value", (unsigned long long)check->id);
		return;
	}
	check->exists = true;
	if (check->id >= check->next_id)
		problem(check, "inode %llu: its id may be allocated again, as all ids from %llu on",
			(unsigned long long)check->id, (unsigned long long)check->next_id);
	check_primary_name(check, entry->refs);
	check->attr.name = NULL; /* it belongs to the cursor */
}

/* Returns whether the inode has that type and this name in the current directory. */
static bool inode_has_name(struct check *check, uint64_t id, uint8_t type, struct th_slice name)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;
	bool right_type, primary;

	if (th_get(check->view, th_fs_key_slice(&key), &value))
		return false;
	right_type = !th_inode_decode(value.data, value.size, value.refs, &attr) && IFTODT(attr.mode) == type;
	primary = right_type && attr.parent == check->id && attr.name_size == name.size &&
		  !memcmp(attr.name, name.data, name.size);
	th_value_release(&value);
	return right_type && (primary || key_exists(check, th_fs_key_link(id, check->id, name.data, name.size)));
}

/* Checks that the entry is found by its name, and that its position in the directory is its own. */
static void check_position(struct check *check, struct th_slice name, uint64_t hash, uint32_t twin)
{
	if (!check->fs->name_key_lost && hash != th_dir_hash(check->fs, name))
		problem(check, "directory %llu, entry '%.*s': has the hash %llx, expected %llx",
			(unsigned long long)check->id, (int)name.size, (const char *)name.data,
			(unsigned long long)hash, (unsigned long long)th_dir_hash(check->fs, name));
	twins_begin(&check->twins, hash);
	if (twin >= TH_NAME_TWINS || twins_add(&check->twins, twin) == -EEXIST)
		problem(check,
			"directory %llu, entry '%.*s': has the twin number %u, which is another entry's or too large",
			(unsigned long long)check->id, (int)name.size, (const char *)name.data, twin);
}

static void check_entry(struct check *check, struct th_slice name, uint64_t hash, struct th_slice value)
{
	struct th_dirent_disk disk;
	uint64_t id;

	check->entries++;
	if (value.size != sizeof(disk)) {
		problem(check, "directory %llu, entry '%.*s': malformed value", (unsigned long long)check->id,
			(int)name.size, (const char *)name.data);
		return;
	}
	memcpy(&disk, value.data, sizeof(disk));
	id = th_get_le64(disk.target);
	check->subdirs += disk.type == DT_DIR;
	check_position(check, name, hash, th_get_le32(disk.twin));
	if (!inode_has_name(check, id, disk.type, name))
		problem(check,
			"directory %llu, entry '%.*s': inode %llu is missing, of another type, or does not have this name",
			(unsigned long long)check->id, (int)name.size, (const char *)name.data, (unsigned long long)id);
}

static void check_extent(struct check *check, uint64_t block, struct th_slice value)
{
	struct th_extent extent;
	const char *why = "overlaps the extent before it";
	int err = th_extent_decode(block, value, &extent, &why);

	if (err || check->extent_end > block) {
		problem(check, "inode %llu, extent at block %llu: %s", (unsigned long long)check->id,
			(unsigned long long)block, why);
		return;
	}
	check->extent_end = block + extent.blocks;
	check->blocks += extent.kind == TH_EXTENT_INLINE ? 0 : extent.blocks;
}

static void check_xattr(struct check *check, struct th_slice name, struct th_slice value)
{
	char string[TH_NAME_MAX + 1];

	memcpy(string, name.data, name.size);
	string[name.size] = 0;
	if (th_acl_is_name(string) && !th_acl_valid(value))
		problem(check, "inode %llu: its %s is not an access control list", (unsigned long long)check->id,
			string);
}

static void check_atime(struct check *check, uint64_t id, struct th_slice value)
{
	struct th_time time;

	if (th_atime_decode(value, &time))
		problem(check, "inode %llu: its time of access is malformed", (unsigned long long)id);
	else if (!key_exists(check, th_fs_key_inode(id)))
		problem(check, "inode %llu: it does not exist, but has a time of access", (unsigned long long)id);
}

static void check_key(struct check *check, const struct th_fs_key_parts *parts, const struct th_cursor_entry *entry)
{
	if (parts->kind != TH_FS_KEY_INODE && parts->id && !check->exists) {
		problem(check, "inode %llu: is missing or malformed, but has a key of kind %u",
			(unsigned long long)check->id, parts->kind);
		return;
	}
	switch ((enum th_fs_key_kind)parts->kind) {
	case TH_FS_KEY_INODE:
		check_inode(check, entry);
		break;
	case TH_FS_KEY_LINK:
		check->links++;
		check_name(check, parts->number, parts->name);
		break;
	case TH_FS_KEY_EXTENT:
		check_extent(check, parts->number, entry->value);
		break;
	case TH_FS_KEY_ENTRY:
		check_entry(check, parts->name, parts->number, entry->value);
		break;
	case TH_FS_KEY_ORPHAN:
		if (!key_exists(check, th_fs_key_inode(parts->number)))
			problem(check, "orphan %llu: no such inode", (unsigned long long)parts->number);
		break;
	case TH_FS_KEY_ATIME:
		check_atime(check, parts->number, entry->value);
		break;
	case TH_FS_KEY_XATTR:
		check_xattr(check, parts->name, entry->value);
		break;
	case TH_FS_KEY_RECEIVE:
	case TH_FS_KEY_RECEIVED_ID: /* they end with the receive */
	case TH_FS_KEY_NEXT_ID:
	case TH_FS_KEY_NAME_KEY: /* opening the filesystem has checked it */
		break;
	}
}

/* Checks one live entry; called in the order of the keys.  Returns 1 if it found a problem, else 0. */
static int check_live_entry(void *arg, struct th_view *view, const struct th_cursor_entry *entry)
{
	struct check *check = arg;
	struct th_fs_key_parts parts;
	uint64_t before = check->problems;

	(void)view;
	if (th_fs_key_parse(entry->key, &parts)) {
		problem(check, "a key of %zu bytes does not belong to a filesystem", entry->key.size);
	} else {
		if (parts.id != check->id)
			begin_inode(check, parts.id);
		check_key(check, &parts, entry);
	}
	check->counted += check->problems > before;
	return check->problems > before;
}

static void store_problem(void *arg, const char *line)
{
	struct check *check = arg;

	check->options->problem(check->options->arg, line);
}

/* --- the changes since a snapshot --- */

static int check_range(struct check *check, const struct th_range *range)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	int err = th_cursor_open(check->view, range, &cursor);

	if (err)
		return err;
	while (!(err = th_cursor_next(cursor, &entry)))
		check_live_entry(check, check->view, &entry);
	th_cursor_close(cursor);
	end_inode(check);
	check->exists = false;
	return err < 0 ? err : 0;
}

static int check_all_keys(struct check *check, uint64_t id)
{
	struct th_fs_key first = th_fs_key_inode(id), end = th_fs_key_inode(id + 1);
	struct th_range range = { th_fs_key_slice(&first), th_fs_key_slice(&end) };

	return check_range(check, &range);
}

/* Checks that the former target of a directory entry that changed does not have this name any more. */
static void check_former_target(struct check *check, const struct th_change *change,
				const struct th_fs_key_parts *parts)
{
	struct th_dirent_disk from, to = { 0 };
	struct th_value value;
	struct th_attr attr;

	if (change->from.size != sizeof(from))
		return;
	memcpy(&from, change->from.data, sizeof(from));
	if (change->to.size == sizeof(to))
		memcpy(&to, change->to.data, sizeof(to));
	uint64_t id = th_get_le64(from.target);
	struct th_fs_key key = th_fs_key_inode(id);

	if (id == th_get_le64(to.target) || th_get(check->view, th_fs_key_slice(&key), &value))
		return;
	if (!th_inode_decode(value.data, value.size, value.refs, &attr)) {
		check->id = parts->id;
		if (inode_has_name(check, id, IFTODT(attr.mode), parts->name))
			problem(check, "inode %llu: directory %llu has no entry for its name '%.*s'",
				(unsigned long long)id, (unsigned long long)parts->id, (int)parts->name.size,
				(const char *)parts->name.data);
	}
	th_value_release(&value);
}

/* Checks that the directories above a directory lead to the root. */
static int check_above(struct check *check, struct th_inode_paths *paths, uint64_t id)
{
	struct th_fs_key key = th_fs_key_inode(id);
	struct th_value value;
	struct th_attr attr;
	char *path = NULL;
	bool inside;
	int err = th_get(check->view, th_fs_key_slice(&key), &value);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = th_inode_decode(value.data, value.size, value.refs, &attr);
	th_value_release(&value);
	if (err || !S_ISDIR(attr.mode) || id == TH_ROOT_ID)
		return 0;
	err = th_inode_paths_join(paths, id, "", &path, &inside);
	free(path);
	if (err != 1 && err != -EUCLEAN)
		return err;
	problem(check, "directory %llu: the directories above it do not lead to the root", (unsigned long long)id);
	return 0;
}

/* Checks each inode with a differing key.  *previous: the one before, which has been checked. */
static int check_change(struct check *check, struct th_inode_paths *paths, const struct th_change *change,
			uint64_t *previous)
{
	struct th_fs_key_parts parts;
	int err = th_fs_key_parse(change->key, &parts);

	if (err) {
		problem(check, "a key of %zu bytes does not belong to a filesystem", change->key.size);
		return 0;
	}
	if (parts.kind == TH_FS_KEY_ENTRY)
		check_former_target(check, change, &parts);
	if (parts.id == *previous)
		return 0;
	*previous = parts.id;
	check->id = 0;
	err = check_all_keys(check, parts.id);
	return err ? err : check_above(check, paths, parts.id);
}

static int check_diff(struct check *check, struct th_view *base, struct th_inode_paths *paths)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };
	struct th_change change;
	struct th_diff *diff;
	uint64_t previous = 0;
	int err = th_diff_open(base, check->view, &range, &diff);

	if (err)
		return err;
	while (!(err = th_diff_next(diff, &change))) {
		err = check_change(check, paths, &change, &previous);
		if (err)
			break;
	}
	th_diff_close(diff);
	return err < 0 ? err : 0;
}

/* Without a base all inodes are checked, and then the directories once more for their place. */
static int check_whole(struct check *check, struct th_inode_paths *paths)
{
	struct th_fs_key first = th_fs_key_inode(TH_ROOT_ID);
	struct th_range range = { .from = th_fs_key_slice(&first) };
	struct th_cursor_entry entry;
	struct th_fs_key_parts parts;
	struct th_cursor *cursor;
	int err = check_range(check, &range);

	if (!err)
		err = th_cursor_open(check->view, &range, &cursor);
	if (err)
		return err;
	while (!(err = th_cursor_next(cursor, &entry))) {
		if (!th_fs_key_parse(entry.key, &parts) && parts.kind == TH_FS_KEY_INODE)
			err = check_above(check, paths, parts.id);
		if (err)
			break;
	}
	th_cursor_close(cursor);
	return err < 0 ? err : 0;
}

int th_fs_check_changes(struct th_fs *fs, struct th_view *base, const struct th_fs_check_options *options,
			uint64_t *ret_problems)
{
	struct check check = { .fs = fs, .options = options };
	struct th_inode_paths *paths = NULL;
	int err = th_view_freeze(fs->store, &check.view);

	if (err)
		return err;
	th_inode_outdate(fs);
	th_fs_view_next_id(fs->live, &check.next_id);
	err = th_inode_paths_new(check.view, TH_ROOT_ID, &paths);
	if (!err)
		err = base ? check_diff(&check, base, paths) : check_whole(&check, paths);
	*ret_problems = check.problems;
	th_inode_put(check.parent);
	free(check.twins.numbers);
	free(check.twins.seen);
	th_inode_paths_free(paths);
	th_view_close(check.view);
	return err;
}

int th_fs_check(struct th_fs *fs, const struct th_fs_check_options *options, struct th_check_result *ret)
{
	struct check check = { .fs = fs, .options = options, .view = fs->live };
	struct th_check_options store_options = {
		.read_data = options->read_data,
		.runs = th_extent_runs,
		.only_entries = options->only_names,
		.entry = check_live_entry,
		.arg = &check,
		.problem = store_problem,
	};
	struct th_unfinished unfinished;
	uint64_t data_problems = 0;
	int err;

	/* A part of a filesystem need not be one. */
	if (!th_unfinished_read(fs->live, &unfinished))
		store_options.entry = NULL;
	if (!store_options.entry && options->only_names)
		return 0;

	/* A next id that is wrong is reported for the inodes in use; one that cannot be read, for its node. */
	err = th_fs_view_next_id(fs->live, &check.next_id);
	if (err && err != -ENOENT && !check.next_id)
		check.next_id = TH_ID_MAX + 1;
	err = th_store_check(fs->store, &store_options, ret);
	if (!err) {
		end_inode(&check);
		ret->problems += check.problems - check.counted;
	}
	if (!err && options->read_data)
		err = th_fs_check_data(fs, options, &data_problems);
	ret->problems += data_problems;
	th_inode_put(check.parent);
	free(check.twins.numbers);
	free(check.twins.seen);
	return err;
}
