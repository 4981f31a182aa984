/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fs/picture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fs/attr/xattr.h"
#include "fs/data/file.h"
#include "fs/dir/dir.h"
#include "fs/dir/namei.h"

struct walk {
	struct th_fs *fs;
	struct th_entered_snapshot *snapshot;
	struct th_picture *picture;
	const char *path; /* of the directory that is walked */
	uint64_t directory;
};

static void read_content(struct th_inode *inode, struct th_picture_name *name)
{
	struct th_file_data data;

	name->content = calloc(1, name->attr.size + 1);
	while (name->size < name->attr.size) {
		ck_assert_int_eq(th_file_read(inode, name->size, name->attr.size - name->size, &data), 0);
		ck_assert_uint_gt(data.size, 0);
		memcpy(name->content + name->size, data.data, data.size);
		name->size += data.size;
		th_file_data_release(&data);
	}
}

static uint64_t hash_xattrs(struct th_inode *inode)
{
	char *list = NULL;
	size_t size = 0;
	uint64_t hash = 0;

	ck_assert_int_eq(th_xattr_list(inode, true, &list, &size), 0);
	for (size_t at = 0; at < size; at += strlen(list + at) + 1) {
		struct th_value value;

		ck_assert_int_eq(th_xattr_get(inode, list + at, &value), 0);
		hash += XXH3_64bits_withSeed(value.data, value.size, XXH3_64bits(list + at, strlen(list + at)));
		th_value_release(&value);
	}
	free(list);
	return hash;
}

static void walk_directory(struct walk *walk, struct th_inode *inode, const char *path);

static void add(struct walk *walk, uint64_t id, char *path)
{
	struct th_picture *picture = walk->picture;
	struct th_picture_name *name;
	struct th_inode *inode;

	ck_assert_int_eq(th_inode_get(walk->fs, walk->snapshot, id, &inode), 0);
	picture->names = realloc(picture->names, (picture->count + 1) * sizeof(*picture->names));
	name = &picture->names[picture->count++];
	*name = (struct th_picture_name){ .path = path, .parent = walk->directory, .id = id, .attr = inode->attr };
	name->attr.name = NULL;
	name->xattrs = hash_xattrs(inode);
	if (S_ISREG(inode->attr.mode))
		read_content(inode, name);
	if (S_ISLNK(inode->attr.mode)) {
		name->content = calloc(1, TH_SYMLINK_MAX + 1);
		ck_assert_int_eq(th_symlink_read(inode, (char *)name->content), 0);
		name->size = strlen((char *)name->content);
	}
	if (S_ISDIR(inode->attr.mode))
		walk_directory(walk, inode, path);
	th_inode_put(inode);
}

static int each(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct walk *walk = arg;
	char *path;

	(void)next;
	ck_assert_int_ge(
		asprintf(&path, "%s/%.*s", walk->path[1] ? walk->path : "", (int)name.size, (const char *)name.data),
		0);
	add(walk, entry->id, path);
	return 0;
}

static void walk_directory(struct walk *walk, struct th_inode *inode, const char *path)
{
	struct walk below = *walk;

	below.path = path;
	below.directory = inode->id;
	ck_assert_int_eq(th_dir_walk(inode, TH_DIR_COOKIE_MAX, each, &below), 0);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct th_picture_name *)a)->path, ((const struct th_picture_name *)b)->path);
}

struct th_picture th_picture_take(struct th_fs *fs, const char *snapshot)
{
	struct th_picture picture = { 0 };
	struct walk walk = { .fs = fs, .picture = &picture };
	struct th_snapshot found;

	if (snapshot) {
		ck_assert_int_eq(th_snapshot_find(fs->store, snapshot, &found), 0);
		ck_assert_int_eq(th_entered_snapshot_get(fs, found.id, &walk.snapshot), 0);
	}
	add(&walk, TH_ROOT_ID, strdup("/"));
	if (snapshot)
		th_entered_snapshot_put(fs, walk.snapshot);
	qsort(picture.names, picture.count, sizeof(*picture.names), compare);
	return picture;
}

void th_picture_release(struct th_picture *picture)
{
	for (size_t i = 0; i < picture->count; i++) {
		free(picture->names[i].path);
		free(picture->names[i].content);
	}
	free(picture->names);
	*picture = (struct th_picture){ 0 };
}

const struct th_picture_name *th_picture_find(const struct th_picture *picture, const char *path)
{
	struct th_picture_name key = { .path = (char *)path };

	return bsearch(&key, picture->names, picture->count, sizeof(key), compare);
}

static bool same_time(struct th_time a, struct th_time b)
{
	return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
}

/* Returns what differs, or NULL. */
static const char *compare_names(const struct th_picture_name *a, const struct th_picture_name *b)
{
	const struct th_attr *x = &a->attr, *y = &b->attr;

	if (strcmp(a->path, b->path) || a->id != b->id)
		return "name";
	if (x->mode != y->mode || x->uid != y->uid || x->gid != y->gid || x->flags != y->flags || x->rdev != y->rdev)
		return "mode or owner";
	if (x->size != y->size || x->nlink != y->nlink)
		return x->size != y->size ? "size" : "number of links";
	if (!same_time(x->mtime, y->mtime) || !same_time(x->ctime, y->ctime) || !same_time(x->btime, y->btime))
		return "time";
	if (a->xattrs != b->xattrs)
		return "extended attributes";
	return a->size == b->size && (!a->size || !memcmp(a->content, b->content, a->size)) ? NULL : "content";
}

const char *th_picture_compare(const struct th_picture *a, const struct th_picture *b, const char **ret_what)
{
	size_t count = a->count > b->count ? a->count : b->count;

	for (size_t i = 0; i < count; i++) {
		*ret_what = i < a->count && i < b->count ? compare_names(&a->names[i], &b->names[i]) : "name";
		if (*ret_what)
			return i < a->count ? a->names[i].path : b->names[i].path;
	}
	return NULL;
}
