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
	int err = errno ? -errno : -EIO;

	fprintf(stderr, "%s %s: %s\n", what, path, strerror(-err));
	return err;
}

uint64_t tree_hash_zeros(void)
{
	static const unsigned char zeros[TREE_BLOCK];

	return XXH3_64bits(zeros, sizeof(zeros));
}

/* --- contents --- */

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

/* Reads until the buffer is full or the file ends. */
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

/* Hashes the blocks of [at, end) that are not all zeros, with their positions.  Both ends are multiples of the block
 * size, or the end of the file. */
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

/* Reads only the data of a file, as one of terabytes consists of holes.  Their exact positions do not matter, because
 * zeros are not hashed. */
static int read_sparse(int fd, struct tree_entry *entry)
{
	XXH3_state_t *state = XXH3_createState();
	unsigned char block[TREE_BLOCK];
	off_t at = 0, end = 0;
	int err = state ? 0 : -ENOMEM;

	if (state)
		XXH3_64bits_reset(state);
	while (!err && (at = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0 || read_stretch(fd, at, end, block, state))
			err = fail("read", entry->path);
	}
	if (!err && errno != ENXIO)
		err = fail("seek", entry->path);
	if (!err)
		entry->content = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return err;
}

static int read_content(const struct tree *tree, int fd, struct tree_entry *entry)
{
	if (entry->stat.st_size > SPARSE_BYTES && !(tree->flags & TREE_BLOCKS))
		return read_sparse(fd, entry);

	unsigned char *buffer = malloc(BUFFER_BYTES);
	XXH3_state_t *state = XXH3_createState();
	ssize_t size = 1;
	int err = buffer && state ? 0 : -ENOMEM;

	if (!err)
		XXH3_64bits_reset(state);
	while (!err && (size = read_full(fd, buffer)) > 0) {
		XXH3_64bits_update(state, buffer, (size_t)size);
		if (tree->flags & TREE_BLOCKS)
			err = add_blocks(entry, buffer, (size_t)size);
	}
	if (!err && size < 0)
		err = fail("read", entry->path);
	if (!err)
		entry->content = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	free(buffer);
	return err;
}

/* Only regular files and directories: opening another kind may block or have an effect. */
static int read_open(const struct tree *tree, const char *path, struct tree_entry *entry)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), flags = 0, err = 0;

	if (fd < 0)
		return fail("open", path);
	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags))
		entry->flags = (unsigned)flags;
	if (tree->flags & TREE_UNCACHED)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (S_ISREG(entry->stat.st_mode))
		err = read_content(tree, fd, entry);
	close(fd);
	return err;
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

static uint64_t xattr_hash(const char *path, const char *name, int *err)
{
	static unsigned char value[XATTR_BYTES];
	ssize_t size = lgetxattr(path, name, value, sizeof(value));

	if (size < 0) {
		*err = fail("getxattr", path);
		return 0;
	}
	return XXH3_64bits_withSeed(value, (size_t)size, XXH3_64bits(name, strlen(name)));
}

/* The hash is a sum, because the order of the list is not a property of the file. */
static int read_xattrs(const char *path, struct tree_entry *entry)
{
	static char list[XATTR_BYTES];
	ssize_t size = llistxattr(path, list, sizeof(list));
	int err = 0;

	if (size < 0)
		return errno == ENOTSUP ? 0 : fail("listxattr", path);
	for (ssize_t at = 0; at < size && !err; at += (ssize_t)strlen(list + at) + 1)
		entry->xattrs += xattr_hash(path, list + at, &err);
	return err;
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
	int err = read_xattrs(path, entry);

	if (!err && (S_ISREG(entry->stat.st_mode) || S_ISDIR(entry->stat.st_mode)))
		err = read_open(tree, path, entry);
	if (!err && S_ISLNK(entry->stat.st_mode))
		err = read_symlink(path, entry);
	return err;
}

static int read_entry(struct tree *tree, const char *root, const char *path, uint64_t parent);

static int read_directory(struct tree *tree, const char *root, const char *path, uint64_t inode)
{
	char *full = NULL, *child = NULL;
	struct dirent *dirent;
	DIR *dir = NULL;
	int err = 0;

	if (asprintf(&full, "%s%s", root, path) < 0)
		return -ENOMEM;
	dir = opendir(full);
	if (!dir)
		err = fail("opendir", full);
	while (!err && (errno = 0, dirent = readdir(dir))) {
		const char *name = dirent->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") || (!path[1] && !strcmp(name, ".snapshots")))
			continue;
		if (asprintf(&child, "%s/%s", path[1] ? path : "", name) < 0)
			err = -ENOMEM;
		else
			err = read_entry(tree, root, child, inode);
	}
	if (!err && errno)
		err = fail("readdir", full);
	if (dir)
		closedir(dir);
	free(full);
	return err;
}

/* Takes ownership of the path. */
/* The inode's id, of the number that fs/inode/inode_number.h describes. */
static uint64_t file_id(uint64_t number)
{
	static const unsigned id_bits[] = { 23, 20, 17, 15 };
	unsigned bits = number > UINT32_MAX ? 40 : number >> 31 ? id_bits[number >> 29 & 3] : 31;

	return number & ((UINT64_C(1) << bits) - 1);
}

static int read_entry(struct tree *tree, const char *root, const char *path, uint64_t parent)
{
	struct tree_entry *entry = add_entry(tree);
	uint64_t inode = 0;
	char *full = NULL;
	bool directory = false;
	int err = 0;

	if (!entry || asprintf(&full, "%s%s", root, path) < 0)
		return -ENOMEM;
	entry->path = (char *)path;
	entry->name = strrchr(path, '/') + 1;
	entry->parent = parent;
	if (lstat(full, &entry->stat)) {
		err = fail("lstat", full);
	} else {
		directory = S_ISDIR(entry->stat.st_mode);
		inode = entry->inode = file_id(entry->stat.st_ino);
	}
	if (!err && !(tree->flags & TREE_NAMES))
		err = read_properties(tree, full, entry);
	free(full);
	if (!err && directory)
		err = read_directory(tree, root, path, inode);
	return err;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct tree_entry *)a)->path, ((const struct tree_entry *)b)->path);
}

int tree_read(const char *root, unsigned flags, struct tree *ret)
{
	char *path = strdup("/");
	int err;

	*ret = (struct tree){ .flags = flags };
	err = path ? read_entry(ret, root, path, 0) : -ENOMEM;
	if (err)
		tree_release(ret);
	else
		qsort(ret->entries, ret->count, sizeof(*ret->entries), compare);
	return err;
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
