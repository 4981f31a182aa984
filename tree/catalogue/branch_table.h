/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The branches of a store: a list in memory, and entries of the meta tree.
 *
 * A branch is a line of snapshots and a head.  It begins from a snapshot of another branch, its origin.  One branch is
 * current: its head is the live tree, which the superblock names.  The heads of the others do not change.  A detached
 * branch has neither head nor name, and exists only for its snapshots.
 *
 * A branch does not free blocks that were born up to its origin: they belong to the branches before it.  So each node
 * and each reference to data is owned by exactly one branch, the one in which it was born.
 *
 * A head that is no longer needed is abandoned: its own blocks are freed in small steps (head_reclaim.c).
 *
 * Locks: as for the table of snapshots.
 */
#ifndef TH_TREE_CATALOGUE_BRANCH_TABLE_H
#define TH_TREE_CATALOGUE_BRANCH_TABLE_H

#include "tree/catalogue/snapshot_table.h"

struct th_head {
	struct th_ptr root;
	struct th_node *node; /* the root of the current branch if the store was opened read-only on another one, since
				 it is not on disk; else NULL */
	uint64_t sequence; /* newest message in it */
	struct th_blocklist dead, strays; /* since the branch's newest snapshot: see dead_list.h */
	struct th_view_count views;
	bool abandoned;
};

struct th_branch_record {
	struct th_branch_record *next; /* its id is higher */
	uint64_t id, origin, created_ns; /* origin: id of a snapshot */
	struct th_head *head; /* NULL: the branch is current or detached */
	bool detached;
	char name[TH_BRANCH_NAME_MAX + 1];
};

struct th_abandoned {
	struct th_abandoned *next;
	struct th_head *head;
	uint64_t id;
	uint64_t than; /* generation: blocks that were born later are the head's own */
	struct th_key at; /* all nodes below this key are freed */
	bool durable; /* it has blocks to free, and an entry in the meta tree */
};

struct th_branch_table {
	struct th_branch_record *list; /* by rising ids */
	size_t named; /* branches that are not detached */
	struct th_abandoned *abandoned;
};

/* Loads branches and abandoned heads from the meta tree when a store is opened, before the snapshots.  Returns 0,
 * -EUCLEAN if entries are malformed or contradict each other, or a read error. */
int th_branch_table_load(struct th_store *store);
/* Frees all records. */
void th_branch_table_release(struct th_branch_table *branches);
/* Frees a head and its reference to a node.  NULL is ignored. */
void th_head_free(struct th_head *head);

/* Return the branch with an id; the one with a name, which is not detached; one that begins from a snapshot; or
 * NULL. */
struct th_branch_record *th_branch_table_find(const struct th_branch_table *branches, uint64_t id);
struct th_branch_record *th_branch_table_named(const struct th_branch_table *branches, const char *name);
struct th_branch_record *th_branch_table_from(const struct th_branch_table *branches, uint64_t snapshot);

/* Adds a record, which then belongs to the table. */
void th_branch_table_add(struct th_branch_table *branches, struct th_branch_record *record);
/* Removes a record and frees it. */
void th_branch_table_remove(struct th_branch_table *branches, struct th_branch_record *record);

/* Write or remove the entry in the meta tree, within a checkpoint.  Those of a head that is not durable do nothing.
 * Return 0 or -ENOMEM. */
int th_branch_put(struct th_store *store, const struct th_branch_record *record);
int th_branch_drop(struct th_store *store, const struct th_branch_record *record);
int th_abandoned_put(struct th_store *store, const struct th_abandoned *abandoned);
int th_abandoned_drop(struct th_store *store, const struct th_abandoned *abandoned);

#endif
