/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of snapshots: in memory as a whole, and as entries of the meta tree.
 *
 * Ids and generations rise from one snapshot to the next, so the records are an array in the order of both, searched by
 * halves; names are in a tree of <search.h>.  The lock of all this is the store's snapshot_lock; whoever changes it
 * holds checkpoint_lock too, but for a deletion, which just takes a name away.
 */
#ifndef TH_TREE_CATALOGUE_SNAPSHOT_TABLE_H
#define TH_TREE_CATALOGUE_SNAPSHOT_TABLE_H

#include "journal/space/blocklist.h"
#include "tree/node/entry.h"
#include "tree/node/node.h"
#include "tree/thunderhead.h"

struct th_hold_record;

struct th_snapshot_record {
	struct th_snapshot info;
	struct th_ptr root;
	struct th_blocklist dead, strays; /* of the time between the snapshot before, in its branch, and this one */
	struct th_hold_record *holds; /* hold.h; info.holds of them */
	unsigned views; /* open ones; not on disk */
	_Atomic bool deleting; /* it has no name any more, and is to be freed (reap.c) */
	bool noted; /* its entry says that it is being deleted; checkpoint_lock */
};

struct th_snapshot_table {
	struct th_snapshot_record **record; /* oldest first */
	size_t count, capacity;
	size_t named; /* those not deleted */
	void *by_name;
};

/* From the meta tree, when a store is opened. */
int th_snapshot_table_load(struct th_store *store);
void th_snapshot_table_release(struct th_snapshot_table *catalogue);

/* NULL if there is none.  By name: among those not deleted. */
struct th_snapshot_record *th_snapshot_table_named(const struct th_snapshot_table *catalogue, const char *name);
struct th_snapshot_record *th_snapshot_table_numbered(const struct th_snapshot_table *catalogue, uint64_t id);
/* The newest one of a branch older than number `at`, or the oldest one newer than that; NULL if there is none. */
struct th_snapshot_record *th_snapshot_table_before(const struct th_snapshot_table *catalogue, size_t at,
						    uint64_t branch);
struct th_snapshot_record *th_snapshot_table_after(const struct th_snapshot_table *catalogue, size_t at,
						   uint64_t branch);

/* Returns 0 if the name may be that of a snapshot or a branch, -ENAMETOOLONG, or -EINVAL: it is empty, "." or "..", or has
 * a slash. */
int th_snapshot_check_name(const char *name);

/* Takes the record over, unless it fails. */
int th_snapshot_table_append(struct th_snapshot_table *catalogue, struct th_snapshot_record *record);
/* To a name that is free. */
int th_snapshot_table_rename(struct th_snapshot_table *catalogue, struct th_snapshot_record *record, const char *name);
/* Marks it as being deleted: its name is free. */
void th_snapshot_table_unname(struct th_snapshot_table *catalogue, struct th_snapshot_record *record);
/* Frees record number `at`. */
void th_snapshot_table_remove(struct th_snapshot_table *catalogue, size_t at);

/* Within a commit: the entry in the meta tree. */
int th_snapshot_table_put(struct th_store *store, struct th_snapshot_record *record);
int th_snapshot_table_drop(struct th_store *store, const struct th_snapshot_record *record);

#endif
