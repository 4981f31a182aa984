/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/change_print.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/stat.h>

#include "tools/name_print.h"

/* Returns the inode after the change, or before it if it was removed. */
static const struct th_fs_change_side *present_side(const struct th_fs_change *change)
{
	return change->to.mode ? &change->to : &change->from;
}

/* --- text --- */

/* Returns the letter of zfs diff -F. */
static char type_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFBLK:
		return 'B';
	case S_IFCHR:
		return 'C';
	case S_IFDIR:
		return '/';
	case S_IFIFO:
		return '|';
	case S_IFLNK:
		return '@';
	case S_IFSOCK:
		return '=';
	default:
		return 'F';
	}
}

static void print_path(FILE *stream, const char *path, const struct th_change_style *style)
{
	if (style->raw)
		fputs(path, stream);
	else
		th_name_print(stream, path);
}

/* Prints the change of the link count of a file that exists before and after: "(+1)". */
static void print_links(FILE *stream, const struct th_fs_change *change)
{
	int64_t more = (int64_t)change->to.links - change->from.links;

	if (change->from.mode && change->to.mode && more && !S_ISDIR(change->to.mode))
		fprintf(stream, "\t(%+" PRId64 ")", more);
}

/* Prints a change as one of that kind. */
static void print_as(FILE *stream, const struct th_fs_change *change, enum th_fs_change_kind kind,
		     const struct th_change_style *style)
{
	fprintf(stream, "%c\t", kind);
	if (style->types)
		fprintf(stream, "%c\t", type_letter(present_side(change)->mode));
	if (kind == TH_CHANGE_RENAMED) {
		print_path(stream, change->old_path, style);
		fputs(style->tabs ? "\t" : style->raw ? "" : " -> ", stream);
		if (style->raw)
			putc(0, stream);
	}
	print_path(stream, change->path, style);
	if (!style->raw)
		print_links(stream, change);
	putc(style->raw ? 0 : '\n', stream);
}

/* A renamed inode that has changed otherwise is modified too; the number of its names is part of the first line. */
static void print_text(FILE *stream, const struct th_fs_change *change, const struct th_change_style *style)
{
	print_as(stream, change, change->kind, style);
	if (change->kind == TH_CHANGE_RENAMED && (change->what & ~(unsigned)TH_CHANGED_LINKS))
		print_as(stream, change, TH_CHANGE_MODIFIED, style);
}

/* --- JSON --- */

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFBLK:
		return "block device";
	case S_IFCHR:
		return "character device";
	case S_IFDIR:
		return "directory";
	case S_IFIFO:
		return "fifo";
	case S_IFLNK:
		return "symlink";
	case S_IFSOCK:
		return "socket";
	default:
		return "file";
	}
}

static const char *kind_name(enum th_fs_change_kind kind)
{
	switch (kind) {
	case TH_CHANGE_ADDED:
		return "added";
	case TH_CHANGE_REMOVED:
		return "removed";
	case TH_CHANGE_RENAMED:
		return "renamed";
	case TH_CHANGE_MODIFIED:
		break;
	}
	return "modified";
}

/* Adds a member; without memory *ok becomes false. */
static void add(struct json_object *object, const char *key, struct json_object *value, bool *ok)
{
	if (!value || json_object_object_add(object, key, value)) {
		json_object_put(value);
		*ok = false;
	}
}

static void append(struct json_object *array, struct json_object *value, bool *ok)
{
	if (!value || json_object_array_add(array, value)) {
		json_object_put(value);
		*ok = false;
	}
}

static struct json_object *side_to_json(const struct th_fs_change_side *side, bool *ok)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add(object, "size", json_object_new_uint64(side->size), ok);
	add(object, "mode", json_object_new_uint64(side->mode & ~(uint32_t)S_IFMT), ok);
	add(object, "uid", json_object_new_uint64(side->uid), ok);
	add(object, "gid", json_object_new_uint64(side->gid), ok);
	add(object, "links", json_object_new_uint64(side->links), ok);
	add(object, "mtime", json_object_new_int64(side->mtime_seconds), ok);
	add(object, "mtime_nanoseconds", json_object_new_uint64(side->mtime_nanoseconds), ok);
	return object;
}

static struct json_object *what_to_json(uint32_t what, bool *ok)
{
	static const char *const names[] = {
		"content", "size", "mode", "owner", "mtime", "links", "xattr", "flags", "device",
	};
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; array && i < sizeof(names) / sizeof(names[0]); i++) {
		if (what & (1u << i))
			append(array, json_object_new_string(names[i]), ok);
	}
	return array;
}

static struct json_object *ranges_to_json(const struct th_fs_change *change, bool *ok)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < change->nranges; i++) {
		struct json_object *range = json_object_new_array();

		append(array, range, ok);
		if (!range)
			break;
		append(range, json_object_new_uint64(change->ranges[i].offset), ok);
		append(range, json_object_new_uint64(change->ranges[i].length), ok);
	}
	return array;
}

static int print_json(FILE *stream, const struct th_fs_change *change)
{
	struct json_object *object = json_object_new_object();
	bool ok = object;

	if (!object)
		return -ENOMEM;
	add(object, "kind", json_object_new_string(kind_name(change->kind)), &ok);
	if (th_name_to_json(object, "path", change->path))
		ok = false;
	if (change->old_path && change->kind != TH_CHANGE_ADDED &&
	    th_name_to_json(object, "old_path", change->old_path))
		ok = false;
	add(object, "type", json_object_new_string(type_name(present_side(change)->mode)), &ok);
	add(object, "inode", json_object_new_uint64(change->inode), &ok);
	if (change->replaced)
		add(object, "replaced_inode", json_object_new_uint64(change->replaced), &ok);
	if (change->from.mode)
		add(object, "old", side_to_json(&change->from, &ok), &ok);
	if (change->to.mode)
		add(object, "new", side_to_json(&change->to, &ok), &ok);
	if (change->from.mode && change->to.mode)
		add(object, "changed", what_to_json(change->what, &ok), &ok);
	if (S_ISREG(change->to.mode))
		add(object, "ranges", ranges_to_json(change, &ok), &ok);
	if (change->rough)
		add(object, "ranges_rough", json_object_new_boolean(1), &ok);
	if (ok)
		th_json_print(stream, object, JSON_C_TO_STRING_PLAIN);
	json_object_put(object);
	return ok ? 0 : -ENOMEM;
}

int th_change_print(FILE *stream, const struct th_fs_change *change, const struct th_change_style *style)
{
	if (style->json)
		return print_json(stream, change);
	print_text(stream, change, style);
	return 0;
}
