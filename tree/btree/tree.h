/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree: a persistent hitchhiker B-tree.  It has one root that changes and any number of frozen ones.
 *
 * Writers insert messages at the root, and these move down as far as nodes are writable.  When an overlay exceeds its
 * budget, the messages for its heaviest child are pushed down; at a leaf they are applied.  Every change goes through
 * th_tree_child_writable, the gate from shared to writable (of the root: th_root_writable).
 *
 * A store has two trees: the live tree, and the meta tree with the snapshot table and the block references.
 *
 * Locks.  `lock` is held shared while transient nodes are walked, and exclusively while they are changed.  It is never
 * held while the disk is read: see need.h.
 *
 * The files, each calling only those before it: need, path, detach, tree, lookup, merge_iter, split_join, push_down,
 * insert.
 */
#ifndef TH_TREE_BTREE_TREE_H
#define TH_TREE_BTREE_TREE_H

#include <pthread.h>

#include "tree/btree/need.h"
#include "tree/node/large_value.h"

/* A node of an earlier generation that the changing tree no longer uses. */
struct th_dead_node {
	struct th_node *node; /* with a reference; NULL: see ptr */
	struct th_ptr ptr; /* the node's blocks, where they are known already */
};

struct th_dead_nodes {
	struct th_dead_node *dead;
	size_t count, capacity;
};

/* Takes over the node's reference on success.  Returns 0 or -ENOMEM. */
int th_dead_nodes_add(struct th_dead_nodes *list, const struct th_dead_node *dead);
/* Adds one run of a node's blocks. */
int th_dead_nodes_add_run(struct th_dead_nodes *list, const struct th_run *run);
void th_dead_nodes_release(struct th_dead_nodes *list);

struct th_detached;

struct th_tree {
	struct th_cache *cache;
	pthread_rwlock_t lock;
	struct th_node *root;
	uint64_t gen; /* N1 */
	uint64_t checkpoint_gen; /* nodes up to this generation are written, or being written */
	uint32_t overlay_bytes; /* budget of an overlay */
	size_t dirty_bytes; /* whole blocks that the transient nodes will take on disk */
	/* S4: work that can wait, such as pushing deletes down, is not begun if it may make more bytes dirty.
	 * SIZE_MAX: no limit. */
	size_t dirty_limit;
	struct th_drops drops; /* large values dropped since the last freeze */
	struct th_dead_nodes dead;
	struct th_detached *detached; /* detach.h */
};

/* Initializes a tree without a root; th_tree_load gives it one. */
void th_tree_init(struct th_tree *tree, struct th_cache *cache, uint64_t gen, uint32_t overlay_bytes);
/* Loads the root that ptr names, or makes an empty leaf if it names none.  Returns 0, -ENOMEM or a read's error. */
int th_tree_load(struct th_tree *tree, const struct th_ptr *ptr);
/* Makes a transient root above the root that ptr names, which cannot be read, for a tree that is only read.  Messages
 * can be put above the damage; each read that has to go below fails with the error of the damaged node.  Returns 0,
 * -ENOMEM, or
 * -EUCLEAN if the tree would be too high. */
int th_tree_load_above(struct th_tree *tree, const struct th_ptr *ptr);
void th_tree_release(struct th_tree *tree);

/* Called with each node that a walk visits. */
typedef void th_node_visit(void *arg, const struct th_node *node);

/* --- space; the lock is held --- */

/* Returns the most bytes of nodes that one push-down makes dirty from a node of the level to a leaf, if no overlay on
 * the way has to push down more than came in: 10 blocks of an interior node with a full overlay and 6 of a leaf, and 2
 * of each for the other piece if it is split. */
static inline size_t th_tree_path_bytes(unsigned level)
{
	return (12u * level + 8u) * TH_BLOCK_SIZE;
}

/* May work that can wait make so many bytes dirty? */
static inline bool th_tree_may_dirty(const struct th_tree *tree, size_t bytes)
{
	return tree->dirty_bytes <= tree->dirty_limit && bytes <= tree->dirty_limit - tree->dirty_bytes;
}

/* --- changing; the lock is held exclusively --- */

/* Returns child i in *ret as a writable node, copying it if it is shared.  The node is the tree's and valid while
 * the lock is held.  Returns 0, -EAGAIN and *need if the child is not in memory, -ENOMEM, or -EUCLEAN if its pointer
 * is broken. */
int th_tree_child_writable(struct th_tree *tree, struct th_node *node, unsigned i, struct th_node **ret,
			   struct th_need *need);
/* The same for the root.  Returns 0 or -ENOMEM. */
int th_root_writable(struct th_tree *tree);

/* Updates dirty_bytes after a transient node has changed: whole blocks that writing it will take.  Admission of
 * transactions relies on this sum. */
void th_tree_account(struct th_tree *tree, struct th_node *node);
/* Subtracts a node that leaves the tree. */
void th_tree_unaccount(struct th_tree *tree, struct th_node *node);
/* Detaches children [from, to) of a writable node, as th_detached_replace(), and updates dirty_bytes: without the
 * transient nodes of the children's subtrees, with those of the empty subtree in their place. */
int th_tree_detach(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
		   struct th_slice hi, uint64_t seq);

/* Returns the generation in progress, without the lock.  A thread that has seen a transaction committed gets a number
 * above that of every checkpoint that does not have the transaction. */
static inline uint64_t th_tree_generation(const struct th_tree *tree)
{
	return __atomic_load_n(&tree->gen, __ATOMIC_RELAXED);
}

/* Ends the generation: the nodes below the present root never change again.  Returns the root, with a reference for the
 * caller. */
struct th_node *th_tree_freeze(struct th_tree *tree);

#endif
