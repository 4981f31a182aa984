/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: the one short step in which a transaction becomes part of the live tree. */
#include <errno.h>
#include <stdlib.h>

#include "tree/store.h"

struct merge_state {
	struct th_store *store;
	struct th_need need;
	uint64_t seq;
};

static int number_message(const struct th_entry *message, void *arg)
{
	th_entry_set_seq((struct th_entry *)(uintptr_t)message, *(const uint64_t *)arg);
	return 0;
}

/* Inserts one message; the live lock is held, but for the time it takes to load a node. */
static int merge_message(const struct th_entry *message, void *arg)
{
	struct merge_state *m = arg;
	struct th_tree *live = &m->store->live;
	int r = th_tree_insert(live, th_entry_ref(message), &m->need);

	while (r == -EAGAIN) {
		pthread_rwlock_unlock(&live->lock);
		r = th_need_load(&m->need, live->cache);
		pthread_rwlock_wrlock(&live->lock);
		if (r == 0)
			r = th_tree_relieve(live, &m->need);
	}
	return r;
}

/* What was born before the present generation may be older than a snapshot that does not have it (dead.c). */
static int note_stray(struct th_store *store, const struct th_run *run)
{
	return run->birth <= store->live.commit_gen ? th_drops_add(&store->epoch.strays, run) : 0;
}

int th_merge_blocks(struct th_store *store, const struct th_batch *batch)
{
	int r = th_drops_append(&store->epoch.drops, &batch->drops);

	if (r == 0)
		r = th_drops_append(&store->epoch.shares, &batch->shares);
	for (size_t i = 0; i < batch->shares.count && r == 0; i++)
		r = note_stray(store, &batch->shares.runs[i]);
	for (size_t i = 0; i < batch->nallocs && r == 0; i++) {
		th_space_note_alloc(store->space, TH_SPACE_LIVE, batch->allocs[i].run.addr,
				    batch->allocs[i].run.blocks);
		r = note_stray(store, &batch->allocs[i].run);
	}
	return r;
}

static void note_dirty(struct th_store *store)
{
	size_t before = atomic_load(&store->dirty_bytes), now = store->live.dirty_bytes;

	atomic_store(&store->merged_bytes, now > before ? now - before : 0);
	atomic_store(&store->dirty_bytes, now);
}

int th_merge(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed)
{
	struct merge_state m = { .store = store };
	struct th_pending *pending = NULL;
	int r;

	th_need_init(&m.need);
	pthread_mutex_lock(&store->merge_lock);
	m.seq = seq_if_replayed ? seq_if_replayed : store->seq + 1;
	th_stage_each(batch->stage, number_message, &m.seq);
	if (!seq_if_replayed) {
		pending = th_pending_new(batch, m.seq);
		if (!pending) {
			r = -ENOMEM;
			goto out;
		}
	}
	r = th_merge_blocks(store, batch);
	if (r == 0) {
		pthread_rwlock_wrlock(&store->live.lock);
		r = th_stage_each(batch->stage, merge_message, &m);
		pthread_rwlock_unlock(&store->live.lock);
	}
	if (r < 0) {
		th_store_fail(store, r, "merging a transaction");
		free(pending);
		goto out;
	}
	if (pending)
		th_sync_queue(store, pending);
	__atomic_store_n(&store->seq, m.seq, __ATOMIC_RELEASE); /* whoever sees it finds the record queued */
	note_dirty(store);
	th_store_budget(store);
	atomic_fetch_add(&store->merges, 1);
out:
	pthread_mutex_unlock(&store->merge_lock);
	th_need_release(&m.need);
	return r;
}
