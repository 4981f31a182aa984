/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree: a persistent hitchhiker B-tree, one root that changes and any number that do not.
 *
 * Writers bring messages in at the root, and these sink as far as nodes are writable.  An overlay over its budget sends
 * the messages of its heaviest child down; at a leaf they are applied.  Every change goes through th_tree_child_writable,
 * the one gate from shared to writable.
 *
 * A store has two: the live tree, and the meta tree with the snapshot catalogue and the share table.
 *
 * Locks.  `lock` is held shared while nodes that may be transient are walked, exclusively while they are changed.  It
 * is never held while the disk is read: who needs a node that is not in memory gives up with -EAGAIN and a th_need,
 * lets go of the lock, loads the node, and begins anew.
 */
#ifndef TH_TREE_BTREE_TREE_H
#define TH_TREE_BTREE_TREE_H

#include <pthread.h>

#include "tree/chunk.h"
#include "tree/node/cache.h"
#include "tree/node/overlay.h"

/* A node of the previous commits that the changing tree no longer uses. */
struct th_dead_node {
	struct th_node *node; /* where its address was not known yet */
	struct th_run run; /* else */
};

struct th_dead_nodes {
	struct th_dead_node *dead;
	size_t count, capacity;
};

/* The node's reference is taken over on success. */
int th_dead_nodes_add(struct th_dead_nodes *list, const struct th_dead_node *dead);
void th_dead_nodes_release(struct th_dead_nodes *list);

/* A subtree that a range message covered whole: its nodes and large values are given up at the next commit (doomed.c).
 */
struct th_detached {
	struct th_node *node; /* NULL: only its pointer is known */
	struct th_ptr ptr;
	struct th_key fence;
	struct th_detached *next;
};

struct th_tree {
	struct th_cache *cache;
	pthread_rwlock_t lock;
	struct th_node *root;
	uint64_t gen; /* N1 */
	uint64_t checkpoint_gen; /* nodes up to this generation were, or are being, written */
	uint32_t overlay_bytes; /* an overlay above this is flushed */
	size_t dirty_bytes; /* whole blocks that writing the transient nodes takes */
	struct th_drops drops; /* large values given up since the last freeze */
	struct th_dead_nodes dead;
	struct th_detached *doomed;
};

/* A node to be loaded before a walk can go on, and the nodes loaded on its behalf so far (held so that it gets
 * somewhere however small the cache is). */
#define TH_NEED_HELD (2 * TH_HEIGHT_MAX)
struct th_need {
	struct th_ptr ptr;
	struct th_key fence;
	bool relieve; /* an overlay on the way to `key` was left over its budget */
	struct th_key key;
	bool push; /* a wide range message [push_from, push_to) is on its way down */
	struct th_key push_from, push_to;
	struct th_node *held[TH_NEED_HELD];
	unsigned loads;
	struct th_ptr doubted; /* could not be loaded, but the tree may have left it meanwhile */
};

void th_need_init(struct th_need *need);
int th_need_load(struct th_need *need, struct th_cache *cache);
void th_need_release(struct th_need *need);

void th_tree_init(struct th_tree *tree, struct th_cache *cache, uint64_t gen, uint32_t overlay_bytes);
/* An empty root, or that of ptr. */
int th_tree_load(struct th_tree *tree, const struct th_ptr *ptr);
void th_tree_release(struct th_tree *tree);

/* --- walking; the lock is held at least shared, or the root is persistent --- */

/* Child i with a reference, or -EAGAIN and *need. */
int th_tree_child(struct th_cache *cache, struct th_node *node, unsigned i, struct th_node **ret, struct th_need *need);

/* From a root to a leaf, every node held. */
struct th_path {
	unsigned depth; /* nodes on it; the last is the leaf */
	struct th_node *node[TH_HEIGHT_MAX];
	unsigned child[TH_HEIGHT_MAX];
	struct th_key lo, hi; /* the leaf's fences */
	bool open; /* no upper fence */
};

/* To the leaf that has `key`; or with `before` to the one with the greatest keys less than `key` (NULL data: than
 * anything). */
int th_path_descend(struct th_cache *cache, struct th_node *root, struct th_slice key, bool before,
		    struct th_path *path, struct th_need *need);
void th_path_release(struct th_path *path);

/* What keeps a value's bytes alive, told by the low bits of th_value.owner. */
enum th_owner { TH_OWNER_ENTRY, TH_OWNER_PAGE, TH_OWNER_MEMORY };

/* Told of the nodes that a walk comes to. */
typedef void th_node_visit(void *arg, const struct th_node *node);

/* What is known of one key while walking down: newest first. */
struct th_lookup {
	th_node_visit *visit; /* NULL: nobody wants to know */
	void *visit_arg;
	struct th_value value; /* data NULL: none yet */
	const struct th_entry *entry;
	int32_t refs;
	bool done;
};
/* Adds what `node` (its overlay, or its base at a leaf) says of the key. */
void th_lookup_node(struct th_lookup *lookup, const struct th_node *node, struct th_slice key);
/* Where a lookup goes on without a lock: at a settled node, or at one that is known by its pointer. */
struct th_step {
	struct th_node *node; /* the step's; NULL: the pointer counts */
	struct th_ptr ptr;
	struct th_key fence;
	int error; /* -EUCLEAN: the pointer is broken */
};
/* Looks the key up below a root, as far as that takes the lock: through nodes that may change. */
void th_lookup_begin(struct th_lookup *lookup, const struct th_node *root, struct th_slice key, struct th_step *next);
/* The rest: settled nodes, which are loaded where they are not in memory.  Takes next->node over.  0 also if the key is
 * not there. */
int th_lookup_finish(struct th_lookup *lookup, struct th_cache *cache, struct th_slice key, struct th_step *next);
/* Adds what a settled node says of the key.  Unless the lookup is done then, *ret is the child that the key leads to,
 * with a reference; or NULL if it is not in memory: then the step names it.  -EUCLEAN. */
int th_lookup_step(struct th_lookup *lookup, const struct th_node *node, struct th_cache *cache, struct th_slice key,
		   struct th_step *step, struct th_node **ret);
/* What an error of th_lookup_finish means where the tree has changed meanwhile, so that blocks may have been given up
 * and used anew: -EAGAIN, begin anew; or the error, and damage was reported. */
int th_step_failed(struct th_step *step, struct th_cache *cache, int error);
void th_lookup_release(struct th_lookup *lookup);

/* --- changing; the lock is held exclusively --- */

/* Child i, made writable: the only way from shared to writable. -EAGAIN and *need. */
int th_tree_child_writable(struct th_tree *tree, struct th_node *node, unsigned i, struct th_node **ret,
			   struct th_need *need);
/* Brings one heap message (its reference is taken over) into the tree.  After -EAGAIN the message is in, and
 * th_tree_relieve is to be called once the node is loaded. */
int th_tree_insert(struct th_tree *tree, const struct th_entry *message, struct th_need *need);
int th_tree_relieve(struct th_tree *tree, struct th_need *need);

/* Inserts one message from outside any lock, loading what it takes.  Its reference is taken over. */
int th_tree_put(struct th_tree *tree, const struct th_entry *message);
/* Reads one key likewise: -ENOENT. */
int th_tree_get(struct th_tree *tree, struct th_slice key, struct th_value *ret);

/* --- subtrees dropped whole (doomed.c) --- */

/* Puts children [from, to) of a writable node on the tree's list, and one empty subtree between the fences in their
 * place. */
int th_detached_replace(struct th_tree *tree, struct th_node *node, unsigned from, unsigned to, struct th_slice lo,
			struct th_slice hi, uint64_t seq);
/* Reports every persistent node in the subtree, and adds its large values to `values`. */
int th_detached_walk(struct th_cache *cache, const struct th_detached *doomed, struct th_drops *values,
		     int (*dead)(const struct th_run *run, void *arg), void *arg);
void th_detached_free(struct th_detached *list);

/* Ends the generation: the root (a reference is returned) and all below it never change again. */
struct th_node *th_tree_freeze(struct th_tree *tree);

#endif
