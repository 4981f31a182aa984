/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: tags that keep a snapshot from being deleted.
 *
 * In memory each snapshot's record has a list of them.  The locks are those of the record: a change needs
 * checkpoint_lock and, briefly, snapshot_lock.  On disk each is an entry of the meta tree, so that adding one costs one
 * message in the superblock, however many there are.
 *
 * A deletion only removes a snapshot's name, under snapshot_lock, where it sees the holds.  So no checkpoint has both a
 * hold and the record that its snapshot is being deleted (H1).
 */
#ifndef TH_TREE_CATALOGUE_HOLD_TABLE_H
#define TH_TREE_CATALOGUE_HOLD_TABLE_H

#include "tree/catalogue/snapshot_table.h"

struct th_hold_record {
	struct th_hold_record *next; /* its id is lower */
	uint64_t id, created_ns;
	char tag[TH_HOLD_TAG_MAX + 1];
};

/* Loads the holds from the meta tree when a store is opened, after the snapshots.  Returns 0, -EUCLEAN if an entry is
 * malformed, or a read error. */
int th_hold_table_load(struct th_store *store);

/* Adds a hold to a snapshot, to which it then belongs. */
void th_hold_add(struct th_snapshot_record *record, struct th_hold_record *hold);
/* Returns the link to the hold with a tag; *link is NULL if there is none. */
struct th_hold_record **th_hold_find(struct th_snapshot_record *record, const char *tag);
/* Removes the hold at a link from its snapshot and returns it; the caller frees it with free(). */
struct th_hold_record *th_hold_take(struct th_snapshot_record *record, struct th_hold_record **link);

/* Write or remove the entry in the meta tree, within a checkpoint.  Return 0 or -ENOMEM. */
int th_hold_put(struct th_store *store, uint64_t snapshot, const struct th_hold_record *hold);
int th_hold_drop(struct th_store *store, uint64_t id);

#endif
