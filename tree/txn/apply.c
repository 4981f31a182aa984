/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: the one short step in which a transaction becomes part of the live tree. */
#include "tree/txn/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/btree/insert.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

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
	int err = th_tree_insert(live, th_entry_ref(message), &m->need);

	while (err == -EAGAIN) {
		pthread_rwlock_unlock(&live->lock);
		err = th_need_load(&m->need, live->cache);
		pthread_rwlock_wrlock(&live->lock);
		if (err == 0)
			err = th_tree_relieve(live, &m->need);
	}
	return err;
}

/* What was born before the present generation may be older than a snapshot that does not have it (dead.c). */
static int note_stray(struct th_store *store, const struct th_run *run)
{
	return run->birth <= store->live.checkpoint_gen ? th_drops_add(&store->epoch.strays, run) : 0;
}

int th_apply_blocks(struct th_store *store, const struct th_batch *batch)
{
	int err = th_drops_append(&store->epoch.drops, &batch->drops);

	if (err == 0)
		err = th_drops_append(&store->epoch.shares, &batch->shares);
	for (size_t i = 0; i < batch->shares.count && err == 0; i++)
		err = note_stray(store, &batch->shares.runs[i]);
	for (size_t i = 0; i < batch->nallocs && err == 0; i++) {
		th_space_note_alloc(store->space, TH_SPACE_LIVE, batch->allocs[i].run.addr,
				    batch->allocs[i].run.blocks);
		err = note_stray(store, &batch->allocs[i].run);
	}
	return err;
}

static void note_dirty(struct th_store *store)
{
	size_t before = atomic_load(&store->dirty_bytes), now = store->live.dirty_bytes;

	atomic_store(&store->merged_bytes, now > before ? now - before : 0);
	atomic_store(&store->dirty_bytes, now);
}

int th_apply(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed)
{
	struct merge_state m = { .store = store };
	struct th_pending *pending = NULL;
	int err;

	th_need_init(&m.need);
	pthread_mutex_lock(&store->merge_lock);
	m.seq = seq_if_replayed ? seq_if_replayed : store->seq + 1;
	th_memtable_each(batch->memtable, number_message, &m.seq);
	if (!seq_if_replayed) {
		pending = th_pending_new(batch, m.seq);
		if (!pending) {
			err = -ENOMEM;
			goto out;
		}
	}
	err = th_apply_blocks(store, batch);
	if (err == 0) {
		pthread_rwlock_wrlock(&store->live.lock);
		err = th_memtable_each(batch->memtable, merge_message, &m);
		pthread_rwlock_unlock(&store->live.lock);
	}
	if (err < 0) {
		th_store_fail(store, err, "merging a transaction");
		free(pending);
		goto out;
	}
	if (pending)
		th_log_queue_add(store, pending);
	__atomic_store_n(&store->seq, m.seq, __ATOMIC_RELEASE); /* whoever sees it finds the record queued */
	note_dirty(store);
	th_store_budget(store);
	atomic_fetch_add(&store->merges, 1);
out:
	pthread_mutex_unlock(&store->merge_lock);
	th_need_release(&m.need);
	return err;
}
