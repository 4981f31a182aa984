/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/txn/bulk_commit.h"

#include <errno.h>

#include "tree/btree/detach.h"
#include "tree/btree/insert.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/io/node_writer.h"
#include "tree/layers/window.h"
#include "tree/state/state.h"
#include "tree/txn/apply.h"

/* The fork's dirty nodes may use one part in this many of the transaction's memory (txn_bytes), which the cache lends
 * for the time.  A smaller part writes nodes more often that change again. */
#define TH_BULK_COMMIT_PART 4

struct bulk {
	struct th_txn *txn;
	struct th_tree fork;
	struct th_need need;
	struct th_taken taken; /* blocks of the fork's nodes */
	struct th_drops drops; /* large values that were written and replaced within the transaction */
	uint64_t seq;
};

/* --- filling the fork --- */

static size_t dirty_max(const struct bulk *b)
{
	return b->txn->store->options.txn_bytes / TH_BULK_COMMIT_PART;
}

/* Writes the dirty nodes.  They do not change any more: a later change copies a node first, and the old one is then
 * dead like a node of the old tree. */
static int write_dirty(struct bulk *b)
{
	struct th_store *store = b->txn->store;
	struct th_node_writer *writer;
	struct th_ptr root;
	int err = th_store_room_now(store, th_store_scattered(b->fork.dirty_bytes),
				    b->txn->layers.emergency ? TH_ROOM_FREEING : TH_ROOM_NORMAL);

	if (!err)
		err = th_node_writer_new(store, &b->fork, b->fork.gen, &b->taken, &writer);
	if (err)
		return err;
	err = th_node_writer_tree(writer, b->fork.root, &root);
	if (!err)
		err = th_node_writer_finish(writer);
	th_node_writer_free(writer);
	b->fork.dirty_bytes = 0;
	return err;
}

/* Only this thread knows the fork, so no lock is needed. */
static int insert_message(const struct th_entry *message, void *arg)
{
	struct bulk *b = arg;
	struct th_entry *numbered = (struct th_entry *)(uintptr_t)th_entry_ref(message);
	int err;

	th_entry_set_seq(numbered, b->seq);
	err = th_tree_insert(&b->fork, numbered, &b->need);
	while (err == -EAGAIN) {
		err = th_need_load(&b->need, b->fork.cache);
		if (!err)
			err = th_tree_relieve(&b->fork, &b->need);
	}
	if (!err && b->fork.dirty_bytes > dirty_max(b))
		err = write_dirty(b);
	return err;
}

static int add_dead(const struct th_run *run, void *arg)
{
	struct bulk *b = arg;

	return th_dead_nodes_add_run(&b->fork.dead, run);
}

/* Walks the detached subtrees, as the checkpoint would do; but an error here can still be undone. */
static int walk_detached(struct bulk *b)
{
	int err = 0;

	for (const struct th_detached *subtree = b->fork.detached; subtree && !err; subtree = subtree->next)
		err = th_detached_walk(b->fork.cache, subtree, &b->fork.drops, add_dead, b);
	th_detached_free(b->fork.detached);
	b->fork.detached = NULL;
	return err;
}

static int fill(struct bulk *b)
{
	int err = th_window_each(&b->txn->layers, 0, insert_message, b, &b->drops);

	if (!err)
		err = write_dirty(b);
	return err ? err : walk_detached(b);
}

/* --- making the fork the live tree --- */

static void install(struct bulk *b)
{
	struct th_store *store = b->txn->store;
	struct th_tree *live = &store->live, *fork = &b->fork;
	struct th_node *old;

	pthread_rwlock_wrlock(&live->lock);
	old = live->root;
	live->root = fork->root;
	th_node_unref(old);
	live->drops = fork->drops;
	live->dead = fork->dead;
	pthread_rwlock_unlock(&live->lock);
	fork->root = NULL;
	fork->drops = (struct th_drops){ 0 };
	fork->dead = (struct th_dead_nodes){ 0 };
	th_taken_note(&b->taken, store);
	__atomic_store_n(&store->seq, b->seq, __ATOMIC_RELEASE);
	atomic_fetch_add(&store->merges, 1);
	atomic_fetch_add(&store->bulk_commits, 1);
}

/* Does the work, with the locks of th_checkpoint_exclusive() held and the live tree clean. */
static int commit_fork(struct th_store *store, void *arg)
{
	struct bulk *b = arg;
	struct th_txn *txn = b->txn;
	struct th_batch batch = { .allocs = txn->allocs, .nallocs = txn->nallocs, .shares = txn->shares };
	int err;

	th_tree_init(&b->fork, store->cache, store->live.gen, store->live.overlay_bytes);
	b->fork.root = th_node_ref(store->live.root);
	b->seq = store->seq + 1;
	th_cache_reserve(store->cache, dirty_max(b)); /* nothing but the fork is dirty now */
	err = fill(b);
	if (!err)
		err = th_drops_append(&b->drops, &txn->drops);
	if (!err) {
		batch.drops = b->drops;
		err = th_apply_blocks(store, &batch);
		if (err)
			th_store_fail(store, err, "applying a transaction");
		if (batch.noted)
			txn->nallocs = 0; /* a rollback must not give them back */
	}
	if (!err)
		install(b);
	th_tree_release(&b->fork);
	th_taken_give(&b->taken, store->space);
	th_store_budget(store);
	return err;
}

int th_bulk_commit(struct th_txn *txn)
{
	struct bulk b = { .txn = txn };
	int err;

	th_need_init(&b.need);
	err = th_checkpoint_exclusive(txn->store, commit_fork, &b);
	th_need_release(&b.need);
	th_drops_release(&b.drops);
	return err;
}
