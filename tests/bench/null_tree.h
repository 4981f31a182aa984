/* SPDX-License-Identifier: Apache-2.0 */
/* What the null filesystem keeps: names and attributes, in memory.  The caller locks it. */
#ifndef TH_TESTS_BENCH_NULL_TREE_H
#define TH_TESTS_BENCH_NULL_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define NULL_BUCKETS (1u << 17) /* no fewer than the entries of a phase */

/* An inode. */
struct null_node {
	struct stat attr; /* no links: it has no name any more */
	uint64_t lookups; /* by the kernel, not forgotten yet; with neither these nor links it goes */
	char *target; /* a symbolic link's */
	struct null_node *parent; /* a directory's, and so below */
	struct null_entry *first, *last; /* in the order of their cookies */
	uint64_t cookie; /* the last one given out */
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

/* Zeroed; without memory the process ends. */
void *null_alloc(size_t size);

/* A node without a name.  target: a symbolic link's, else NULL. */
struct null_node *null_node_new(mode_t mode, uid_t uid, gid_t gid, const char *target);
/* The kernel has forgotten that many lookups. */
void null_node_forget(struct null_node *node, uint64_t lookups);
void null_node_resize(struct null_node *node, off_t size);
/* As setattr asks: set is of FUSE_SET_ATTR_. */
void null_node_change(struct null_node *node, const struct stat *to, int set);

void null_tree_init(struct null_tree *tree);
/* NULL if there is no such name. */
struct null_node *null_tree_find(struct null_tree *tree, const struct null_node *dir, const char *name);
/* Gives a new node its name. */
void null_tree_add(struct null_tree *tree, struct null_node *dir, const char *name, struct null_node *node);
/* 0 or -errno.  The kernel has seen to it that a directory is where one is asked for. */
int null_tree_remove(struct null_tree *tree, struct null_node *dir, const char *name);

#endif
