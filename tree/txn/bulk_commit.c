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

/* Of what a transaction may take, the fork's dirty nodes have one in so many; the cache lends it. */
#define TH_BULK_COMMIT_PART 4

struct graft {
	struct th_txn *txn;
	struct th_tree fork;
	struct th_need need;
	struct th_taken taken; /* what the fork's nodes are in */
	struct th_drops drops; /* large values given up within the transaction */
	uint64_t seq;
};

/* --- the fork grows --- */

static size_t dirty_max(const struct graft *g)
{
	return g->txn->store->options.txn_bytes / TH_BULK_COMMIT_PART;
}

/* Writes what is dirty.  It does not change any more: whatever is changed next is copied first, and the copied node is
 * dead like one of the old tree. */
static int write_out(struct graft *g)
{
	struct th_store *store = g->txn->store;
	struct th_node_writer *writer;
	struct th_ptr root;
	int err = th_store_room_now(store, g->fork.dirty_bytes, g->txn->layers.emergency);

	if (err == 0)
		err = th_node_writer_new(store, &g->fork, g->fork.gen, &g->taken, &writer);
	if (err < 0)
		return err;
	err = th_node_writer_tree(writer, g->fork.root, &root);
	if (err == 0)
		err = th_node_writer_finish(writer);
	th_node_writer_free(writer);
	g->fork.dirty_bytes = 0;
	return err;
}

/* Nobody else knows the fork: no lock is needed. */
static int insert_message(const struct th_entry *message, void *arg)
{
	struct graft *g = arg;
	struct th_entry *numbered = (struct th_entry *)(uintptr_t)th_entry_ref(message);
	int err;

	th_entry_set_seq(numbered, g->seq);
	err = th_tree_insert(&g->fork, numbered, &g->need);
	while (err == -EAGAIN) {
		err = th_need_load(&g->need, g->fork.cache);
		if (err == 0)
			err = th_tree_relieve(&g->fork, &g->need);
	}
	if (err == 0 && g->fork.dirty_bytes > dirty_max(g))
		err = write_out(g);
	return err;
}

static int add_dead(const struct th_run *run, void *arg)
{
	struct graft *g = arg;

	return th_dead_nodes_add(&g->fork.dead, &(struct th_dead_node){ .run = *run });
}

/* The commit would do the same, but could not be undone if a node cannot be read. */
static int walk_doomed(struct graft *g)
{
	int err = 0;

	for (const struct th_detached *doomed = g->fork.detached; doomed && err == 0; doomed = doomed->next)
		err = th_detached_walk(g->fork.cache, doomed, &g->fork.drops, add_dead, g);
	th_detached_free(g->fork.detached);
	g->fork.detached = NULL;
	return err;
}

static int grow(struct graft *g)
{
	int err = th_window_each(&g->txn->layers, 0, insert_message, g, &g->drops);

	if (err == 0)
		err = write_out(g);
	return err < 0 ? err : walk_doomed(g);
}

/* --- the fork becomes the live tree --- */

static void install(struct graft *g)
{
	struct th_store *store = g->txn->store;
	struct th_tree *live = &store->live, *fork = &g->fork;
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
	th_taken_note(&g->taken, store->space);
	__atomic_store_n(&store->seq, g->seq, __ATOMIC_RELEASE);
	atomic_fetch_add(&store->merges, 1);
	atomic_fetch_add(&store->bulk_commits, 1);
}

/* With the locks of th_checkpoint_exclusive; the live tree is settled. */
static int graft(struct th_store *store, void *arg)
{
	struct graft *g = arg;
	struct th_txn *txn = g->txn;
	struct th_batch batch = { .allocs = txn->allocs, .nallocs = txn->nallocs, .shares = txn->shares };
	int err;

	th_tree_init(&g->fork, store->cache, store->live.gen, store->live.overlay_bytes);
	g->fork.root = th_node_ref(store->live.root);
	g->seq = store->seq + 1;
	th_cache_reserve(store->cache, dirty_max(g)); /* nothing else is dirty, or will be */
	err = grow(g);
	if (err == 0)
		err = th_drops_append(&g->drops, &txn->drops);
	if (err == 0) {
		batch.drops = g->drops;
		err = th_apply_blocks(store, &batch);
		if (err < 0)
			th_store_fail(store, err, "merging a transaction");
	}
	if (err == 0)
		install(g);
	th_tree_release(&g->fork);
	th_taken_give(&g->taken, store->space);
	th_store_budget(store);
	return err;
}

int th_bulk_commit(struct th_txn *txn)
{
	struct graft g = { .txn = txn };
	int err;

	th_need_init(&g.need);
	err = th_checkpoint_exclusive(txn->store, graft, &g);
	th_need_release(&g.need);
	th_drops_release(&g.drops);
	return err;
}
