/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint: the transient nodes become a generation on disk.
 *
 *   phase        locks held              what happens
 *   -----        ----------              ------------
 *   quiesce      turn                    the callers commit changes that they buffer, and wait until the freeze is
 *   over;
 *                                        not with TH_CHECKPOINT_AS_IS
 *   freeze       checkpoint, merge,      the root stops changing; the checkpoint takes over the lists of dropped
 *                live                    nodes and blocks; the space set is closed
 *   write        checkpoint              waits for data under way; writes the live nodes, children first, and waits for
 *                                        them if a step is to come, since other threads may read them after it
 *   settle       checkpoint              frees blocks that left the tree, or appends them to the dead list
 *   step         checkpoint              the operation that the caller asked for (a snapshot's creation), or else
 *                                        reclaims space (catalogue/reclaim.c)
 *   note         checkpoint              records in the catalogue which snapshots were deleted before the freeze
 *                                        (th_reclaim_note)
 *   meta         checkpoint, meta        writes the meta tree, unless the superblock carries its changes
 *   space        checkpoint              appends the space set of this checkpoint to the space log
 *   publish      checkpoint              waits for all writes; disk flush, superblock, disk flush
 *   done         checkpoint, log         frees the log up to the freeze; freed blocks become usable (S3)
 *
 * Nothing that the last superblock names is overwritten before the new one is on disk, so a crash at any point leaves
 * one of the two generations.  Transactions go on during all phases but the freeze, against copies of frozen nodes.  On
 * an error the store refuses writes: the last generation and the log are still complete.
 */
#include "tree/checkpoint/checkpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/base/clock.h"
#include "journal/base/thread.h"
#include "tree/btree/detach.h"
#include "tree/btree/push_down.h"
#include "tree/catalogue/block_refs.h"
#include "tree/catalogue/dead_list.h"
#include "tree/catalogue/reclaim.h"
#include "tree/catalogue/usage.h"
#include "tree/checkpoint/force_flush.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/io/node_writer.h"
#include "tree/node/nowait.h"
#include "tree/node/scatter.h"
#include "tree/state/state.h"

/* Freed blocks that are worth a checkpoint of their own, since only the next ones make them usable and shorten the log
 * of the space map: 16 MiB, or in small images this part of all blocks.  More delay their reuse, and leave a small
 * image with a long log after everything was deleted; fewer write more superblocks. */
#define TH_WAITING_MAX 4096
#define TH_WAITING_PART 64
/* Free blocks (64 MiB) that are enough for a caller which waits for room: with more it need not wait for the rest of
 * the reclaimable space. */
#define TH_RECLAIMED_MAX 16384

struct checkpoint {
	struct th_store *store;
	struct th_checkpoint_state state;
	struct th_node_writer *live, *meta;
	struct th_node *root, *meta_root;
	struct th_epoch epoch;
	struct th_drops values; /* large values that were replaced or deleted */
	struct th_dead_nodes dead;
	struct th_detached *doomed;
	struct th_log_position log_tail;
	uint64_t deletions; /* of snapshots, before the freeze */
};

static bool worth_a_checkpoint(struct th_store *store)
{
	struct th_space_stat stat;

	if (__atomic_load_n(&store->seq, __ATOMIC_ACQUIRE) != store->super.sequence ||
	    atomic_load(&store->dirty_bytes) > 0 || store->scrub_due)
		return true;
	th_space_stat(store->space, &stat);
	return stat.waiting > TH_WAITING_MAX || stat.waiting > stat.blocks / TH_WAITING_PART || th_reclaim_due(store);
}

/* Freezes the live tree; both locks are held. */
static void freeze(struct checkpoint *c)
{
	struct th_store *store = c->store;
	struct th_tree *live = &store->live;

	c->deletions = atomic_load(&store->deletions); /* first: these then belong to this generation */
	pthread_rwlock_wrlock(&live->lock);
	c->state.generation = live->gen;
	c->state.sequence = store->seq;
	live->checkpoint_gen = live->gen;
	c->root = th_tree_freeze(live);
	c->values = live->drops;
	live->drops = (struct th_drops){ 0 };
	c->dead = live->dead;
	live->dead = (struct th_dead_nodes){ 0 };
	c->doomed = live->detached;
	live->detached = NULL;
	atomic_store(&store->writing_bytes, live->dirty_bytes);
	live->dirty_bytes = 0;
	atomic_store(&store->dirty_bytes, 0);
	pthread_rwlock_unlock(&live->lock);
	c->epoch = store->epoch;
	store->epoch = (struct th_epoch){ 0 };
	th_space_freeze(store->space);
	pthread_mutex_lock(&store->sync_lock);
	c->log_tail = store->log_head;
	pthread_mutex_unlock(&store->sync_lock);
}

static struct th_blockrun data_run(const struct th_run *run)
{
	return (struct th_blockrun){ run->addr, run->birth, run->blocks, TH_DEAD_DATA };
}

/* Calls each() with every run of a node that left a tree. */
static int each_dead_run(struct th_store *store, const struct th_dead_node *dead, th_run_visit *each, void *arg)
{
	const struct th_ptr *ptr = &dead->ptr;

	if (dead->node)
		ptr = dead->node->ptr.addr ? &dead->node->ptr : &dead->node->written;
	return th_node_each_run(store->disk, ptr, each, arg);
}

static int compare_runs(const void *a, const void *b)
{
	const struct th_blockrun *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static int add_dead(const struct th_run *run, void *arg)
{
	struct checkpoint *c = arg;

	return th_dead_nodes_add_run(&c->dead, run);
}

struct dead_runs {
	struct th_blockrun *run;
	size_t count, capacity;
};

static int add_node_run(const struct th_run *run, void *arg)
{
	struct dead_runs *runs = arg;

	if (th_grow(runs->run, runs->capacity, runs->count + 1))
		return -ENOMEM;
	runs->run[runs->count++] = (struct th_blockrun){ run->addr, run->birth, run->blocks, TH_DEAD_NODE };
	return 0;
}

static int add_data_runs(struct dead_runs *runs, const struct th_drops *drops)
{
	if (th_grow(runs->run, runs->capacity, runs->count + drops->count))
		return -ENOMEM;
	for (size_t i = 0; i < drops->count; i++)
		runs->run[runs->count++] = data_run(&drops->runs[i]);
	return 0;
}

/* Frees all that left the live tree, or puts it on the dead list, in the order of addresses. */
static int settle_dead(struct checkpoint *c)
{
	const struct th_drops *shares = &c->epoch.shares;
	struct dead_runs runs = { 0 };
	int err = 0;

	for (size_t i = 0; i < shares->count && !err; i++)
		err = th_block_refs_add(c->store, shares->runs[i].addr, shares->runs[i].blocks);
	for (const struct th_detached *doomed = c->doomed; doomed && !err; doomed = doomed->next)
		err = th_detached_walk(c->store->cache, doomed, &c->values, add_dead, c);
	for (size_t i = 0; i < c->dead.count && !err; i++)
		err = each_dead_run(c->store, &c->dead.dead[i], add_node_run, &runs);
	if (!err)
		err = add_data_runs(&runs, &c->epoch.drops);
	if (!err)
		err = add_data_runs(&runs, &c->values);
	if (!err && runs.count > 0) {
		qsort(runs.run, runs.count, sizeof(*runs.run), compare_runs);
		err = th_dead_settle(c->store, runs.run, runs.count);
	}
	free(runs.run);
	return err ? err : th_dead_strays(c->store, &c->epoch.strays);
}

static int free_meta_run(const struct th_run *run, void *arg)
{
	struct th_store *store = arg;

	th_space_note_free(store->space, TH_SPACE_CHECKPOINT, run->addr, run->blocks);
	th_store_count_down(store, TH_SUPER_NODE_BLOCKS, run->blocks);
	th_cache_forget(store->cache, run->addr);
	return 0;
}

/* Writes the meta tree.  It has no snapshots, so nodes that left it are free. */
static int write_meta(struct checkpoint *c)
{
	struct th_store *store = c->store;
	struct th_tree *meta = &store->meta;
	struct th_ptr_disk disk;
	struct th_ptr root;
	int err = 0;

	if (!store->meta_due)
		return 0;
	store->meta_due = false;
	store->super.carried_size = 0;
	pthread_rwlock_wrlock(&meta->lock);
	meta->checkpoint_gen = meta->gen;
	c->meta_root = th_tree_freeze(meta);
	meta->dirty_bytes = 0;
	pthread_rwlock_unlock(&meta->lock);
	for (size_t i = 0; i < meta->dead.count && !err; i++)
		err = each_dead_run(store, &meta->dead.dead[i], free_meta_run, store);
	th_dead_nodes_release(&meta->dead);
	if (!err)
		err = th_node_writer_tree(c->meta, c->meta_root, &root);
	if (err)
		return err;
	th_ptr_pack(&root, &disk);
	memcpy(store->super.meta_root, &disk, sizeof(disk));
	return 0;
}

static int write_super(struct checkpoint *c, bool clean)
{
	struct th_store *store = c->store;
	struct th_super *super = &store->super;
	struct th_ptr_disk root;
	int err;

	store->scrub_due = false;
	super->generation = c->state.generation;
	super->sequence = c->state.sequence;
	super->checkpoint_ns = th_now_ns();
	super->counters[TH_SUPER_MARK] = atomic_load(&store->mark);
	super->clean = clean;
	super->log_tail = c->log_tail;
	th_ptr_pack(&c->state.live_root, &root);
	memcpy(super->live_root, &root, sizeof(root));
	err = th_disk_sync(store->disk);
	if (!err)
		err = th_super_write(store->disk, super);
	return err ? err : th_disk_sync(store->disk);
}

static int write_generation(struct checkpoint *c, th_checkpoint_step *step, void *arg, bool clean)
{
	struct th_store *store = c->store;
	int err;

	err = th_node_writer_new(store, &store->live, c->state.generation, NULL, &c->live);
	if (!err)
		err = th_node_writer_new(store, &store->meta, c->state.generation, NULL, &c->meta);
	if (err)
		return err;
	th_chunk_wait_all(store);
	err = -atomic_load(&store->failed);
	if (!err)
		err = th_node_writer_tree(c->live, c->root, &c->state.live_root);
	if (!err && step)
		err = th_node_writer_finish(c->live);
	if (!err)
		err = settle_dead(c);
	if (!err)
		err = step ? step(store, &c->state, arg) : th_reclaim_step(store);
	if (!err)
		err = th_reclaim_note(store);
	if (!err)
		err = write_meta(c);
	if (!err)
		err = th_space_checkpoint(store->space, store->disk, &store->super.space_log);
	if (!err)
		err = th_node_writer_finish(c->live);
	if (!err)
		err = th_node_writer_finish(c->meta);
	if (!err)
		err = th_blocklist_wait(&store->dead_write);
	return err ? err : write_super(c, clean);
}

/* Replaces the root of the live tree: the step switched to another head, during which no transaction was applied. */
static void change_root(struct th_tree *live, struct th_node *root)
{
	pthread_rwlock_wrlock(&live->lock);
	th_node_unref(live->root);
	live->root = root;
	pthread_rwlock_unlock(&live->lock);
}

/* Publishes the generation in memory, once the superblock is durable. */
static void checkpoint_done(struct checkpoint *c)
{
	struct th_store *store = c->store;

	atomic_store(&store->generation, c->state.generation);
	atomic_store(&store->checkpoint_ns, store->super.checkpoint_ns);
	th_space_checkpointed(store->space);
	th_usage_update(store);
	pthread_mutex_lock(&store->log_lock);
	if (store->log)
		th_log_trim(store->log, c->log_tail);
	pthread_mutex_unlock(&store->log_lock);
	th_log_queue_trim(store, c->state.sequence);
	atomic_store(&store->deletions_durable, c->deletions);
	if (c->state.new_root)
		change_root(&store->live, c->state.new_root);
	c->state.new_root = NULL;
	atomic_fetch_add(&store->checkpoints, 1);
}

static void checkpoint_release(struct checkpoint *c)
{
	th_node_writer_free(c->live);
	th_node_writer_free(c->meta);
	th_blocklist_wait(&c->store->dead_write); /* if the checkpoint failed before it waited */
	pthread_rwlock_wrlock(&c->store->live.lock);
	th_node_unref(c->root);
	th_dead_nodes_release(&c->dead);
	th_detached_free(c->doomed);
	pthread_rwlock_unlock(&c->store->live.lock);
	th_node_unref(c->meta_root);
	th_node_unref(c->state.new_root);
	th_drops_release(&c->epoch.drops);
	th_drops_release(&c->epoch.shares);
	th_drops_release(&c->epoch.strays);
	th_drops_release(&c->values);
	th_store_written(c->store, atomic_load(&c->store->writing_bytes));
}

/* Measures the speed, if the checkpoint wrote enough for a useful figure. */
static void note_speed(struct th_store *store, size_t bytes, uint64_t took_us)
{
	if (bytes >= store->dirty_soft / 2)
		atomic_store(&store->checkpoint_speed, bytes / (took_us + 1));
}

/* Writes the frozen tree as a generation. */
static int checkpoint_frozen(struct checkpoint *c, th_checkpoint_step *step, void *arg, unsigned flags)
{
	size_t bytes = atomic_load(&c->store->writing_bytes);
	uint64_t began = th_monotonic_ns() / 1000;
	int err = write_generation(c, step, arg, (flags & TH_CHECKPOINT_CLEAN) != 0);

	if (!err)
		checkpoint_done(c);
	else
		th_store_fail(c->store, err, "a checkpoint");
	checkpoint_release(c);
	note_speed(c->store, bytes, th_monotonic_ns() / 1000 - began);
	return err;
}

/* Returns 0 if a checkpoint is to be written, 1 if it is not needed, or -EROFS. */
static int decide(struct th_store *store, th_checkpoint_step *step, unsigned flags)
{
	const unsigned always = TH_CHECKPOINT_CLEAN | TH_CHECKPOINT_FORCE;
	int err = th_store_writable(store);

	if (err || step || (flags & always))
		return err;
	if (flags & TH_CHECKPOINT_RELIEVE) /* else the former holder of the lock has written it */
		return atomic_load(&store->dirty_bytes) < store->dirty_hard;
	return !worth_a_checkpoint(store);
}

/* Ends the quiescing of the callers as soon as the tree is frozen, unless it is frozen as it is. */
static int checkpoint_locking(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags)
{
	struct checkpoint c = { .store = store };
	int err;

	pthread_mutex_lock(&store->checkpoint_lock);
	err = decide(store, step, flags);
	if (!err) {
		pthread_mutex_lock(&store->merge_lock);
		freeze(&c);
		pthread_mutex_unlock(&store->merge_lock);
	}
	if (!(flags & TH_CHECKPOINT_AS_IS))
		th_store_resume(store);
	if (!err)
		err = checkpoint_frozen(&c, step, arg, flags);
	pthread_mutex_unlock(&store->checkpoint_lock);
	return err < 0 ? err : 0;
}

void th_checkpoint_relief_begin(struct th_store *store)
{
	pthread_mutex_lock(&store->checkpointer_lock);
	atomic_fetch_add(&store->committing, 1);
	pthread_mutex_unlock(&store->checkpointer_lock);
}

void th_checkpoint_relief_end(struct th_store *store)
{
	pthread_mutex_lock(&store->checkpointer_lock);
	atomic_fetch_sub(&store->committing, 1);
	pthread_cond_broadcast(&store->progress);
	pthread_mutex_unlock(&store->checkpointer_lock);
}

/* The relief begins after the quiescing, whose transactions may have to wait for it. */
static int checkpoint_relieving(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags)
{
	int err;

	th_checkpoint_relief_begin(store);
	err = checkpoint_locking(store, step, arg, flags);
	th_checkpoint_relief_end(store);
	return err;
}

static int checkpoint_quiesced(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags,
			       int *ret_quiesced)
{
	int err;

	pthread_mutex_lock(&store->turn_lock);
	*ret_quiesced = err = th_store_quiesce(store);
	if (err && (flags & TH_CHECKPOINT_STRICT))
		th_store_resume(store);
	else
		err = checkpoint_relieving(store, step, arg, flags);
	pthread_mutex_unlock(&store->turn_lock);
	return err;
}

/* *ret_quiesced: the result of quiescing, or 0. */
static int checkpoint(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags, int *ret_quiesced)
{
	bool nowait = th_nowait_suspend(); /* a checkpoint cannot be undone half way */
	int err;

	*ret_quiesced = 0;
	th_thread_waits();
	if (flags & TH_CHECKPOINT_AS_IS)
		err = checkpoint_relieving(store, step, arg, flags);
	else
		err = checkpoint_quiesced(store, step, arg, flags, ret_quiesced);
	th_nowait_resume(nowait);
	return err;
}

int th_checkpoint(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags)
{
	int quiesced;

	return checkpoint(store, step, arg, flags, &quiesced);
}

/* A checkpoint with both locks held. */
static int checkpoint_held(struct th_store *store)
{
	struct checkpoint c = { .store = store };
	int err = th_store_writable(store);

	if (err)
		return err;
	freeze(&c);
	return checkpoint_frozen(&c, NULL, NULL, 0);
}

static int checkpoint_one(struct th_store *store)
{
	struct th_space_stat stat;

	th_space_stat(store->space, &stat);
	return th_checkpoint(store, NULL, NULL, TH_CHECKPOINT_AS_IS | (stat.waiting > 0 ? TH_CHECKPOINT_FORCE : 0));
}

/* Are `blocks` available, or so many that no caller needs to wait for more? */
static bool has_plenty(struct th_store *store, uint64_t blocks)
{
	struct th_space_stat stat;

	th_space_stat(store->space, &stat);
	return stat.available >= blocks || stat.free > stat.emergency + stat.reserved + TH_RECLAIMED_MAX;
}

/* Can `blocks` not be had by making waiting blocks free? */
static bool is_futile(struct th_store *store, uint64_t blocks)
{
	struct th_space_stat stat;

	th_space_stat(store->space, &stat);
	return blocks != UINT64_MAX && !th_reclaim_due(store) &&
	       stat.free + stat.waiting < stat.emergency + stat.reserved + blocks;
}

/* Checkpoints until much space is free, or no more can be freed.  The first checkpoint writes the dirty nodes and frees
 * the blocks that these replace; two more make the blocks usable (S3).  As long as there is space to reclaim, each
 * counts as a first one. */
static int checkpoint_all(struct th_store *store, int (*one)(struct th_store *store), uint64_t blocks)
{
	struct th_space_stat stat;
	int err = 0, left = 3;

	for (bool first = true; !err && left > 0; first = false) {
		th_space_stat(store->space, &stat);
		if (!first &&
		    ((stat.waiting == 0 && left < 3) || has_plenty(store, blocks) || is_futile(store, blocks)))
			break;
		err = one(store);
		left = th_reclaim_due(store) ? 3 : left - 1;
	}
	return err;
}

/* May pushing messages down free space?  `beyond`: only if more deletes wait than N6 allows. */
static bool worth_pushing(struct th_store *store, bool beyond)
{
	const struct th_node *root;
	bool worth;

	pthread_rwlock_rdlock(&store->live.lock);
	root = store->live.root;
	if (beyond)
		worth = root->ptr.addr && root->ptr.deletes > th_deletes_most(root->ptr.records, root->level);
	else
		worth = root->chunks || !root->ptr.addr || root->ptr.deletes > 0;
	pthread_rwlock_unlock(&store->live.lock);
	return worth;
}

/* Pushes messages down in batches, and writes each batch before the next. */
static int push_down_all(struct th_store *store, uint64_t blocks)
{
	uint64_t seq = __atomic_load_n(&store->seq, __ATOMIC_ACQUIRE);
	struct th_key at = { .size = 0 };
	bool end = atomic_load(&store->pushed_seq) == seq || !worth_pushing(store, false);
	int err = 0;

	while (!err && !end && !has_plenty(store, blocks)) {
		int pushed = th_force_flush(store, &at, store->dirty_soft);

		if (pushed == 1)
			atomic_store(&store->pushed_seq, seq);
		end = pushed != 0; /* an error fails the store; -ENOSPC leaves the rest to the caller */
		err = checkpoint_all(store, checkpoint_one, blocks);
	}
	return err;
}

int th_checkpoint_reclaim(struct th_store *store, uint64_t blocks)
{
	bool nowait = th_nowait_suspend();
	int err = checkpoint_all(store, checkpoint_one, blocks);

	if (!err)
		err = push_down_all(store, blocks);
	th_nowait_resume(nowait);
	return err;
}

int th_checkpoint_push_deletes(struct th_store *store)
{
	uint64_t seq = __atomic_load_n(&store->seq, __ATOMIC_ACQUIRE);
	struct th_key at = { .size = 0 };
	int err = 0, pushed = 0;

	if (atomic_load(&store->pushed_seq) == seq || !worth_pushing(store, true))
		return 0;
	while (!err && pushed == 0) {
		pushed = th_force_flush(store, &at, store->dirty_soft);
		err = th_checkpoint(store, NULL, NULL, 0);
	}
	if (pushed == 1)
		atomic_store(&store->pushed_seq, seq); /* nodes that cannot be read are not tried for ever */
	return err;
}

int th_checkpoint_exclusive(struct th_store *store, th_exclusive_work *work, void *arg)
{
	bool nowait = th_nowait_suspend();
	int err;

	th_thread_waits();
	pthread_mutex_lock(&store->checkpoint_lock);
	pthread_mutex_lock(&store->merge_lock);
	err = checkpoint_all(store, checkpoint_held, UINT64_MAX);
	if (!err)
		err = work(store, arg);
	if (!err)
		err = checkpoint_held(store);
	pthread_mutex_unlock(&store->merge_lock);
	pthread_mutex_unlock(&store->checkpoint_lock);
	th_nowait_resume(nowait);
	return err;
}

int th_store_checkpoint(struct th_store *store)
{
	int quiesced, err;

	err = checkpoint(store, NULL, NULL, 0, &quiesced);
	return err ? err : quiesced;
}
