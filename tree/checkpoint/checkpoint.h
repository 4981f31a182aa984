/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: everything merged so far becomes a generation on disk. */
#ifndef TH_TREE_CHECKPOINT_CHECKPOINT_H
#define TH_TREE_CHECKPOINT_CHECKPOINT_H

#include "tree/state/state.h"

/* The commit under way. */
struct th_checkpoint_state {
	uint64_t generation, sequence;
	struct th_ptr live_root; /* a step that changes it sets new_root, too */
	struct th_node *new_root; /* becomes the live tree's, if nothing fails; NULL: it stays */
};
/* What a commit does besides: run after the live tree is written, before the meta tree is. */
typedef int th_checkpoint_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
enum th_checkpoint_flags {
	TH_CHECKPOINT_CLEAN = 1 << 0, /* the last one: there will be no log to replay */
	TH_CHECKPOINT_FORCE = 1 << 1, /* even if nothing changed */
	TH_CHECKPOINT_RELIEVE = 1 << 2, /* only if very much is dirty */
};
/* Writes everything merged so far as a new generation.  Does not call before_checkpoint. */
int th_checkpoint(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags);
/* Has `work` done while nobody else merges or commits and the live tree is settled, that is, all of it is on disk; then
 * commits what it did to the tree, if it returns 0.  Readers go on. */
int th_checkpoint_exclusive(struct th_store *store, int (*work)(struct th_store *store, void *arg), void *arg);
/* Those who merge wait for whoever is between these two, who does not wait for them (th_checkpoint_throttle). */
void th_checkpoint_relief_begin(struct th_store *store);
void th_checkpoint_relief_end(struct th_store *store);
/* Commits until nothing is dirty or waiting to be free, and large values that were replaced are given up: for whoever
 * found no room. */
int th_checkpoint_reclaim(struct th_store *store);

#endif
