/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: tags that keep a snapshot from being deleted.
 *
 * In memory they are lists at the records of the catalogue, guarded as those are: whoever changes a list holds
 * checkpoint_lock and, briefly, snapshot_lock.  On disk each is an entry of the meta tree, so that putting one costs a
 * message in the superblock, however many there are.
 *
 * A deletion just takes a snapshot's name away, under snapshot_lock, where it sees the holds.  So no commit has both a
 * hold and the note that its snapshot is being deleted (H1).
 */
#ifndef TH_TREE_SNAPSHOT_HOLD_H
#define TH_TREE_SNAPSHOT_HOLD_H

#include "tree/catalogue/snapshot_table.h"

struct th_hold_record {
	struct th_hold_record *next; /* its id is lower */
	uint64_t id, created_ns;
	char tag[TH_HOLD_TAG_MAX + 1];
};

/* From the meta tree, when a store is opened: after the snapshots are. */
int th_holds_load(struct th_store *store);
/* Frees the list. */
void th_holds_release(struct th_snapshot_record *record);

#endif
