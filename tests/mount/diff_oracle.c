/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_oracle OLD NEW: the expected output of `thunderhead diff --json` for two trees, found by walking both and
 * reading every file.  A file is identified by its inode number, whose low bits are the same in a snapshot.
 *
 * The rules are those of fs/format/change_record.h.  Each name that is in one tree only is reported; removed names of a
 * file are paired with its added names, both in the order of (directory, name).  A name in both trees is reported if
 * its file differs.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mount/tree.h"

/* One file in one tree: its entries, sorted by (parent, name) */
struct names {
	struct tree_entry **list;
	size_t count;
};

static int compare_names(const struct tree_entry *a, const struct tree_entry *b)
{
	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare_entries(const void *a, const void *b)
{
	const struct tree_entry *x = *(struct tree_entry *const *)a, *y = *(struct tree_entry *const *)b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return compare_names(x, y);
}

static struct tree_entry **sort_by_inode(struct tree *tree)
{
	struct tree_entry **sorted = calloc(tree->count + 1, sizeof(struct tree_entry *));

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < tree->count; i++)
		sorted[i] = &tree->entries[i];
	qsort(sorted, tree->count, sizeof(*sorted), compare_entries);
	return sorted;
}

/* --- differences of a file --- */

static uint64_t block_hash(const struct tree_entry *entry, size_t block)
{
	static uint64_t zeros;

	if (!zeros)
		zeros = tree_hash_zeros();
	return entry && block < entry->nblocks ? entry->blocks[block] : zeros;
}

static struct json_object *range_json(uint64_t from, uint64_t to)
{
	struct json_object *range = json_object_new_array();

	json_object_array_add(range, json_object_new_uint64(from));
	json_object_array_add(range, json_object_new_uint64(to - from));
	return range;
}

/* Returns the ranges of whole blocks, up to the new end, in which the contents differ.  from: NULL stands for zeros. */
static struct json_object *ranges_json(const struct tree_entry *from, const struct tree_entry *to)
{
	struct json_object *ranges = json_object_new_array();
	uint64_t size = (uint64_t)to->stat.st_size;

	for (size_t block = 0; block < to->nblocks;) {
		size_t end = block;

		while (end < to->nblocks && block_hash(from, end) != block_hash(to, end))
			end++;
		if (end > block) {
			uint64_t until = (uint64_t)end * TREE_BLOCK;

			json_object_array_add(ranges,
					      range_json((uint64_t)block * TREE_BLOCK, until < size ? until : size));
		}
		block = end + 1;
	}
	return ranges;
}

static bool content_differs(const struct tree_entry *from, const struct tree_entry *to)
{
	for (size_t block = 0; block < to->nblocks; block++) {
		if (block_hash(from, block) != block_hash(to, block))
			return true;
	}
	return false;
}

/* Returns NULL if nothing differs. */
static struct json_object *changed_json(const struct tree_entry *from, const struct tree_entry *to)
{
	const struct stat *a = &from->stat, *b = &to->stat;
	const struct {
		bool differs;
		const char *name;
	} parts[] = {
		{ content_differs(from, to), "content" },
		{ a->st_size != b->st_size, "size" },
		{ a->st_mode != b->st_mode, "mode" },
		{ a->st_uid != b->st_uid || a->st_gid != b->st_gid, "owner" },
		{ a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec, "mtime" },
		{ a->st_nlink != b->st_nlink, "links" },
		{ from->xattrs != to->xattrs, "xattr" },
		{ from->flags != to->flags, "flags" },
		{ a->st_rdev != b->st_rdev, "device" },
	};
	struct json_object *changed = NULL;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i].differs)
			continue;
		if (!changed)
			changed = json_object_new_array();
		json_object_array_add(changed, json_object_new_string(parts[i].name));
	}
	return changed;
}

/* --- reporting --- */

static const char *type_name(mode_t mode)
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

static struct json_object *side_json(const struct stat *stat)
{
	struct json_object *side = json_object_new_object();

	json_object_object_add(side, "size", json_object_new_uint64((uint64_t)stat->st_size));
	json_object_object_add(side, "mode", json_object_new_uint64(stat->st_mode & ~(mode_t)S_IFMT));
	json_object_object_add(side, "uid", json_object_new_uint64(stat->st_uid));
	json_object_object_add(side, "gid", json_object_new_uint64(stat->st_gid));
	json_object_object_add(side, "links", json_object_new_uint64(stat->st_nlink));
	json_object_object_add(side, "mtime", json_object_new_int64(stat->st_mtim.tv_sec));
	json_object_object_add(side, "mtime_nanoseconds", json_object_new_uint64((uint64_t)stat->st_mtim.tv_nsec));
	return side;
}

/* from, to: the file in either tree, NULL if it is not there. */
static void report(const char *kind, const char *path, const char *old_path, const struct tree_entry *from,
		   const struct tree_entry *to)
{
	const struct tree_entry *present = to ? to : from;
	struct json_object *change = json_object_new_object(), *changed;

	json_object_object_add(change, "kind", json_object_new_string(kind));
	json_object_object_add(change, "path", json_object_new_string(path));
	if (old_path)
		json_object_object_add(change, "old_path", json_object_new_string(old_path));
	json_object_object_add(change, "type", json_object_new_string(type_name(present->stat.st_mode)));
	json_object_object_add(change, "inode", json_object_new_uint64(present->inode));
	if (from)
		json_object_object_add(change, "old", side_json(&from->stat));
	if (to)
		json_object_object_add(change, "new", side_json(&to->stat));
	if (from && to) {
		changed = changed_json(from, to);
		json_object_object_add(change, "changed", changed ? changed : json_object_new_array());
	}
	if (to && S_ISREG(to->stat.st_mode))
		json_object_object_add(change, "ranges",
				       strcmp(kind, "removed") ? ranges_json(from, to) : json_object_new_array());
	puts(json_object_to_json_string_ext(change, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(change);
}

static void report_kept(const struct tree_entry *from, const struct tree_entry *to)
{
	struct json_object *changed = changed_json(from, to);

	if (changed)
		report("modified", to->path, strcmp(from->path, to->path) ? from->path : NULL, from, to);
	json_object_put(changed);
}

static void report_moved(const struct names *gone, const struct names *come, const struct tree_entry *from,
			 const struct tree_entry *to)
{
	for (size_t i = 0; i < gone->count || i < come->count; i++) {
		if (i >= gone->count)
			report("added", come->list[i]->path, NULL, from, to);
		else if (i >= come->count)
			report("removed", gone->list[i]->path, NULL, from, to);
		else
			report("renamed", come->list[i]->path, gone->list[i]->path, from, to);
	}
}

/* Compares one file, which may have no names in one tree.  Overwrites both lists with the names that are in one tree
 * only. */
static void compare_file(struct names from, struct names to)
{
	const struct tree_entry *was = from.count ? from.list[0] : NULL, *is = to.count ? to.list[0] : NULL;
	struct names gone = { from.list, 0 }, come = { to.list, 0 };
	size_t f = 0, t = 0;

	while (f < from.count || t < to.count) {
		int order = f == from.count ? 1 : t == to.count ? -1 : compare_names(from.list[f], to.list[t]);

		if (!order)
			report_kept(from.list[f], to.list[t]);
		else if (order < 0)
			gone.list[gone.count++] = from.list[f];
		else
			come.list[come.count++] = to.list[t];
		f += order <= 0;
		t += order >= 0;
	}
	report_moved(&gone, &come, was, is);
}

/* Returns the names of file `inode` at the head of the list, none if another file is there. */
static struct names take_names(struct tree_entry **list, uint64_t inode)
{
	struct names names = { list, 0 };

	while (list[names.count] && list[names.count]->inode == inode)
		names.count++;
	return names;
}

static void compare_trees(struct tree_entry **from, struct tree_entry **to)
{
	while (*from || *to) {
		uint64_t inode = !*to || (*from && (*from)->inode < (*to)->inode) ? (*from)->inode : (*to)->inode;
		struct names was = take_names(from, inode), is = take_names(to, inode);

		from += was.count;
		to += is.count;
		compare_file(was, is);
	}
}

int main(int argc, char **argv)
{
	struct tree_entry **from_sorted = NULL, **to_sorted = NULL;
	struct tree from = { 0 }, to = { 0 };
	int status = 1;

	if (argc != 3) {
		fprintf(stderr, "usage: diff_oracle OLD NEW\n");
		return 2;
	}
	if (tree_read(argv[1], TREE_BLOCKS, &from) || tree_read(argv[2], TREE_BLOCKS, &to))
		goto out;
	from_sorted = sort_by_inode(&from);
	to_sorted = sort_by_inode(&to);
	if (!from_sorted || !to_sorted)
		goto out;
	compare_trees(from_sorted, to_sorted);
	status = fflush(stdout) || ferror(stdout) ? 1 : 0;
out:
	free(from_sorted);
	free(to_sorted);
	tree_release(&from);
	tree_release(&to);
	return status;
}
