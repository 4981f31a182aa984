/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving space back, in the background: within commits, a bounded part in each.
 *
 * A snapshot that is deleted loses its name in memory, at once.  Every commit notes in the catalogue which ones are
 * being deleted.  Those that nobody holds are settled: they leave the catalogue, and their dead list joins that of
 * their successor, however long the two are.  What nobody has any more is then on a dead list, but younger than the
 * snapshot before it: such entries are void.  They are freed and taken off their lists, so many in one commit.
 *
 *     list of N, after S between P and N was settled:     a block born before P    stays: P has it
 *                                                         a block born after P     is void: only S had it
 *
 * So nothing needs to be kept in mind but the lists themselves: each commit leaves a state from which the next one, or
 * the next life of the store, goes on.
 *
 * A commit that does something for somebody who waits gives nothing back.
 */
#include "tree/catalogue/reclaim.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/catalogue/dead_list.h"
#include "tree/catalogue/head_reclaim.h"
#include "tree/catalogue/lineage.h"
#include "tree/state/state.h"

#define TH_RECLAIM_SNAPSHOT 64 /* entries that settling one snapshot counts for */

/* --- snapshots --- */

/* snapshot_lock is held. */
static bool reapable(struct th_store *store, const struct th_snapshot_record *record)
{
	return record->deleting && record->views == 0 && !th_branch_table_from(&store->branches, record->info.id);
}

/* The last snapshot of a detached branch stands for a head. */
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

/* Passes a deleted snapshot's lists on to what comes behind it. */
static int pass_on(struct th_store *store, size_t at, struct th_branch_record *branch)
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

/* A branch that has neither a head nor snapshots is none. */
static int drop_empty(struct th_store *store, uint64_t id, bool *dropped)
{
	struct th_branch_record *branch = th_branch_table_find(&store->branches, id);
	int err;

	*dropped = branch->detached && !th_snapshot_table_before(&store->catalogue, store->catalogue.count, id);
	if (!*dropped)
		return 0;
	err = th_branch_drop(store, branch);
	pthread_mutex_lock(&store->snapshot_lock);
	th_branch_table_remove(&store->branches, branch);
	pthread_mutex_unlock(&store->snapshot_lock);
	return err;
}

static int settle(struct th_store *store, size_t at, bool *branch_dropped)
{
	uint64_t branch = store->catalogue.record[at]->info.branch;
	int err = pass_on(store, at, th_branch_table_find(&store->branches, branch));

	if (!err)
		err = th_snapshot_table_drop(store, store->catalogue.record[at]);
	if (err)
		return err;
	pthread_mutex_lock(&store->snapshot_lock);
	th_snapshot_table_remove(&store->catalogue, at);
	pthread_mutex_unlock(&store->snapshot_lock);
	return drop_empty(store, branch, branch_dropped);
}

/* Only the holder of checkpoint_lock takes records from the catalogue. */
static int settle_snapshots(struct th_store *store, size_t *budget)
{
	size_t at = 0;
	int err = 0;

	while (!err && *budget > 0 && at < store->catalogue.count) {
		bool branch_dropped, go;

		pthread_mutex_lock(&store->snapshot_lock);
		go = reapable(store, store->catalogue.record[at]);
		pthread_mutex_unlock(&store->snapshot_lock);
		if (!go) {
			at++;
			continue;
		}
		err = settle(store, at, &branch_dropped);
		if (!err && branch_dropped)
			at = 0; /* it may have been all that kept its origin */
		*budget -= TH_RECLAIM_SNAPSHOT < *budget ? TH_RECLAIM_SNAPSHOT : *budget;
	}
	return err;
}

/* --- what is void on dead lists --- */

static int free_void(const struct th_blockrun *run, void *arg)
{
	return th_dead_free(arg, run);
}

/* It is younger than all that came before: no stray any more. */
static int forget_stray(const struct th_blockrun *run, void *arg)
{
	(void)run;
	(void)arg;
	return 0;
}

/* Frees what is void on the lists of a stretch between snapshots, younger than generation `than`.  What is void beyond
 * a damaged page stays lost. */
static int reap_lists(struct th_store *store, struct th_blocklist *dead, struct th_blocklist *strays, uint64_t than,
		      size_t *budget)
{
	int err = th_blocklist_filter(dead, store->disk, store->space, than, budget, free_void, store);

	if (!err)
		err = th_blocklist_filter(strays, store->disk, store->space, than, budget, forget_stray, NULL);
	return err;
}

static bool has_void(const struct th_blocklist *dead, const struct th_blocklist *strays, uint64_t than)
{
	return dead->max_birth > than || strays->max_birth > than;
}

static int clean_snapshot(struct th_store *store, size_t at, size_t *budget)
{
	struct th_snapshot_record *record = store->catalogue.record[at];
	uint64_t than = th_lineage_before(store, at, th_branch_table_find(&store->branches, record->info.branch));
	int err;

	if (!has_void(&record->dead, &record->strays, than))
		return 0;
	err = reap_lists(store, &record->dead, &record->strays, than, budget);
	return err ? err : th_snapshot_table_put(store, record);
}

static int clean_branch(struct th_store *store, struct th_branch_record *branch, size_t *budget)
{
	uint64_t than = th_lineage_before(store, store->catalogue.count, branch);
	int err;

	if (branch->id == store->branch)
		return reap_lists(store, &store->super.dead, &store->super.strays, than, budget);
	if (!branch->head || !has_void(&branch->head->dead, &branch->head->strays, than))
		return 0;
	err = reap_lists(store, &branch->head->dead, &branch->head->strays, than, budget);
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

/* --- in commits --- */

int th_reclaim_step(struct th_store *store)
{
	size_t budget = store->reclaim_entries;
	int err = th_blocklist_wait(&store->dead_write);

	if (!err)
		err = settle_snapshots(store, &budget);
	if (!err && atomic_load(&store->lists_due))
		err = clean_lists(store, &budget);
	return err ? err : th_head_reclaim_step(store, &budget);
}

int th_reclaim_note(struct th_store *store, uint64_t *ret_deletions)
{
	int err = 0;

	*ret_deletions = atomic_load(&store->deletions);
	for (size_t i = 0; i < store->catalogue.count && !err; i++) {
		struct th_snapshot_record *record = store->catalogue.record[i];

		if (record->deleting && !record->noted)
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
		due = reapable(store, catalogue->record[i]);
	pthread_mutex_unlock(&store->snapshot_lock);
	return due || th_head_reclaim_due(store);
}
