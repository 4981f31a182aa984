/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: all committed transactions become a generation on disk.
 *
 * Operations that change the catalogue (snapshots, branches, holds, rollback) are steps of a checkpoint: the superblock
 * makes tree and catalogue durable together.
 */
#ifndef TH_TREE_CHECKPOINT_CHECKPOINT_H
#define TH_TREE_CHECKPOINT_CHECKPOINT_H

#include "tree/state/state.h"

/* The checkpoint under way, as its step sees it. */
struct th_checkpoint_state {
	uint64_t generation, sequence; /* of the frozen tree */
	struct th_ptr live_root; /* where it is on disk; a step that changes it sets new_root, too */
	struct th_node *new_root; /* becomes the root of the live tree if the checkpoint succeeds; NULL: no change */
};

/* An operation that a checkpoint does after it has written the live tree and before it writes the meta tree.  The nodes
 * below live_root can be read: a step may enter it in the catalogue, where other threads find it at once.
 * checkpoint_lock is held.  Returns 0 or an error, after which the store refuses writes.  A step that only refuses its
 * request returns 0 and passes the error to its caller in arg. */
typedef int th_checkpoint_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);

/* An operation that changes the live tree while no other thread does: th_checkpoint_exclusive(). */
typedef int th_exclusive_work(struct th_store *store, void *arg);

enum th_checkpoint_flags {
	TH_CHECKPOINT_CLEAN = 1 << 0, /* the last one before the store is closed: there is no log to replay */
	TH_CHECKPOINT_FORCE = 1 << 1, /* even if nothing has changed */
	TH_CHECKPOINT_RELIEVE = 1 << 2, /* only if dirty_hard bytes are dirty */
	/* Freezes the tree as it is, without quiescing the callers: for a thread that may hold locks of theirs.
	 * Changes that they buffer may then be missing beside later ones. */
	TH_CHECKPOINT_AS_IS = 1 << 3,
	TH_CHECKPOINT_STRICT = 1 << 4, /* not if quiescing failed */
};

/* Writes all committed transactions as a new generation, and runs the step (NULL: reclaims space, reclaim.h).  Waits
 * for the disk even in a non-blocking section.
 *
 * Returns 0, -EROFS, the error of quiesce with TH_CHECKPOINT_STRICT, or the error after which the store refuses writes.
 * No lock may be held; with TH_CHECKPOINT_AS_IS, none of the store. */
int th_checkpoint(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags);

/* Calls `work` while no other thread commits or checkpoints and the whole live tree is on disk, and then checkpoints
 * its changes to the tree if it returned 0.  Readers go on.
 *
 * Returns 0, the error of work, or as th_checkpoint(). */
int th_checkpoint_exclusive(struct th_store *store, th_exclusive_work *work, void *arg);

/* Checkpoints, as they are, until much space is free, or nothing is dirty, waiting to be free, or reclaimable, no
 * delete waits, and large values that messages replace are freed.  For callers that got -ENOSPC (th_store.make_room).
 * Ends early when `blocks` are available to users, or cannot be; UINT64_MAX: as many as possible.  Returns 0 or as
 * th_checkpoint(). */
int th_checkpoint_reclaim(struct th_store *store, uint64_t blocks);

/* If more deletes wait than N6 allows, pushes them all down, and checkpoints.  That happens after merges that left work
 * undone because space was short.  Returns 0 or as th_checkpoint(). */
int th_checkpoint_push_deletes(struct th_store *store);

/* Encloses a thread that checkpoints, or is about to.  In between, threads that have to wait for dirty nodes to be
 * written (th_checkpoint_throttle()) wait for this thread instead of checkpointing themselves. */
void th_checkpoint_relief_begin(struct th_store *store);
void th_checkpoint_relief_end(struct th_store *store);

#endif
