/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/rescue/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "journal/base/array.h"

static int add_name(struct th_inventory *inventory, uint64_t parent, uint64_t id, uint8_t type, struct th_slice name)
{
	struct th_found_name found = { parent, id, type, strndup(name.data, name.size) };

	if (!found.name)
		return -ENOMEM;
	int err = th_append(inventory->names, inventory->names_capacity, inventory->names_count, found);

	if (err)
		free(found.name);
	return err;
}

static int add_inode(struct th_inventory *inventory, uint64_t id, const struct th_cursor_entry *entry)
{
	struct th_found_inode found = { .id = id };
	int err;

	if (th_inode_decode(entry->value.data, entry->value.size, entry->refs, &found.attr)) {
		inventory->malformed++;
		return 0;
	}
	struct th_slice name = { found.attr.name, found.attr.name_size };

	found.attr.name = NULL;
	err = th_append(inventory->inodes, inventory->inodes_capacity, inventory->inodes_count, found);
	if (!err && found.attr.parent)
		err = add_name(inventory, found.attr.parent, id, IFTODT(found.attr.mode), name);
	return err;
}

static int add_entry(struct th_inventory *inventory, const struct th_fs_key_parts *parts, struct th_slice value)
{
	struct th_dirent_disk disk;
	uint64_t id;

	if (value.size != sizeof(disk)) {
		inventory->malformed++;
		return 0;
	}
	memcpy(&disk, value.data, sizeof(disk));
	id = th_get_le64(disk.target);
	if (id && id <= TH_ID_MAX)
		return add_name(inventory, parts->id, id, disk.type, parts->name);
	inventory->malformed++;
	return 0;
}

static int add_key(struct th_inventory *inventory, const struct th_cursor_entry *entry)
{
	struct th_fs_key_parts parts;

	if (th_fs_key_parse(entry->key, &parts)) {
		inventory->malformed++;
		return 0;
	}
	if (parts.kind == TH_FS_KEY_INODE)
		return add_inode(inventory, parts.id, entry);
	if (parts.kind == TH_FS_KEY_ENTRY)
		return add_entry(inventory, &parts, entry->value);
	if (parts.kind == TH_FS_KEY_LINK)
		return add_name(inventory, parts.number, parts.id, DT_UNKNOWN, parts.name);
	return 0;
}

/* Returns the id that a bound begins with, which may be short. */
static uint64_t id_of(struct th_slice bound)
{
	const uint8_t *bytes = bound.data;
	uint64_t id = 0;

	for (size_t i = 0; i < 8; i++)
		id = id << 8 | (i < bound.size ? bytes[i] : 0);
	return id;
}

static int add_hole(struct th_inventory *inventory, const struct th_range *range)
{
	struct th_found_hole hole = { id_of(range->from), range->to.data ? id_of(range->to) : TH_ID_MAX };

	return th_append(inventory->holes, inventory->holes_capacity, inventory->holes_count, hole);
}

static int scan(struct th_inventory *inventory, struct th_cursor *cursor)
{
	struct th_cursor_entry entry;
	struct th_range hole;
	int err = 0, next;

	while (!err && (next = th_cursor_next(cursor, &entry)) != 1) {
		if (!next) {
			err = add_key(inventory, &entry);
			continue;
		}
		err = th_cursor_skip(cursor, &hole) ? next : 0;
		if (!err)
			err = add_hole(inventory, &hole);
	}
	return err;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct th_found_inode *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int compare_names(const void *a, const void *b)
{
	const struct th_found_name *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Sorts the names, and leaves one of those that are equal: the one with a type. */
static void sort_names(struct th_inventory *inventory)
{
	struct th_found_name *names = inventory->names;
	size_t count = 0;

	if (!inventory->names_count)
		return;
	qsort(names, inventory->names_count, sizeof(*names), compare_names);
	for (size_t i = 1; i < inventory->names_count; i++) {
		if (compare_names(&names[count], &names[i])) {
			names[++count] = names[i];
			continue;
		}
		if (names[count].type == DT_UNKNOWN)
			names[count].type = names[i].type;
		free(names[i].name);
	}
	inventory->names_count = count + 1;
}

int th_inventory_take(struct th_view *view, struct th_inventory *ret)
{
	struct th_cursor *cursor;
	int err;

	*ret = (struct th_inventory){ 0 };
	err = th_cursor_open(view, NULL, &cursor);
	if (err)
		return err;
	err = scan(ret, cursor);
	th_cursor_close(cursor);
	if (ret->inodes_count)
		qsort(ret->inodes, ret->inodes_count, sizeof(*ret->inodes), compare_inodes);
	sort_names(ret);
	return err;
}

void th_inventory_release(struct th_inventory *inventory)
{
	for (size_t i = 0; i < inventory->inodes_count; i++)
		free(inventory->inodes[i].path);
	for (size_t i = 0; i < inventory->names_count; i++)
		free(inventory->names[i].name);
	free(inventory->inodes);
	free(inventory->names);
	free(inventory->holes);
	*inventory = (struct th_inventory){ 0 };
}

struct th_found_inode *th_inventory_inode(const struct th_inventory *inventory, uint64_t id)
{
	struct th_found_inode key = { .id = id };

	if (!inventory->inodes_count)
		return NULL;
	return bsearch(&key, inventory->inodes, inventory->inodes_count, sizeof(key), compare_inodes);
}

struct th_found_name *th_inventory_names(const struct th_inventory *inventory, uint64_t directory, size_t *ret_count)
{
	size_t from = 0, to = inventory->names_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (inventory->names[middle].parent < directory)
			from = middle + 1;
		else
			to = middle;
	}
	while (to < inventory->names_count && inventory->names[to].parent == directory)
		to++;
	*ret_count = to - from;
	return inventory->names + from;
}

bool th_inventory_in_hole(const struct th_inventory *inventory, uint64_t id)
{
	for (size_t i = 0; i < inventory->holes_count; i++)
		if (id >= inventory->holes[i].from && id <= inventory->holes[i].to)
			return true;
	return false;
}
