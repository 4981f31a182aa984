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
#ifndef TH_TREE_CATALOGUE_HOLD_TABLE_H
#define TH_TREE_CATALOGUE_HOLD_TABLE_H

#include "tree/catalogue/snapshot_table.h"

struct th_hold_record {
	struct th_hold_record *next; /* its id is lower */
	uint64_t id, created_ns;
	char tag[TH_HOLD_TAG_MAX + 1];
};

/* From the meta tree, when a store is opened: after the snapshots are. */
int th_hold_table_load(struct th_store *store);

void th_hold_add(struct th_snapshot_record *record, struct th_hold_record *hold);
struct th_hold_record **th_hold_find(struct th_snapshot_record *record, const char *tag);
struct th_hold_record *th_hold_take(struct th_snapshot_record *record, struct th_hold_record **at);

int th_hold_put(struct th_store *store, uint64_t snapshot, const struct th_hold_record *hold);
int th_hold_drop(struct th_store *store, uint64_t id);

#endif
