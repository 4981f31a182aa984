/* SPDX-License-Identifier: Apache-2.0 */
/* Names and attributes of the null filesystem, in memory.  Not thread-safe: the caller locks. */
#ifndef TH_TESTS_BENCH_NULL_TREE_H
#define TH_TESTS_BENCH_NULL_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define NULL_BUCKETS (1u << 17) /* as many as the largest phase has entries */

/* An inode. */
struct null_node {
	struct stat attr; /* st_nlink 0: it has lost its last name */
	uint64_t lookups; /* by the kernel, not yet forgotten; without these and links the node is freed */
	char *target; /* of a symbolic link */
	struct null_node *parent; /* of a directory, as are the next three */
	struct null_entry *first, *last; /* in the order of their cookies */
	uint64_t cookie; /* the last one assigned */
};

/* A name in a directory. */
struct null_entry {
	struct null_node *dir, *node;
	struct null_entry *next_in_bucket;
	struct null_entry *before, *after; /* in the directory */
	uint64_t cookie;
	char name[];
};

/* Cookies of a listing; those of entries follow. */
enum { NULL_COOKIE_DOT = 1, NULL_COOKIE_DOTDOT };

struct null_tree {
	struct null_node *root;
	struct null_entry *buckets[NULL_BUCKETS];
};

/* Returns zeroed memory.  Ends the process if there is none. */
void *null_alloc(size_t size);

/* Returns a node without a name.  target: of a symbolic link, else NULL. */
struct null_node *null_node_new(mode_t mode, uid_t uid, gid_t gid, const char *target);
/* Subtracts this number of lookups, and frees the node when it has neither lookups nor links. */
void null_node_forget(struct null_node *node, uint64_t lookups);
void null_node_resize(struct null_node *node, off_t size);
/* Sets the attributes that `set` selects, a mask of FUSE_SET_ATTR_. */
void null_node_change(struct null_node *node, const struct stat *to, int set);

void null_tree_init(struct null_tree *tree);
/* Returns NULL if there is no such name. */
struct null_node *null_tree_find(struct null_tree *tree, const struct null_node *dir, const char *name);
/* Gives a new node its name. */
void null_tree_add(struct null_tree *tree, struct null_node *dir, const char *name, struct null_node *node);
/* Returns 0 or -errno.  The kernel has checked whether the name is of a directory where the call needs one. */
int null_tree_remove(struct null_tree *tree, struct null_node *dir, const char *name);

#endif
