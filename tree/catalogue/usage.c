/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/usage.h"

static void add_lists(struct th_usage_counts *counts, const struct th_blocklist *dead,
		      const struct th_blocklist *strays)
{
	counts->dead += dead->blocks;
	counts->pages += dead->pages + strays->pages;
}

void th_usage_update(struct th_store *store)
{
	const struct th_super *super = &store->super;
	uint64_t mirror = super->log_mirror ? super->log_blocks : 0;
	struct th_usage_counts counts = {
		.fixed = super->log_first + super->log_blocks + mirror + TH_SUPER_TAIL_BLOCKS,
		.pages = super->space_log.pages,
		.nodes = super->counters[TH_SUPER_NODE_BLOCKS],
		.dead_nodes = super->counters[TH_SUPER_DEAD_NODE_BLOCKS],
	};

	add_lists(&counts, &super->dead, &super->strays);
	pthread_mutex_lock(&store->snapshot_lock);
	for (size_t i = 0; i < store->catalogue.count; i++)
		add_lists(&counts, &store->catalogue.record[i]->dead, &store->catalogue.record[i]->strays);
	for (const struct th_branch_record *branch = store->branches.list; branch; branch = branch->next)
		if (branch->head)
			add_lists(&counts, &branch->head->dead, &branch->head->strays);
	for (const struct th_abandoned *abandoned = store->branches.abandoned; abandoned; abandoned = abandoned->next)
		add_lists(&counts, &abandoned->head->dead, &abandoned->head->strays);
	counts.pages *= super->copies;
	store->usage = counts;
	pthread_mutex_unlock(&store->snapshot_lock);
}

/* Returns the part of *left, at most `blocks`, and subtracts it. */
static uint64_t take(uint64_t *left, uint64_t blocks)
{
	uint64_t part = blocks < *left ? blocks : *left;

	*left -= part;
	return part;
}

struct th_usage th_usage(struct th_store *store, uint64_t used)
{
	struct th_usage_counts counts;
	struct th_usage usage;

	pthread_mutex_lock(&store->snapshot_lock);
	counts = store->usage;
	pthread_mutex_unlock(&store->snapshot_lock);
	counts.nodes -= counts.dead_nodes < counts.nodes ? counts.dead_nodes : counts.nodes;
	usage.metadata = take(&used, counts.fixed + counts.pages + counts.nodes);
	usage.snapshots = take(&used, counts.dead);
	usage.data = used;
	return usage;
}
