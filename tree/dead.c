/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclaiming by birth (as ZFS does: Ahrens, "How ZFS snapshots really work", 2013).
 *
 * A block that leaves the live tree is still needed if the newest snapshot has it, that is, if it was born no later
 * than that snapshot.  Then it goes on the live dead list, which becomes the next snapshot's.  When a snapshot is
 * deleted, what died between it and its successor, and was born after its predecessor, was its alone.
 */
#include <errno.h>

#include "tree/store.h"

static int free_blocks(struct th_store *store, uint64_t addr, uint32_t blocks)
{
	th_space_note_free(store->space, TH_SPACE_COMMIT, addr, blocks);
	return 0;
}

int th_dead_free(struct th_store *store, const struct th_blockrun *run)
{
	if (run->tag == TH_DEAD_DATA)
		return th_share_drop(store, run->addr, run->blocks, free_blocks);
	th_cache_forget(store->cache, run->addr);
	return free_blocks(store, run->addr, run->blocks);
}

int th_dead_settle(struct th_store *store, struct th_blockrun *runs, size_t count)
{
	uint64_t newest = th_snapshot_newest(store);
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		if (runs[i].birth > newest) {
			r = th_dead_free(store, &runs[i]);
			continue;
		}
		if (runs[i].tag == TH_DEAD_NODE)
			th_cache_retire(store->cache, runs[i].addr);
		runs[kept++] = runs[i];
	}
	if (r == 0 && kept > 0)
		r = th_blocklist_append(&store->super.dead, store->disk, store->space, runs, kept, &store->dead_write);
	return r;
}
