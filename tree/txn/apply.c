/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/txn/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/btree/insert.h"
#include "tree/btree/push_down.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/node/message.h"
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

/* --- letting a merge in (S4) --- */

/* Returns a bound that costs nothing to compute: a path from the root to a leaf for each portion of the messages, but
 * no more than the whole tree. */
static size_t rough_worst(struct th_store *store, size_t bytes)
{
	size_t path = th_tree_path_bytes(store->live.root->level), worst = (1 + bytes / TH_PORTION_LEAST) * path, all;

	pthread_mutex_lock(&store->snapshot_lock);
	all = (store->usage.nodes - store->usage.dead_nodes) * TH_BLOCK_SIZE;
	pthread_mutex_unlock(&store->snapshot_lock);
	all += atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes);
	all = th_store_scattered(all) + path;
	return (worst < all ? worst : all) + 2 * bytes;
}

struct worst {
	const struct th_tree *tree;
	struct th_push_worst sum;
};

static int count_message(const struct th_entry *message, void *arg)
{
	struct worst *worst = arg;

	worst->sum.count++;
	worst->sum.ranges |= th_message_is_range(message);
	return 0;
}

static int add_worst(const struct th_entry *message, void *arg)
{
	struct worst *worst = arg;

	th_push_down_worst(worst->tree, message, &worst->sum);
	return 0;
}

/* Returns a bound by the nodes that the messages go to: far less, as messages usually find room in an overlay. */
static size_t exact_worst(struct th_store *store, const struct th_memtable *memtable)
{
	struct worst worst = { .tree = &store->live, .sum = { .bytes = memtable->bytes } };
	size_t bytes;

	pthread_rwlock_rdlock(&store->live.lock);
	th_memtable_each(memtable, count_message, &worst);
	th_memtable_each(memtable, add_worst, &worst);
	bytes = th_push_down_worst_end(&store->live, &worst.sum);
	pthread_rwlock_unlock(&store->live.lock);
	return bytes;
}

static int let_in(struct th_store *store, const struct th_batch *batch, enum th_room room)
{
	size_t rough = rough_worst(store, batch->memtable->bytes), exact;
	int err = th_store_merge_begin(store, rough, room);

	if (err != -ENOSPC)
		return err;
	exact = exact_worst(store, batch->memtable);
	return exact < rough ? th_store_merge_begin(store, exact, room) : err;
}

/* --- */

/* Numbers and applies the batch, and queues its log record.  merge_lock is held, and the merge was let in. */
static int apply_batch(struct apply *a, struct th_batch *batch, bool replayed)
{
	struct th_store *store = a->store;
	struct th_pending *pending = NULL;
	int err;

	th_memtable_each(batch->memtable, number_message, &a->seq);
	if (!replayed) {
		pending = th_pending_new(batch, a->seq);
		if (!pending)
			return th_store_fail(store, -ENOMEM, "applying a transaction");
	}
	err = th_apply_blocks(store, batch);
	if (!err) {
		pthread_rwlock_wrlock(&store->live.lock);
		err = th_memtable_each(batch->memtable, apply_message, a);
		pthread_rwlock_unlock(&store->live.lock);
	}
	if (err) {
		free(pending);
		return th_store_fail(store, err, "applying a transaction");
	}
	if (pending)
		th_log_queue_add(store, pending);
	/* Release: a thread that reads this number finds the record queued. */
	__atomic_store_n(&store->seq, a->seq, __ATOMIC_RELEASE);
	atomic_fetch_add(&store->merges, 1);
	return 0;
}

int th_apply(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed)
{
	struct apply a = { .store = store };
	bool replayed = seq_if_replayed > 0;
	int err;

	th_need_init(&a.need);
	pthread_mutex_lock(&store->merge_lock);
	a.seq = replayed ? seq_if_replayed : store->seq + 1;
	err = let_in(store, batch, batch->emergency || replayed ? TH_ROOM_FREEING : TH_ROOM_NORMAL);
	if (!err || replayed) /* it was let in before the crash */
		err = apply_batch(&a, batch, replayed);
	th_store_merge_end(store);
	pthread_mutex_unlock(&store->merge_lock);
	th_need_release(&a.need);
	return err;
}
