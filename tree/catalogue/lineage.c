/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/lineage.h"

struct th_snapshot_record *th_lineage_newest(const struct th_store *store, uint64_t branch)
{
	return th_snapshot_table_before(&store->catalogue, store->catalogue.count, branch);
}

uint64_t th_lineage_origin(const struct th_store *store, const struct th_branch_record *branch)
{
	const struct th_snapshot_record *origin;

	origin = branch ? th_snapshot_table_numbered(&store->catalogue, branch->origin) : NULL;
	return origin ? origin->info.generation : 0;
}

uint64_t th_lineage_limit(struct th_store *store)
{
	uint64_t limit;

	pthread_mutex_lock(&store->snapshot_lock);
	limit = th_lineage_before(store, store->catalogue.count, th_branch_table_find(&store->branches, store->branch));
	pthread_mutex_unlock(&store->snapshot_lock);
	return limit;
}

uint64_t th_lineage_before(const struct th_store *store, size_t at, const struct th_branch_record *branch)
{
	const struct th_snapshot_record *before = th_snapshot_table_before(&store->catalogue, at, branch->id);

	return before ? before->info.generation : th_lineage_origin(store, branch);
}

bool th_lineage_visible(const struct th_store *store, const struct th_branch_record *record)
{
	if (!record->detached)
		return true;
	for (size_t i = 0; i < store->catalogue.count; i++)
		if (store->catalogue.record[i]->info.branch == record->id && !store->catalogue.record[i]->deleting)
			return true;
	return false;
}

bool th_lineage_pins(const struct th_store *store, uint64_t snapshot)
{
	for (const struct th_branch_record *record = store->branches.list; record; record = record->next)
		if (record->origin == snapshot && th_lineage_visible(store, record))
			return true;
	return false;
}
