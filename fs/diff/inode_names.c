/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/inode_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/array.h"

static int add(struct th_inode_names *names, uint64_t parent, const char *name, size_t size)
{
	char *copy;

	if (th_grow(names->list, names->capacity, names->count + 1))
		return -ENOMEM;
	copy = strndup(name, size);
	if (!copy)
		return -ENOMEM;
	names->list[names->count++] = (struct th_inode_name){ parent, copy };
	return 0;
}

static int add_links(struct th_inode_names *names, struct th_view *view, uint64_t id)
{
	struct th_fs_key prefix = th_fs_key_kind(id, TH_FS_KEY_LINK);
	uint8_t bound[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), bound);
	struct th_cursor *cursor;
	struct th_cursor_entry entry;
	struct th_fs_key_parts parts;
	int err = th_cursor_open(view, &range, &cursor);

	if (err)
		return err;
	while (!(err = th_cursor_next(cursor, &entry))) {
		err = th_fs_key_parse(entry.key, &parts);
		if (!err)
			err = add(names, parts.number, parts.name.data, parts.name.size);
		if (err)
			break;
	}
	th_cursor_close(cursor);
	return err < 0 ? err : 0;
}

int th_inode_name_compare(const struct th_inode_name *a, const struct th_inode_name *b)
{
	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare(const void *a, const void *b)
{
	return th_inode_name_compare(a, b);
}

int th_inode_names_read(struct th_view *view, uint64_t id, const struct th_attr *attr, int32_t refs,
			struct th_inode_names *ret)
{
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	if (attr->parent || id == TH_ROOT_ID)
		err = add(ret, attr->parent, attr->name, attr->name_size);
	if (!err && refs > 1)
		err = add_links(ret, view, id);
	if (!err && ret->count > 1)
		qsort(ret->list, ret->count, sizeof(*ret->list), compare);
	return err;
}

void th_inode_names_release(struct th_inode_names *names)
{
	while (names->count)
		free(names->list[--names->count].name);
	free(names->list);
	memset(names, 0, sizeof(*names));
}
