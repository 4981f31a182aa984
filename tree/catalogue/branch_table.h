/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The branches of a store: in memory, and as entries of the meta tree.
 *
 * A branch is a line of snapshots and a head, which begins from a snapshot of another branch, its origin.  One branch
 * is current: its head is the live tree, and is named by the superblock.  The heads of the others do not change.  A
 * branch may have lost its head and its name, and lives on for the snapshots that it has.
 *
 * What was born no later than the origin is not the branch's to free: it belongs to the branches before.  So, of every
 * node and every reference to data, exactly one branch is the owner, the one that it was born in.
 *
 * A head that nobody wants any more is abandoned: what it alone had is freed in small steps (abandoned.c).
 *
 * Locks are as with the catalogue of snapshots.
 */
#ifndef TH_TREE_CATALOGUE_BRANCH_TABLE_H
#define TH_TREE_CATALOGUE_BRANCH_TABLE_H

#include "tree/catalogue/snapshot_table.h"

struct th_head {
	struct th_ptr root;
	struct th_node *node; /* the root, where it is not on disk: that of the current branch, in a store opened
				 read-only on another one; else NULL */
	uint64_t sequence; /* newest message in it */
	struct th_blocklist dead, strays; /* since the branch's newest snapshot: see dead.c */
	unsigned views; /* open ones; not on disk */
	bool abandoned;
};

struct th_branch_record {
	struct th_branch_record *next; /* its id is higher */
	uint64_t id, origin, created_ns;
	struct th_head *head; /* NULL: the branch is the superblock's, or detached */
	bool detached;
	char name[TH_BRANCH_NAME_MAX + 1];
};

struct th_abandoned {
	struct th_abandoned *next;
	struct th_head *head;
	uint64_t id;
	uint64_t than; /* what was born later is the head's own */
	struct th_key at; /* all of it below this key is free */
	bool durable; /* it has something to free, and an entry in the meta tree */
};

struct th_branch_table {
	struct th_branch_record *list; /* by rising ids */
	size_t named;
	struct th_abandoned *abandoned;
};

/* From the meta tree, when a store is opened: before the snapshots are. */
int th_branch_table_load(struct th_store *store);
void th_branch_table_release(struct th_branch_table *branches);
void th_head_free(struct th_head *head);

/* NULL if there is none.  By name: among those not detached. */
struct th_branch_record *th_branch_table_find(const struct th_branch_table *branches, uint64_t id);
struct th_branch_record *th_branch_table_named(const struct th_branch_table *branches, const char *name);
/* A branch that begins from the snapshot, or NULL. */
struct th_branch_record *th_branch_table_from(const struct th_branch_table *branches, uint64_t snapshot);

/* Takes the record over. */
void th_branch_table_add(struct th_branch_table *branches, struct th_branch_record *record);
void th_branch_table_remove(struct th_branch_table *branches, struct th_branch_record *record);

/* Within a commit: the entry in the meta tree. */
int th_branch_put(struct th_store *store, const struct th_branch_record *record);
int th_branch_drop(struct th_store *store, const struct th_branch_record *record);
int th_abandoned_put(struct th_store *store, const struct th_abandoned *abandoned);
int th_abandoned_drop(struct th_store *store, const struct th_abandoned *abandoned);

#endif
