/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of a store: a table in memory, and entries of the meta tree.
 *
 * Ids and generations rise from one snapshot to the next, so the records are an array in the order of both, with binary
 * search.  Names are in a tree of <search.h>.
 *
 * Locks: snapshot_lock guards the table.  Changes need checkpoint_lock, too, except a deletion, which only removes a
 * name.
 *
 * A deletion and the end of a view may come while a checkpoint is under way.  Transactions that were committed before
 * them may then be missing in that checkpoint.  So both note the generation in progress (th_tree.gen), which is newer
 * than that of the checkpoint, and checkpoints of older generations leave them to the next one (reclaim.h).
 */
#ifndef TH_TREE_CATALOGUE_SNAPSHOT_TABLE_H
#define TH_TREE_CATALOGUE_SNAPSHOT_TABLE_H

#include "journal/space/blocklist.h"
#include "tree/node/entry.h"
#include "tree/node/node.h"
#include "tree/thunderhead.h"

struct th_hold_record;

/* The views of a snapshot or of a head, which keep it from being reclaimed.  Not on disk; snapshot_lock. */
struct th_view_count {
	unsigned open;
	uint64_t closed; /* generation in progress when the last one was closed; 0: none was */
};

struct th_snapshot_record {
	struct th_snapshot info;
	struct th_ptr root;
	struct th_blocklist dead, strays; /* since the previous snapshot of its branch: see dead_list.h */
	struct th_hold_record *holds; /* hold_table.h; info.holds of them, owned by the record */
	struct th_view_count views;
	uint64_t deleted; /* generation in progress when its name was removed; set before `deleting`, then constant */
	_Atomic bool deleting; /* it has no name any more, and is to be reclaimed (reclaim.h) */
	bool noted; /* its entry records the deletion; checkpoint_lock */
};

struct th_snapshot_table {
	struct th_snapshot_record **record; /* oldest first */
	size_t count, capacity;
	size_t named; /* records that are not being deleted */
	void *by_name;
};

/* Loads the snapshots from the meta tree when a store is opened, after the branches.  Returns 0, -EUCLEAN if entries
 * are malformed or contradict each other, or a read error. */
int th_snapshot_table_load(struct th_store *store);
/* Frees all records. */
void th_snapshot_table_release(struct th_snapshot_table *catalogue);

/* Return the snapshot with a name, which is not being deleted; the one with an id; or NULL. */
struct th_snapshot_record *th_snapshot_table_named(const struct th_snapshot_table *catalogue, const char *name);
struct th_snapshot_record *th_snapshot_table_numbered(const struct th_snapshot_table *catalogue, uint64_t id);
/* Returns the number of the first record with this id or a higher one; `count` if there is none. */
size_t th_snapshot_table_from(const struct th_snapshot_table *catalogue, uint64_t id);
/* Return the newest snapshot of a branch that is older than record number `at`, or the oldest that is newer; or
 * NULL. */
struct th_snapshot_record *th_snapshot_table_before(const struct th_snapshot_table *catalogue, size_t at,
						    uint64_t branch);
struct th_snapshot_record *th_snapshot_table_after(const struct th_snapshot_table *catalogue, size_t at,
						   uint64_t branch);

/* Returns true if a checkpoint of this generation has the deletion of the snapshot. */
bool th_snapshot_table_deleted(const struct th_snapshot_record *record, uint64_t generation);
/* Returns true if a checkpoint of this generation has a snapshot with the name: one that exists, or one that was
 * deleted since the freeze. */
bool th_snapshot_table_taken(const struct th_snapshot_table *catalogue, const char *name, uint64_t generation);

/* Returns 0 if a name is valid for a snapshot or a branch; -ENAMETOOLONG; or -EINVAL if it is empty, "." or "..", or
 * has a slash. */
int th_snapshot_check_name(const char *name);

/* Adds the newest record, which belongs to the table on success.  Returns 0 or -ENOMEM. */
int th_snapshot_table_append(struct th_snapshot_table *catalogue, struct th_snapshot_record *record);
/* Renames a snapshot; the name must be free.  Returns 0 or -ENOMEM. */
int th_snapshot_table_rename(struct th_snapshot_table *catalogue, struct th_snapshot_record *record, const char *name);
/* Marks a snapshot as being deleted, and frees its name.
 *
 * generation: the first one that may have the deletion. */
void th_snapshot_table_unname(struct th_snapshot_table *catalogue, struct th_snapshot_record *record,
			      uint64_t generation);
/* Removes record number `at` and frees it. */
void th_snapshot_table_remove(struct th_snapshot_table *catalogue, size_t at);

/* Write or remove the entry in the meta tree, within a checkpoint.  Return 0 or -ENOMEM. */
int th_snapshot_table_put(struct th_store *store, struct th_snapshot_record *record);
int th_snapshot_table_drop(struct th_store *store, const struct th_snapshot_record *record);

#endif
