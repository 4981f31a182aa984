/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as programs see it, read into memory for tests to print and compare.  It uses system calls only, so
 * that it works on any filesystem.
 */
#ifndef TH_TESTS_MOUNT_TREE_H
#define TH_TESTS_MOUNT_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TREE_BLOCK 4096

struct tree_entry {
	char *path; /* below the root: "/a/b"; the root is "/" */
	const char *name; /* its last part */
	uint64_t parent; /* inode number of its directory; 0 for the root */
	uint64_t inode; /* the part of its inode number that identifies the file in all snapshots */
	struct stat stat;
	unsigned flags; /* as chattr(1) sets */
	uint64_t xattrs; /* a hash of all names and values; 0: none */
	uint64_t content; /* a hash of the data of a file, or of the target of a symlink */
	uint64_t *blocks; /* a hash of each block, padded with zeros */
	size_t nblocks;
};

enum tree_flags {
	TREE_NAMES = 1 << 0, /* names and stat only */
	TREE_BLOCKS = 1 << 1, /* hashes of blocks too */
	TREE_UNCACHED = 1 << 2, /* files are read from the filesystem, not from the kernel's cache */
};

struct tree {
	struct tree_entry *entries; /* sorted by path */
	size_t count, room;
	unsigned flags;
};

/* Reads everything below `root` except .snapshots.  Returns 0, or -errno after printing the reason to stderr. */
int tree_read(const char *root, unsigned flags, struct tree *ret);
void tree_release(struct tree *tree);
/* Returns for each entry the first name of its file, by path.  The caller frees the array.  NULL if memory is
 * missing. */
const struct tree_entry **tree_first_names(const struct tree *tree);
/* The hash of a block of zeros. */
uint64_t tree_hash_zeros(void);

#endif
