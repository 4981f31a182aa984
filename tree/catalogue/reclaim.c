/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/reclaim.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/catalogue/dead_list.h"
#include "tree/catalogue/head_reclaim.h"
#include "tree/catalogue/lineage.h"
#include "tree/state/state.h"

#define TH_RECLAIM_SNAPSHOT 64 /* entries of the budget that one snapshot costs, for its changes of the meta tree */

/* --- snapshots --- */

/* Returns true if a checkpoint of this generation may reclaim the snapshot (C1).  snapshot_lock is held. */
static bool reclaimable(struct th_store *store, const struct th_snapshot_record *record, uint64_t generation)
{
	return th_snapshot_table_deleted(record, generation) && record->views.open == 0 &&
	       record->views.closed <= generation && !th_branch_table_from(&store->branches, record->info.id);
}

/* Abandons the last snapshot of a detached branch, which takes the place of the head. */
static int abandon_last(struct th_store *store, const struct th_snapshot_record *record, uint64_t before)
{
	struct th_head *head = calloc(1, sizeof(*head));

	if (!head)
		return -ENOMEM;
	head->root = record->root;
	head->sequence = record->info.sequence;
	head->dead = record->dead;
	head->strays = record->strays;
	return th_head_abandon(store, head, before);
}

static int join_lists(struct th_store *store, struct th_snapshot_record *record, struct th_blocklist *dead,
		      struct th_blocklist *strays)
{
	int err = th_blocklist_join(dead, store->disk, store->space, &record->dead);

	atomic_store(&store->lists_due, true);
	return err ? err : th_blocklist_join(strays, store->disk, store->space, &record->strays);
}

/* Joins a deleted snapshot's lists to those of its successor: a snapshot, or the head. */
static int join_to_successor(struct th_store *store, size_t at, struct th_branch_record *branch)
{
	struct th_snapshot_record *record = store->catalogue.record[at];
	struct th_snapshot_record *after = th_snapshot_table_after(&store->catalogue, at, branch->id);
	int err;

	if (after) {
		err = join_lists(store, record, &after->dead, &after->strays);
		return err ? err : th_snapshot_table_put(store, after);
	}
	if (branch->detached)
		return abandon_last(store, record, th_lineage_before(store, at, branch));
	if (!branch->head)
		return join_lists(store, record, &store->super.dead, &store->super.strays);
	err = join_lists(store, record, &branch->head->dead, &branch->head->strays);
	return err ? err : th_branch_put(store, branch);
}

int th_reclaim_empty_branch(struct th_store *store, uint64_t id, bool *ret_removed)
{
	struct th_branch_record *branch = th_branch_table_find(&store->branches, id);
	int err;

	*ret_removed = branch->detached && !th_lineage_newest(store, id);
	if (!*ret_removed)
		return 0;
	err = th_branch_drop(store, branch);
	pthread_mutex_lock(&store->snapshot_lock);
	th_branch_table_remove(&store->branches, branch);
	pthread_mutex_unlock(&store->snapshot_lock);
	return err;
}

/* Removes a deleted snapshot from the catalogue. */
static int reclaim_snapshot(struct th_store *store, size_t at, bool *branch_removed)
{
	uint64_t branch = store->catalogue.record[at]->info.branch;
	int err = join_to_successor(store, at, th_branch_table_find(&store->branches, branch));

	if (!err)
		err = th_snapshot_table_drop(store, store->catalogue.record[at]);
	if (err)
		return err;
	pthread_mutex_lock(&store->snapshot_lock);
	th_snapshot_table_remove(&store->catalogue, at);
	pthread_mutex_unlock(&store->snapshot_lock);
	return th_reclaim_empty_branch(store, branch, branch_removed);
}

/* Removes deleted snapshots that no view and no branch needs.  Only the holder of checkpoint_lock removes records. */
static int reclaim_snapshots(struct th_store *store, size_t *budget)
{
	size_t at = 0;
	int err = 0;

	while (!err && *budget > 0 && at < store->catalogue.count) {
		bool branch_removed, found;

		pthread_mutex_lock(&store->snapshot_lock);
		found = reclaimable(store, store->catalogue.record[at], store->live.checkpoint_gen);
		pthread_mutex_unlock(&store->snapshot_lock);
		if (!found) {
			at++;
			continue;
		}
		err = reclaim_snapshot(store, at, &branch_removed);
		if (!err && branch_removed)
			at = 0; /* it may have been the last one that needed its origin */
		*budget -= TH_RECLAIM_SNAPSHOT < *budget ? TH_RECLAIM_SNAPSHOT : *budget;
	}
	return err;
}

/* --- reclaimable entries of dead lists --- */

static int free_entry(const struct th_blockrun *run, void *arg)
{
	th_dead_leaves_list(arg, run);
	return th_dead_free(arg, run);
}

/* A stray that is younger than the snapshot before is no stray any more. */
static int forget_stray(const struct th_blockrun *run, void *arg)
{
	(void)run;
	(void)arg;
	return 0;
}

/* Frees the reclaimable entries of the lists of a stretch between snapshots: those born after generation `than`.
 * Entries beyond a damaged page stay lost. */
static int reclaim_lists(struct th_store *store, struct th_blocklist *dead, struct th_blocklist *strays, uint64_t than,
			 size_t *budget)
{
	int err = th_blocklist_filter(dead, store->disk, store->space, than, budget, free_entry, store);

	if (!err)
		err = th_blocklist_filter(strays, store->disk, store->space, than, budget, forget_stray, NULL);
	return err;
}

static bool has_reclaimable(const struct th_blocklist *dead, const struct th_blocklist *strays, uint64_t than)
{
	return dead->max_birth > than || strays->max_birth > than;
}

static int clean_snapshot(struct th_store *store, size_t at, size_t *budget)
{
	struct th_snapshot_record *record = store->catalogue.record[at];
	uint64_t than = th_lineage_before(store, at, th_branch_table_find(&store->branches, record->info.branch));
	int err;

	if (!has_reclaimable(&record->dead, &record->strays, than))
		return 0;
	err = reclaim_lists(store, &record->dead, &record->strays, than, budget);
	return err ? err : th_snapshot_table_put(store, record);
}

static int clean_branch(struct th_store *store, struct th_branch_record *branch, size_t *budget)
{
	uint64_t than = th_lineage_before(store, store->catalogue.count, branch);
	int err;

	if (branch->id == store->branch)
		return reclaim_lists(store, &store->super.dead, &store->super.strays, than, budget);
	if (!branch->head || !has_reclaimable(&branch->head->dead, &branch->head->strays, than))
		return 0;
	err = reclaim_lists(store, &branch->head->dead, &branch->head->strays, than, budget);
	return err ? err : th_branch_put(store, branch);
}

static int clean_lists(struct th_store *store, size_t *budget)
{
	int err = 0;

	for (size_t i = 0; i < store->catalogue.count && !err && *budget > 0; i++)
		err = clean_snapshot(store, i, budget);
	for (struct th_branch_record *branch = store->branches.list; branch && !err && *budget > 0;
	     branch = branch->next)
		err = clean_branch(store, branch, budget);
	if (*budget > 0)
		atomic_store(&store->lists_due, false);
	return err;
}

/* --- in checkpoints --- */

int th_reclaim_step(struct th_store *store)
{
	size_t budget = store->reclaim_entries;
	int err = th_blocklist_wait(&store->dead_write);

	if (!err)
		err = reclaim_snapshots(store, &budget);
	if (!err && atomic_load(&store->lists_due))
		err = clean_lists(store, &budget);
	return err ? err : th_head_reclaim_step(store, &budget);
}

int th_reclaim_note(struct th_store *store)
{
	int err = 0;

	for (size_t i = 0; i < store->catalogue.count && !err; i++) {
		struct th_snapshot_record *record = store->catalogue.record[i];

		if (!record->noted && th_snapshot_table_deleted(record, store->live.checkpoint_gen))
			err = th_snapshot_table_put(store, record);
	}
	return err;
}

bool th_reclaim_unnoted(struct th_store *store)
{
	return atomic_load(&store->deletions) != atomic_load(&store->deletions_durable);
}

bool th_reclaim_due(struct th_store *store)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;
	bool due = atomic_load(&store->lists_due) || th_reclaim_unnoted(store);

	if (th_store_writable(store) < 0)
		return false;
	pthread_mutex_lock(&store->snapshot_lock);
	for (size_t i = 0; i < catalogue->count && !due; i++)
		due = reclaimable(store, catalogue->record[i], UINT64_MAX);
	pthread_mutex_unlock(&store->snapshot_lock);
	return due || th_head_reclaim_due(store);
}
