/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/check/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/inode/inode_id.h"
#include "fs/snapshot/branch.h"
#include "fs/check/check_data.h"
#include "fs/data/extent.h"
#include "fs/dir/dir.h"
#include "fs/format/acl.h"
#include "fs/inode/inode.h"

struct check {
	struct th_fs *fs;
	const struct th_fs_check_options *options;
	struct th_view *view;
	uint64_t next_id;
	uint64_t problems; /* told by problem() */
	uint64_t answers; /* of them the store knows: one for each time that look_at() said so */
	struct th_inode *parent; /* the directory that was looked into last */
	/* The inode whose keys are passing by, and what they add up to. */
	uint64_t id;
	bool exists;
	struct th_attr attr;
	uint64_t entries, subdirs, links, blocks, extent_end;
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

/* --- the inode whose keys have all passed by --- */

static void end_directory(struct check *check)
{
	if (check->entries != check->attr.size)
		problem(check, "directory %llu: has %llu entries, expected %llu", (unsigned long long)check->id,
			(unsigned long long)check->entries, (unsigned long long)check->attr.size);
	if (check->subdirs + 2 != check->attr.nlink)
		problem(check, "directory %llu: has %llu subdirectories, expected %llu", (unsigned long long)check->id,
			(unsigned long long)check->subdirs, (unsigned long long)check->attr.nlink - 2);
}

static void end_inode(struct check *check)
{
	uint64_t names = check->links + (check->attr.parent ? 1 : 0);

	if (!check->exists)
		return;
	if (S_ISDIR(check->attr.mode))
		end_directory(check);
	else if (names != check->attr.nlink)
		problem(check, "inode %llu: knows %llu names, expected %u by its link count",
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
}

/* --- names --- */

/* Makes check->parent that directory, if it can be had. */
static bool take_parent(struct check *check, uint64_t directory)
{
	if (check->parent && check->parent->id == directory)
		return true;
	th_inode_put(check->parent);
	if (th_inode_get(check->fs, NULL, directory, &check->parent))
		check->parent = NULL;
	return check->parent && th_inode_is_dir(check->parent);
}

/* Does the directory have this name for the inode under way? */
static void find_name(struct check *check, uint64_t directory, struct th_slice name)
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

/* The name of an inode that its value gives, and whether it may be without one. */
static void check_primary_name(struct check *check, int32_t refs)
{
	if (check->id == TH_ROOT_ID) {
		if (check->attr.parent || refs || !S_ISDIR(check->attr.mode))
			problem(check, "inode %u: is no root directory", TH_ROOT_ID);
	} else if (check->attr.parent) {
		find_name(check, check->attr.parent, (struct th_slice){ check->attr.name, check->attr.name_size });
	} else if (refs) {
		problem(check, "inode %llu: is referred to %d times and knows no name", (unsigned long long)check->id,
			refs);
	} else if (!key_exists(check, th_fs_key_orphan(check->id))) {
		problem(check, "inode %llu: has no name and is not on the list of orphans",
			(unsigned long long)check->id);
	}
}

/* --- the keys, by kind --- */

static void check_inode(struct check *check, const struct th_cursor_entry *entry)
{
	if (th_inode_decode(entry->value.data, entry->value.size, entry->refs, &check->attr)) {
		problem(check, "inode %llu: its value is broken", (unsigned long long)check->id);
		return;
	}
	check->exists = true;
	if (check->id >= check->next_id)
		problem(check, "inode %llu: its id may be given out again, as all from %llu on may be",
			(unsigned long long)check->id, (unsigned long long)check->next_id);
	check_primary_name(check, entry->refs);
	check->attr.name = NULL; /* was lent by the cursor */
}

/* Is there an inode of that id and type that knows this name in the directory under way? */
static bool inode_knows(struct check *check, uint64_t id, uint8_t type, struct th_slice name)
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

static void check_entry(struct check *check, struct th_slice name, struct th_slice value)
{
	struct th_dirent_disk disk;
	uint64_t id;

	check->entries++;
	if (value.size != sizeof(disk)) {
		problem(check, "directory %llu, entry '%.*s': its value is broken", (unsigned long long)check->id,
			(int)name.size, (const char *)name.data);
		return;
	}
	memcpy(&disk, value.data, sizeof(disk));
	id = th_get_le64(disk.target);
	check->subdirs += disk.type == DT_DIR;
	if (!inode_knows(check, id, disk.type, name))
		problem(check,
			"directory %llu, entry '%.*s': inode %llu is not there, of another type, or does not know it",
			(unsigned long long)check->id, (int)name.size, (const char *)name.data, (unsigned long long)id);
}

static void check_extent(struct check *check, uint64_t block, struct th_slice value)
{
	struct th_extent extent;
	const char *why = "overlaps the one before";
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

static void check_key(struct check *check, const struct th_fs_key_parts *parts, const struct th_cursor_entry *entry)
{
	if (parts->kind != TH_FS_KEY_INODE && parts->id && !check->exists) {
		problem(check, "inode %llu: is not there or broken, but a key of kind %u is there",
			(unsigned long long)check->id, parts->kind);
		return;
	}
	switch ((enum th_fs_key_kind)parts->kind) {
	case TH_FS_KEY_INODE:
		check_inode(check, entry);
		break;
	case TH_FS_KEY_LINK:
		check->links++;
		find_name(check, parts->number, parts->name);
		break;
	case TH_FS_KEY_EXTENT:
		check_extent(check, parts->number, entry->value);
		break;
	case TH_FS_KEY_ENTRY:
		check_entry(check, parts->name, entry->value);
		break;
	case TH_FS_KEY_ORPHAN:
		if (!key_exists(check, th_fs_key_inode(parts->number)))
			problem(check, "orphan %llu: there is no such inode", (unsigned long long)parts->number);
		break;
	case TH_FS_KEY_XATTR:
		check_xattr(check, parts->name, entry->value);
		break;
	case TH_FS_KEY_NEXT_ID:
		break;
	}
}

/* One live entry; they come in the order of their keys.  Answers whether anything was wrong. */
static int look_at(void *arg, struct th_view *view, const struct th_cursor_entry *entry)
{
	struct check *check = arg;
	struct th_fs_key_parts parts;
	uint64_t before = check->problems;

	(void)view;
	if (th_fs_key_parse(entry->key, &parts)) {
		problem(check, "a key of %zu bytes is none of a filesystem", entry->key.size);
	} else {
		if (parts.id != check->id)
			begin_inode(check, parts.id);
		check_key(check, &parts, entry);
	}
	check->answers += check->problems > before;
	return check->problems > before;
}

static void store_problem(void *arg, const char *line)
{
	struct check *check = arg;

	check->options->problem(check->options->arg, line);
}

int th_fs_check(struct th_fs *fs, const struct th_fs_check_options *options, struct th_check_result *ret)
{
	struct check check = { .fs = fs, .options = options, .view = fs->live };
	struct th_check_options store_options = {
		.read_data = options->read_data,
		.runs = th_extent_runs,
		.only_entries = options->only_names,
		.entry = look_at,
		.arg = &check,
		.problem = store_problem,
	};
	uint64_t data_problems = 0;
	int err;

	th_fs_view_next_id(fs->live, &check.next_id); /* of a number that is wrong, the ids in use tell */
	err = th_store_check(fs->store, &store_options, ret);

	if (!err) {
		end_inode(&check);
		ret->problems += check.problems - check.answers;
	}
	/* Trees that are damaged cannot be read through; that was told already. */
	if (!err && options->read_data && !ret->problems)
		err = th_fs_check_data(fs, options, &data_problems);
	ret->problems += data_problems;
	th_inode_put(check.parent);
	return err;
}
