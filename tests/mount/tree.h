/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as a program sees it, read name by name into memory, for tests to print and compare.  It goes
 * through the system's calls only and knows nothing of the filesystem below.
 */
#ifndef TH_TESTS_MOUNT_TREE_H
#define TH_TESTS_MOUNT_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TREE_BLOCK 4096
/* In a snapshot the high bits of an inode number name the snapshot; these are the file's own. */
#define TREE_INODE_MASK ((UINT64_C(1) << 40) - 1)

struct tree_entry {
	char *path; /* from the root that was read: "/a/b"; the root is "/" */
	const char *name; /* its last part */
	uint64_t parent; /* inode number of the directory it is in; of the root 0 */
	uint64_t inode; /* masked */
	struct stat stat;
	unsigned flags; /* as chattr(1) sets */
	uint64_t xattrs; /* a hash of all names and values; 0: none */
	uint64_t content; /* a hash of what the file holds, or of where the symlink leads */
	uint64_t *blocks; /* a hash of each block, padded with zeros */
	size_t nblocks;
};

enum tree_flags {
	TREE_NAMES = 1 << 0, /* names and stat only */
	TREE_BLOCKS = 1 << 1, /* hashes of blocks too */
	TREE_ANEW = 1 << 2, /* files are read from the filesystem, not from what the kernel has kept of them */
};

struct tree {
	struct tree_entry *entries; /* sorted by path */
	size_t count, room;
	unsigned flags;
};

/* Reads everything below `root` but the .snapshots in it.  0, or -errno after saying on stderr what failed. */
int tree_read(const char *root, unsigned flags, struct tree *ret);
void tree_release(struct tree *tree);
/* For each entry the first, by path, of the names that its file has; the caller frees the array.  NULL without memory.
 */
const struct tree_entry **tree_first_names(const struct tree *tree);
/* The hash of a block of zeros. */
uint64_t tree_hash_zeros(void);

#endif
