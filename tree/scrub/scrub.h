/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrub: reads everything that the store has, so that damage is found while there is another copy of it.
 *
 * It verifies both copies of all nodes and pages of lists, writes the right one over a damaged one, and passes each
 * visible value to the owner of the values, which verifies the data that these name.  It works on the trees of the last
 * checkpoint, a bounded part at a time with checkpoint_lock held: so no block is reused while it is read (roots.h), and
 * no space is kept from reuse between the parts.
 *
 * Each block is read once.  The trees are walked from the oldest snapshot to the live tree, and a subtree that an older
 * one has is skipped: with time, messages above it can only hide more of its values.  A snapshot that is made meanwhile
 * is walked before the live tree goes on.  Nodes that are younger than the begin are passed, not verified.  After a
 * restart the scrub continues where the superblock says, and blocks that several trees share may be read again.
 */
#ifndef TH_TREE_SCRUB_SCRUB_H
#define TH_TREE_SCRUB_SCRUB_H

#include "journal/super.h"
#include "tree/thunderhead.h"

struct th_scrub;

/* Takes a value that is visible in a tree, and verifies the data that it names with th_scrub_run().  tree: its name,
 * for messages.  Called with checkpoint_lock held: it must not write to the store.  Returns 0 or -ENOMEM. */
typedef int th_scrub_value(void *arg, const char *tree, struct th_slice key, struct th_slice value);
/* Takes a block of a run, counted from its first one, that cannot be read or has another checksum (-EBADMSG), and
 * reports it. */
typedef void th_scrub_damaged(void *arg, uint32_t block, int err);

/* Makes a scrub that continues where the last one of this store was, if that is not complete.  Returns 0 or -ENOMEM. */
int th_scrub_new(struct th_store *store, th_scrub_value *value, void *arg, struct th_scrub **ret);
/* NULL is ignored. */
void th_scrub_free(struct th_scrub *scrub);
/* Begins a scrub from the start, for a th_scrub_new() that follows, unless one is to be continued: then only ends its
 * pause. */
void th_scrub_begin(struct th_store *store);
/* Goes on, until at least `bytes` bytes were read.  No lock is held.  Returns 0 if more is left, 1 if it is complete,
 * or
 * -ENOMEM. */
int th_scrub_step(struct th_scrub *scrub, uint64_t bytes);
/* Notes that the scrub is paused, also for the next opening of the store. */
void th_scrub_pause(struct th_store *store);
/* Ends the scrub of a store before it is complete. */
void th_scrub_abandon(struct th_store *store);
/* Sets *ret to how far the scrub of a store is. */
void th_scrub_state(struct th_store *store, struct th_super_scrub *ret);

/* Verifies a run of at most TH_RUN_MAX blocks of data, unless that was done in this scrub.  For th_scrub_value. */
void th_scrub_run(struct th_scrub *scrub, uint64_t addr, uint32_t blocks, const uint64_t *checksums,
		  th_scrub_damaged *damaged, void *arg);

#endif
