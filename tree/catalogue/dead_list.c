/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/dead_list.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/catalogue/block_refs.h"
#include "tree/catalogue/lineage.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

static int free_blocks(struct th_store *store, uint64_t addr, uint32_t blocks)
{
	th_space_note_free(store->space, TH_SPACE_CHECKPOINT, addr, blocks);
	return 0;
}

int th_dead_free(struct th_store *store, const struct th_blockrun *run)
{
	if (run->tag == TH_DEAD_DATA)
		return th_block_refs_drop(store, run->addr, run->blocks, free_blocks);
	th_cache_forget(store->cache, run->addr);
	th_store_count_down(store, TH_SUPER_NODE_BLOCKS, run->blocks);
	return free_blocks(store, run->addr, run->blocks);
}

void th_dead_leaves_list(struct th_store *store, const struct th_blockrun *run)
{
	if (run->tag == TH_DEAD_NODE)
		th_store_count_down(store, TH_SUPER_DEAD_NODE_BLOCKS, run->blocks);
}

int th_dead_settle(struct th_store *store, struct th_blockrun *runs, size_t count)
{
	uint64_t newest = th_lineage_limit(store);
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (runs[i].birth > newest) {
			err = th_dead_free(store, &runs[i]);
			continue;
		}
		if (runs[i].tag == TH_DEAD_NODE)
			th_cache_retire(store->cache, runs[i].addr);
		runs[kept++] = runs[i];
	}
	for (size_t i = 0; i < kept; i++)
		if (runs[i].tag == TH_DEAD_NODE)
			th_store_count_up(store, TH_SUPER_DEAD_NODE_BLOCKS, runs[i].blocks);
	if (!err && kept > 0)
		err = th_blocklist_append(&store->super.dead, store->disk, store->space, runs, kept,
					  &store->dead_write);
	return err;
}

int th_dead_strays(struct th_store *store, const struct th_drops *strays)
{
	struct th_blockrun *runs;
	uint64_t newest;
	size_t n = 0;
	int err;

	if (strays->count == 0)
		return 0;
	runs = calloc(strays->count, sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	newest = th_lineage_limit(store);
	for (size_t i = 0; i < strays->count; i++) {
		const struct th_run *run = &strays->runs[i];

		if (run->birth <= newest)
			runs[n++] = (struct th_blockrun){ run->addr, run->birth, run->blocks, TH_DEAD_DATA };
	}
	err = th_blocklist_append(&store->super.strays, store->disk, store->space, runs, n, NULL);
	free(runs);
	return err;
}
