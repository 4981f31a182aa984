/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/null_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "fs/fuse/session.h"
#include "fs/inode/inode.h"

void *null_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

static struct timespec now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

/* --- nodes --- */

struct null_node *null_node_new(mode_t mode, uid_t uid, gid_t gid, const char *target)
{
	struct null_node *node = null_alloc(sizeof(*node));
	struct timespec time = now();

	node->attr = (struct stat){
		.st_ino = (uintptr_t)node,
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_uid = uid,
		.st_gid = gid,
		.st_size = target ? (off_t)strlen(target) : 0,
		.st_blksize = 4096,
		.st_atim = time,
		.st_mtim = time,
		.st_ctim = time,
	};
	node->target = target ? strdup(target) : NULL;
	node->cookie = NULL_COOKIE_DOTDOT;
	return node;
}

/* The root is never freed, because it has links. */
void null_node_forget(struct null_node *node, uint64_t lookups)
{
	node->lookups -= lookups;
	if (node->lookups || node->attr.st_nlink)
		return;
	free(node->target);
	free(node);
}

void null_node_resize(struct null_node *node, off_t size)
{
	node->attr.st_size = size;
	node->attr.st_blocks = (size + 511) / 512;
	node->attr.st_mtim = node->attr.st_ctim = now();
}

static void change_times(struct stat *attr, const struct stat *to, int set)
{
	attr->st_ctim = now();
	if (set & FUSE_SET_ATTR_ATIME_NOW)
		attr->st_atim = attr->st_ctim;
	else if (set & FUSE_SET_ATTR_ATIME)
		attr->st_atim = to->st_atim;
	if (set & FUSE_SET_ATTR_MTIME_NOW)
		attr->st_mtim = attr->st_ctim;
	else if (set & FUSE_SET_ATTR_MTIME)
		attr->st_mtim = to->st_mtim;
}

void null_node_change(struct null_node *node, const struct stat *to, int set)
{
	struct stat *attr = &node->attr;

	if (set & FUSE_SET_ATTR_MODE)
		attr->st_mode = (attr->st_mode & S_IFMT) | (to->st_mode & ~(mode_t)S_IFMT);
	if (set & FUSE_SET_ATTR_UID)
		attr->st_uid = to->st_uid;
	if (set & FUSE_SET_ATTR_GID)
		attr->st_gid = to->st_gid;
	if (set & FUSE_SET_ATTR_SIZE)
		null_node_resize(node, to->st_size);
	change_times(attr, to, set);
}

/* --- names --- */

void null_tree_init(struct null_tree *tree)
{
	tree->root = null_node_new(S_IFDIR | 0755, 0, 0, NULL);
	tree->root->parent = tree->root;
	tree->root->attr.st_ino = FUSE_ROOT_ID;
}

static struct null_entry **bucket_of(struct null_tree *tree, const struct null_node *dir, const char *name)
{
	return &tree->buckets[XXH3_64bits_withSeed(name, strlen(name), (uintptr_t)dir) % NULL_BUCKETS];
}

/* Returns the link to the entry in its bucket, which is NULL if there is no such name. */
static struct null_entry **find(struct null_tree *tree, const struct null_node *dir, const char *name)
{
	struct null_entry **at = bucket_of(tree, dir, name);

	while (*at && ((*at)->dir != dir || strcmp((*at)->name, name) != 0))
		at = &(*at)->next_in_bucket;
	return at;
}

struct null_node *null_tree_find(struct null_tree *tree, const struct null_node *dir, const char *name)
{
	const struct null_entry *entry = *find(tree, dir, name);

	return entry ? entry->node : NULL;
}

static void link_in_directory(struct null_node *dir, struct null_entry *entry)
{
	entry->before = dir->last;
	*(dir->last ? &dir->last->after : &dir->first) = entry;
	dir->last = entry;
	dir->attr.st_mtim = dir->attr.st_ctim = now();
}

static void unlink_in_directory(struct null_node *dir, const struct null_entry *entry)
{
	*(entry->before ? &entry->before->after : &dir->first) = entry->after;
	*(entry->after ? &entry->after->before : &dir->last) = entry->before;
	dir->attr.st_mtim = dir->attr.st_ctim = now();
}

void null_tree_add(struct null_tree *tree, struct null_node *dir, const char *name, struct null_node *node)
{
	struct null_entry **bucket = bucket_of(tree, dir, name);
	struct null_entry *entry = null_alloc(sizeof(*entry) + strlen(name) + 1);

	strcpy(entry->name, name);
	entry->dir = dir;
	entry->node = node;
	entry->cookie = ++dir->cookie;
	entry->next_in_bucket = *bucket;
	*bucket = entry;
	link_in_directory(dir, entry);
	if (S_ISDIR(node->attr.st_mode)) {
		node->parent = dir;
		dir->attr.st_nlink++;
	}
}

int null_tree_remove(struct null_tree *tree, struct null_node *dir, const char *name)
{
	struct null_entry **at = find(tree, dir, name), *entry = *at;

	if (!entry)
		return -ENOENT;
	struct null_node *node = entry->node;

	if (node->first)
		return -ENOTEMPTY;
	*at = entry->next_in_bucket;
	unlink_in_directory(dir, entry);
	free(entry);
	if (S_ISDIR(node->attr.st_mode))
		dir->attr.st_nlink--;
	node->attr.st_nlink = 0;
	null_node_forget(node, 0);
	return 0;
}
