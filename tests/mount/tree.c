/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mount/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#define BUFFER_BYTES (1u << 20)
#define XATTR_BYTES (1u << 16)
#define SPARSE_BYTES (64 << 20)

static int fail(const char *what, const char *path)
{
	int result = errno ? -errno : -EIO;

	fprintf(stderr, "%s %s: %s\n", what, path, strerror(-result));
	return result;
}

uint64_t tree_hash_zeros(void)
{
	static const unsigned char zeros[TREE_BLOCK];

	return XXH3_64bits(zeros, sizeof(zeros));
}

/* --- what is in a file --- */

static int add_blocks(struct tree_entry *entry, unsigned char *bytes, size_t size)
{
	size_t count = (size + TREE_BLOCK - 1) / TREE_BLOCK;
	uint64_t *blocks = realloc(entry->blocks, (entry->nblocks + count) * sizeof(*blocks));

	if (!blocks)
		return -ENOMEM;
	entry->blocks = blocks;
	memset(bytes + size, 0, count * TREE_BLOCK - size);
	for (size_t i = 0; i < count; i++)
		blocks[entry->nblocks++] = XXH3_64bits(bytes + i * TREE_BLOCK, TREE_BLOCK);
	return 0;
}

/* Fills the buffer, unless the file ends. */
static ssize_t read_full(int fd, unsigned char *buffer)
{
	size_t done = 0;

	while (done < BUFFER_BYTES) {
		ssize_t n = read(fd, buffer + done, BUFFER_BYTES - done);

		if (n < 0)
			return -1;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, size - 1);
}

/* The stretch of data [at, end), which begins and ends with a block or with the file: blocks that hold something, and
 * where they are. */
static int read_stretch(int fd, off_t at, off_t end, unsigned char *block, XXH3_state_t *state)
{
	while (at < end) {
		size_t want = end - at < TREE_BLOCK ? (size_t)(end - at) : TREE_BLOCK;
		ssize_t size = pread(fd, block, want, at);

		if (size <= 0)
			return size < 0 ? -1 : 0;
		if (!is_zero(block, (size_t)size)) {
			XXH3_64bits_update(state, &at, sizeof(at));
			XXH3_64bits_update(state, block, (size_t)size);
		}
		at += size;
	}
	return 0;
}

/* A file of terabytes is one of holes.  Where these are said to be makes no difference: zeros do not count. */
static int read_sparse(int fd, struct tree_entry *entry)
{
	XXH3_state_t *state = XXH3_createState();
	unsigned char block[TREE_BLOCK];
	off_t at = 0, end = 0;
	int result = state ? 0 : -ENOMEM;

	if (state)
		XXH3_64bits_reset(state);
	while (!result && (at = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0 || read_stretch(fd, at, end, block, state))
			result = fail("read", entry->path);
	}
	if (!result && errno != ENXIO)
		result = fail("seek", entry->path);
	if (!result)
		entry->content = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return result;
}

static int read_content(const struct tree *tree, int fd, struct tree_entry *entry)
{
	if (entry->stat.st_size > SPARSE_BYTES && !(tree->flags & TREE_BLOCKS))
		return read_sparse(fd, entry);

	unsigned char *buffer = malloc(BUFFER_BYTES);
	XXH3_state_t *state = XXH3_createState();
	ssize_t size = 1;
	int result = buffer && state ? 0 : -ENOMEM;

	if (!result)
		XXH3_64bits_reset(state);
	while (!result && (size = read_full(fd, buffer)) > 0) {
		XXH3_64bits_update(state, buffer, (size_t)size);
		if (tree->flags & TREE_BLOCKS)
			result = add_blocks(entry, buffer, (size_t)size);
	}
	if (!result && size < 0)
		result = fail("read", entry->path);
	if (!result)
		entry->content = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	free(buffer);
	return result;
}

/* Opening a file of another kind may block, or do something. */
static int read_open(const struct tree *tree, const char *path, struct tree_entry *entry)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), flags = 0, result = 0;

	if (fd < 0)
		return fail("open", path);
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags))
		entry->flags = (unsigned)flags;
	if (tree->flags & TREE_ANEW)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (S_ISREG(entry->stat.st_mode))
		result = read_content(tree, fd, entry);
	close(fd);
	return result;
}

static int read_symlink(const char *path, struct tree_entry *entry)
{
	char target[4096];
	ssize_t size = readlink(path, target, sizeof(target));

	if (size < 0)
		return fail("readlink", path);
	entry->content = XXH3_64bits(target, (size_t)size);
	return 0;
}

/* --- extended attributes --- */

static uint64_t xattr_hash(const char *path, const char *name, int *result)
{
	static unsigned char value[XATTR_BYTES];
	ssize_t size = lgetxattr(path, name, value, sizeof(value));

	if (size < 0) {
		*result = fail("getxattr", path);
		return 0;
	}
	return XXH3_64bits_withSeed(value, (size_t)size, XXH3_64bits(name, strlen(name)));
}

/* The order in which they are listed is no property of the file: so a sum. */
static int read_xattrs(const char *path, struct tree_entry *entry)
{
	static char list[XATTR_BYTES];
	ssize_t size = llistxattr(path, list, sizeof(list));
	int result = 0;

	if (size < 0)
		return errno == ENOTSUP ? 0 : fail("listxattr", path);
	for (ssize_t at = 0; at < size && !result; at += (ssize_t)strlen(list + at) + 1)
		entry->xattrs += xattr_hash(path, list + at, &result);
	return result;
}

/* --- the tree --- */

static struct tree_entry *add_entry(struct tree *tree)
{
	if (tree->count == tree->room) {
		size_t room = tree->room ? 2 * tree->room : 1024;
		struct tree_entry *entries = realloc(tree->entries, room * sizeof(*entries));

		if (!entries)
			return NULL;
		tree->entries = entries;
		tree->room = room;
	}
	memset(&tree->entries[tree->count], 0, sizeof(*tree->entries));
	return &tree->entries[tree->count++];
}

static int read_properties(const struct tree *tree, const char *path, struct tree_entry *entry)
{
	int result = read_xattrs(path, entry);

	if (!result && (S_ISREG(entry->stat.st_mode) || S_ISDIR(entry->stat.st_mode)))
		result = read_open(tree, path, entry);
	if (!result && S_ISLNK(entry->stat.st_mode))
		result = read_symlink(path, entry);
	return result;
}

static int read_entry(struct tree *tree, const char *root, const char *path, uint64_t parent);

static int read_directory(struct tree *tree, const char *root, const char *path, uint64_t inode)
{
	char *full = NULL, *child = NULL;
	struct dirent *dirent;
	DIR *dir = NULL;
	int result = 0;

	if (asprintf(&full, "%s%s", root, path) < 0)
		return -ENOMEM;
	dir = opendir(full);
	if (!dir)
		result = fail("opendir", full);
	while (!result && (errno = 0, dirent = readdir(dir))) {
		const char *name = dirent->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") || (!path[1] && !strcmp(name, ".snapshots")))
			continue;
		if (asprintf(&child, "%s/%s", path[1] ? path : "", name) < 0)
			result = -ENOMEM;
		else
			result = read_entry(tree, root, child, inode);
	}
	if (!result && errno)
		result = fail("readdir", full);
	if (dir)
		closedir(dir);
	free(full);
	return result;
}

/* Takes the path over. */
static int read_entry(struct tree *tree, const char *root, const char *path, uint64_t parent)
{
	struct tree_entry *entry = add_entry(tree);
	uint64_t inode = 0;
	char *full = NULL;
	bool directory = false;
	int result = 0;

	if (!entry || asprintf(&full, "%s%s", root, path) < 0)
		return -ENOMEM;
	entry->path = (char *)path;
	entry->name = strrchr(path, '/') + 1;
	entry->parent = parent;
	if (lstat(full, &entry->stat)) {
		result = fail("lstat", full);
	} else {
		directory = S_ISDIR(entry->stat.st_mode);
		inode = entry->inode = entry->stat.st_ino & TREE_INODE_MASK;
	}
	if (!result && !(tree->flags & TREE_NAMES))
		result = read_properties(tree, full, entry);
	free(full);
	if (!result && directory)
		result = read_directory(tree, root, path, inode);
	return result;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct tree_entry *)a)->path, ((const struct tree_entry *)b)->path);
}

int tree_read(const char *root, unsigned flags, struct tree *ret)
{
	char *path = strdup("/");
	int result;

	*ret = (struct tree){ .flags = flags };
	result = path ? read_entry(ret, root, path, 0) : -ENOMEM;
	if (result)
		tree_release(ret);
	else
		qsort(ret->entries, ret->count, sizeof(*ret->entries), compare);
	return result;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct tree_entry *x = *(const struct tree_entry *const *)a, *y = *(const struct tree_entry *const *)b;

	if (x->stat.st_ino != y->stat.st_ino)
		return x->stat.st_ino < y->stat.st_ino ? -1 : 1;
	return strcmp(x->path, y->path);
}

const struct tree_entry **tree_first_names(const struct tree *tree)
{
	const struct tree_entry **sorted = calloc(tree->count, sizeof(*sorted));
	const struct tree_entry **first = calloc(tree->count, sizeof(*first));

	for (size_t i = 0; sorted && i < tree->count; i++)
		sorted[i] = &tree->entries[i];
	if (sorted)
		qsort(sorted, tree->count, sizeof(*sorted), compare_inodes);
	for (size_t i = 0, begin = 0; sorted && first && i < tree->count; i++) {
		if (sorted[i]->stat.st_ino != sorted[begin]->stat.st_ino)
			begin = i;
		first[sorted[i] - tree->entries] = sorted[begin];
	}
	free(sorted);
	return first;
}

void tree_release(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].path);
		free(tree->entries[i].blocks);
	}
	free(tree->entries);
	*tree = (struct tree){ 0 };
}
