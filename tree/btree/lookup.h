/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Point lookups: the value and reference count of one key.
 *
 * A lookup descends and collects the messages for its key, newest first, until a message hides everything below or the
 * leaf is reached.  It holds the tree's lock only for the transient nodes at the top (th_lookup_begin).  Persistent
 * nodes never change, so the rest needs no lock and may wait for the disk: th_lookup_finish, or, without blocking,
 * th_lookup_step for each node.
 */
#ifndef TH_TREE_BTREE_LOOKUP_H
#define TH_TREE_BTREE_LOOKUP_H

#include "tree/btree/tree.h"

/* The owner of a value's bytes: the low bits of th_value.owner. */
enum th_owner { TH_OWNER_ENTRY, TH_OWNER_PAGE, TH_OWNER_MEMORY };

/* The state of one lookup.  Zeroed at first; th_lookup_release frees it. */
struct th_lookup {
	th_node_visit *visit; /* called with each node; NULL: not */
	void *visit_arg;
	struct th_value value; /* the newest value; data NULL: none yet */
	const struct th_entry *entry; /* where it is; valid as long as `value` is */
	int32_t refs;
	bool done; /* older messages and records make no difference */
};
/* Adds the entries of `node` for the key: of its overlay, or of its base at a leaf. */
void th_lookup_node(struct th_lookup *lookup, const struct th_node *node, struct th_slice key);

/* Where a lookup continues without a lock: at a persistent node, or at one that is known by its pointer only. */
struct th_step {
	struct th_node *node; /* with a reference that the step owns; NULL: see ptr */
	struct th_ptr ptr;
	struct th_key fence; /* lower fence of the node at ptr */
	int error; /* -EUCLEAN: the pointer is broken */
};
/* Looks the key up in the transient nodes below a root.  The tree's lock is held at least shared. */
void th_lookup_begin(struct th_lookup *lookup, const struct th_node *root, struct th_slice key, struct th_step *next);
/* Completes a lookup in persistent nodes, reading them where necessary.  Takes over next->node.  Returns 0, also if the
 * key does not exist, or a read's error: see th_step_failed.  No lock is held. */
int th_lookup_finish(struct th_lookup *lookup, struct th_cache *cache, struct th_slice key, struct th_step *next);
/* Looks the key up in one persistent node.  Unless lookup->done is set then, *ret is the child to continue with, with a
 * reference for the caller; or NULL if it is not in memory: then *step names it.  Returns 0 or -EUCLEAN. */
int th_lookup_step(struct th_lookup *lookup, const struct th_node *node, struct th_cache *cache, struct th_slice key,
		   struct th_step *step, struct th_node **ret);
/* Decides about an error of th_lookup_finish.  The tree may have changed since th_lookup_begin, so that the blocks were
 * freed and reused: then it returns -EAGAIN, and the lookup is to be retried from the root.  Otherwise it returns the
 * error; damage has been reported. */
int th_step_failed(struct th_step *step, struct th_cache *cache, int error);
void th_lookup_release(struct th_lookup *lookup);

/* Reads one key.  Returns 0 and the value, which the caller releases with th_value_release; -ENOENT; or a read's error.
 * The tree's lock is not held. */
int th_tree_get(struct th_tree *tree, struct th_slice key, struct th_value *ret);

#endif
