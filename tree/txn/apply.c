/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/txn/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/btree/insert.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

struct apply {
	struct th_store *store;
	struct th_need need;
	uint64_t seq;
};

static int number_message(const struct th_entry *message, void *arg)
{
	th_entry_set_seq((struct th_entry *)(uintptr_t)message, *(const uint64_t *)arg);
	return 0;
}

/* Inserts one message.  The live tree's lock is held, and dropped while a node is loaded. */
static int apply_message(const struct th_entry *message, void *arg)
{
	struct apply *a = arg;
	struct th_tree *live = &a->store->live;
	int err = th_tree_insert(live, th_entry_ref(message), &a->need);

	while (err == -EAGAIN) {
		pthread_rwlock_unlock(&live->lock);
		err = th_need_load(&a->need, live->cache);
		pthread_rwlock_wrlock(&live->lock);
		if (!err)
			err = th_tree_relieve(live, &a->need);
	}
	return err;
}

/* A reference with a birth before the current generation may be older than a snapshot that does not have it: a stray
 * (see catalogue/dead_list.c). */
static int note_stray(struct th_store *store, const struct th_run *run)
{
	return run->birth <= store->live.checkpoint_gen ? th_drops_add(&store->epoch.strays, run) : 0;
}

int th_apply_blocks(struct th_store *store, struct th_batch *batch)
{
	int err = th_drops_append(&store->epoch.drops, &batch->drops);

	if (!err)
		err = th_drops_append(&store->epoch.shares, &batch->shares);
	for (size_t i = 0; i < batch->shares.count && !err; i++)
		err = note_stray(store, &batch->shares.runs[i]);
	for (size_t i = 0; i < batch->nallocs && !err; i++) {
		batch->noted = true;
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
	struct apply a = { .store = store };
	struct th_pending *pending = NULL;
	int err;

	th_need_init(&a.need);
	pthread_mutex_lock(&store->merge_lock);
	a.seq = seq_if_replayed ? seq_if_replayed : store->seq + 1;
	th_memtable_each(batch->memtable, number_message, &a.seq);
	if (!seq_if_replayed) {
		pending = th_pending_new(batch, a.seq);
		if (!pending) {
			err = -ENOMEM;
			goto out;
		}
	}
	err = th_apply_blocks(store, batch);
	if (!err) {
		pthread_rwlock_wrlock(&store->live.lock);
		err = th_memtable_each(batch->memtable, apply_message, &a);
		pthread_rwlock_unlock(&store->live.lock);
	}
	if (err) {
		th_store_fail(store, err, "applying a transaction");
		free(pending);
		goto out;
	}
	if (pending)
		th_log_queue_add(store, pending);
	__atomic_store_n(&store->seq, a.seq,
			 __ATOMIC_RELEASE); /* release: a thread that reads this number finds the record queued */
	note_dirty(store);
	th_store_budget(store);
	atomic_fetch_add(&store->merges, 1);
out:
	pthread_mutex_unlock(&store->merge_lock);
	th_need_release(&a.need);
	return err;
}
