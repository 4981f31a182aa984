/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space that deleting snapshots frees, computed from births and dead lists.
 *
 * The dead list of a snapshot X, or of the head, has the blocks that died after the snapshot before X.  Of these,
 * snapshots need the blocks that were born up to the newest one before X that stays.  So if some snapshots directly
 * before X are deleted, the blocks born in between become free:
 *
 *       P          S1        S2         X         P stays, S1 and S2 are deleted
 *                       |<-- list -->|<- list ->|
 *       |<----- births that become free ------>|  on the lists of S2 and X; S1's own list has only older blocks
 *
 * Nothing is kept for this: only lists are read whose youngest birth is young enough.  Data with several references is
 * free when as many references as the table has are on these lists.
 */
#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/catalogue/block_refs.h"
#include "tree/catalogue/dead_list.h"
#include "tree/catalogue/lineage.h"
#include "tree/state/state.h"

/* Entries of one dead list that become free: those born in (after, upto]. */
struct part {
	struct th_blocklist list;
	uint64_t after, upto;
};

/* Blocks with further references, of one entry of a list. */
struct shared {
	uint64_t addr;
	uint32_t blocks, count; /* count: references beyond the first */
};

struct sum {
	struct th_store *store;
	struct part *parts;
	size_t count, capacity;
	const struct part *now; /* that is being read */
	uint64_t blocks;
	struct shared *shared;
	size_t nshared, shared_capacity;
};

static void sum_release(struct sum *sum)
{
	free(sum->parts);
	free(sum->shared);
}

/* --- which lists, and which births --- */

/* Returns the generation of the newest snapshot of the branch before number `at` that stays, or that of the origin.
 *
 * doomed: whether each snapshot is to be deleted; NULL: none. */
static uint64_t stays_before(const struct th_store *store, size_t at, const struct th_branch_record *branch,
			     const bool *doomed)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;

	while (at-- > 0) {
		const struct th_snapshot_record *record = catalogue->record[at];

		if (record->info.branch == branch->id && !record->deleting && !(doomed && doomed[at]))
			return record->info.generation;
	}
	return th_lineage_origin(store, branch);
}

static int add_part(struct sum *sum, const struct th_blocklist *list, size_t at, const struct th_branch_record *branch,
		    const bool *doomed)
{
	struct part part = {
		.list = *list,
		.after = stays_before(sum->store, at, branch, doomed),
		.upto = stays_before(sum->store, at, branch, NULL),
	};

	if (list->max_birth <= part.after)
		return 0;
	return th_append(sum->parts, sum->capacity, sum->count, part);
}

/* Adds the lists after a doomed snapshot, up to that of the next one that is not being deleted already.  Returns 1 if
 * there is none and the branch has no head. */
static int add_lists_after(struct sum *sum, size_t at, const bool *doomed)
{
	struct th_store *store = sum->store;
	const struct th_snapshot_table *catalogue = &store->catalogue;
	const struct th_branch_record *branch;
	uint64_t id = catalogue->record[at]->info.branch;
	int err = 0;

	branch = th_branch_table_find(&store->branches, id);
	while (++at < catalogue->count && !err) {
		if (catalogue->record[at]->info.branch != id)
			continue;
		err = add_part(sum, &catalogue->record[at]->dead, at, branch, doomed);
		if (err || !catalogue->record[at]->deleting)
			return err;
	}
	if (err || branch->detached)
		return err ? err : 1;
	return add_part(sum, branch->head ? &branch->head->dead : &store->super.dead, catalogue->count, branch, doomed);
}

/* Fills in whether each snapshot of the catalogue is to be deleted. */
static int mark(const struct th_store *store, const uint64_t *ids, size_t count, bool *doomed)
{
	const struct th_snapshot_table *catalogue = &store->catalogue;

	for (size_t i = 0; i < count; i++) {
		size_t at = th_snapshot_table_from(catalogue, ids[i]);

		if (at == catalogue->count || catalogue->record[at]->info.id != ids[i] ||
		    catalogue->record[at]->deleting)
			return -ENOENT;
		if (th_lineage_pins(store, ids[i]))
			return 1;
		doomed[at] = true;
	}
	return 0;
}

/* Chooses the lists to be read.  snapshot_lock and checkpoint_lock are held. */
static int choose(struct sum *sum, const uint64_t *ids, size_t count)
{
	size_t snapshots = sum->store->catalogue.count;
	bool *doomed = calloc(snapshots + 1, sizeof(*doomed));
	int err = doomed ? mark(sum->store, ids, count, doomed) : -ENOMEM;

	for (size_t at = 0; at < snapshots && !err; at++) {
		if (doomed[at])
			err = add_lists_after(sum, at, doomed);
	}
	free(doomed);
	return err;
}

/* --- reading the lists --- */

static int add_shared(uint64_t addr, uint32_t blocks, uint32_t count, void *arg)
{
	struct sum *sum = arg;

	sum->blocks -= blocks;
	return th_append(sum->shared, sum->shared_capacity, sum->nshared,
			 (struct shared){ .addr = addr, .blocks = blocks, .count = count });
}

static int add_run(const struct th_blockrun *run, void *arg)
{
	struct sum *sum = arg;

	if (run->birth <= sum->now->after || run->birth > sum->now->upto)
		return 0;
	sum->blocks += run->blocks;
	if (run->tag != TH_DEAD_DATA || !atomic_load(&sum->store->shared_blocks))
		return 0;
	return th_block_refs_inside(sum->store, run->addr, run->blocks, add_shared, sum);
}

/* --- blocks with several references --- */

/* Where a piece of shared blocks begins or ends. */
struct edge {
	uint64_t at;
	int step; /* 1 or -1 */
	uint32_t count; /* where it begins: references beyond the first */
};

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Adds the shared blocks of which all references are on the lists.  The pieces that cover a block all have its count,
 * since each lies within one run of the table. */
static int add_wholly_dropped(struct sum *sum)
{
	struct edge *edges = calloc(2 * sum->nshared + 1, sizeof(*edges));
	uint64_t dropped = 0, references = 0;
	size_t count = 0;

	if (!edges)
		return -ENOMEM;
	for (size_t i = 0; i < sum->nshared; i++) {
		const struct shared *piece = &sum->shared[i];

		edges[count++] = (struct edge){ piece->addr, 1, piece->count };
		edges[count++] = (struct edge){ piece->addr + piece->blocks, -1, 0 };
	}
	qsort(edges, count, sizeof(*edges), compare_edges);
	for (size_t i = 0; i < count; i++) {
		if (edges[i].step > 0)
			references = (uint64_t)edges[i].count + 1;
		dropped += (uint64_t)(int64_t)edges[i].step;
		if (i + 1 < count && dropped >= references)
			sum->blocks += edges[i + 1].at - edges[i].at;
	}
	free(edges);
	return 0;
}

/* --- public --- */

int th_snapshot_space(struct th_store *store, const uint64_t *ids, size_t count, uint64_t *ret_bytes)
{
	struct sum sum = { .store = store };
	int ret;

	pthread_mutex_lock(&store->checkpoint_lock);
	pthread_mutex_lock(&store->snapshot_lock);
	ret = choose(&sum, ids, count);
	pthread_mutex_unlock(&store->snapshot_lock);
	for (size_t i = 0; i < sum.count && !ret; i++) {
		sum.now = &sum.parts[i];
		ret = th_blocklist_each(&sum.now->list, store->disk, add_run, NULL, &sum);
	}
	if (!ret && sum.nshared)
		ret = add_wholly_dropped(&sum);
	pthread_mutex_unlock(&store->checkpoint_lock);
	if (!ret)
		*ret_bytes = sum.blocks * TH_BLOCK_SIZE;
	sum_release(&sum);
	return ret;
}
