/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, opening and closing a store; its mark and its statistics. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "journal/base/clock.h"
#include "journal/base/report.h"
#include "tree/catalogue/block_refs.h"
#include "tree/catalogue/head_reclaim.h"
#include "tree/catalogue/hold_table.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/reclaim.h"
#include "tree/catalogue/usage.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/checkpoint/checkpointer.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/io/chunk.h"
#include "tree/io/trim.h"
#include "tree/scrub/heal.h"
#include "tree/snapshot/branch.h"
#include "tree/state/state.h"
#include "tree/txn/replay.h"

#define TH_CACHE_DEFAULT (256u << 20)
#define TH_CHECKPOINT_INTERVAL_DEFAULT_MS 5000
#define TH_TXN_DEFAULT (64u << 20)
#define TH_LOG_BLOCKS_MIN 256u /* 1 MiB */
#define TH_LOG_BLOCKS_MAX 16384u /* 64 MiB */

/* A quarter of the cache may be dirty before a checkpoint is due, and half of it until it has ended, within these
 * bounds in bytes.  More dirty nodes make checkpoints rarer and larger, and leave less of the cache to reads. */
#define TH_DIRTY_SOFT_MIN (4u << 20)
#define TH_DIRTY_SOFT_MAX (128u << 20)

/* --- the heartbeat --- */

/* Refuses transfers to a disk that another machine has taken.  The heartbeat itself looks before it writes. */
static int guard_disk(void *heartbeat, uint64_t addr)
{
	return addr == TH_HEARTBEAT_BLOCK ? 0 : th_heartbeat_check(heartbeat);
}

/* Makes this process the only writer of the disk among those of all machines. */
static int take_disk(struct th_disk *disk, unsigned heartbeat_ms, struct th_heartbeat **ret)
{
	struct th_heartbeat_host here;
	int err;

	if (!heartbeat_ms)
		heartbeat_ms = disk->shared ? TH_HEARTBEAT_DEFAULT_MS : TH_HEARTBEAT_OFF;
	th_heartbeat_here(&here);
	err = th_heartbeat_start(disk, &here, heartbeat_ms == TH_HEARTBEAT_OFF ? 0 : heartbeat_ms, ret);
	if (!err && *ret) {
		disk->guard_arg = *ret;
		disk->guard = guard_disk;
	}
	return err;
}

/* Takes the disk if there is a store on it.  Its superblock is read again afterwards: until then another machine may
 * have written. */
static int begin_heartbeat(struct th_disk *disk, const struct th_store_options *options, struct th_heartbeat **ret)
{
	struct th_super super;
	int err = th_super_read(disk, &super);

	return err ? err : take_disk(disk, options ? options->heartbeat_ms : 0, ret);
}

static void leave_disk(struct th_disk *disk, struct th_heartbeat *heartbeat)
{
	disk->guard = NULL;
	th_heartbeat_stop(heartbeat, true);
}

/* --- format --- */

static int new_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

/* Returns the size of one copy.  By default all copies together take 1/32 of the disk. */
static uint64_t choose_log_blocks(uint64_t blocks, unsigned copies, uint64_t wanted_bytes)
{
	uint64_t log = wanted_bytes ? wanted_bytes / TH_BLOCK_SIZE : blocks / 32 / copies;

	if (log < TH_LOG_BLOCKS_MIN)
		log = TH_LOG_BLOCKS_MIN;
	if (log > TH_LOG_BLOCKS_MAX && !wanted_bytes)
		log = TH_LOG_BLOCKS_MAX;
	return log;
}

/* Makes the superblock from which the checkpoint of th_store_format() begins; it is not written itself. */
static int blank_super(struct th_disk *disk, const struct th_format_options *options, struct th_super *super)
{
	unsigned copies = options && options->metadata_copies ? options->metadata_copies : 1;

	if (copies > TH_COPIES_MAX)
		return -EINVAL;
	*super = (struct th_super){
		.blocks = disk->blocks,
		.log_first = TH_SUPER_FIRST_FREE,
		.log_blocks = choose_log_blocks(disk->blocks, copies, options ? options->log_bytes : 0),
		.next_snapshot_id = 1,
		.created_ns = th_now_ns(),
		.copies = (uint8_t)copies,
	};
	if (disk->blocks < TH_IMAGE_MIN / TH_BLOCK_SIZE || super->log_blocks > disk->blocks / 4)
		return -EINVAL;
	if (options && options->label) {
		if (strlen(options->label) > TH_LABEL_MAX)
			return -EINVAL;
		strcpy(super->label, options->label);
	}
	/* Far from the first copy, and from the end, where nodes find runs. */
	if (super->copies > 1)
		super->log_mirror = disk->blocks / 2;
	return new_uuid(super->uuid);
}

/* --- open and close --- */

static int claim_fixed(struct th_store *store)
{
	const struct th_super *super = &store->super;
	int err = th_space_claim(store->space, 0, super->log_first + super->log_blocks);

	if (!err && super->log_mirror)
		err = th_space_claim(store->space, super->log_mirror, super->log_blocks);
	return err ? err : th_space_claim(store->space, super->blocks - TH_SUPER_TAIL_BLOCKS, TH_SUPER_TAIL_BLOCKS);
}

static void init_locks(struct th_store *store)
{
	th_range_lock_table_init(&store->locks);
	pthread_mutex_init(&store->merge_lock, NULL);
	pthread_mutex_init(&store->turn_lock, NULL);
	pthread_mutex_init(&store->checkpoint_lock, NULL);
	pthread_mutex_init(&store->sync_lock, NULL);
	pthread_cond_init(&store->sync_done, NULL);
	pthread_mutex_init(&store->log_lock, NULL);
	pthread_mutex_init(&store->chunk_lock, NULL);
	pthread_cond_init(&store->chunk_done, NULL);
	pthread_mutex_init(&store->snapshot_lock, NULL);
	pthread_mutex_init(&store->checkpointer_lock, NULL);
	pthread_mutex_init(&store->budget_lock, NULL);
	pthread_cond_init(&store->progress, NULL);
}

static void set_options(struct th_store *store, const struct th_store_options *options)
{
	struct th_store_options *o = &store->options;

	if (options)
		*o = *options;
	if (!o->cache_bytes)
		o->cache_bytes = TH_CACHE_DEFAULT;
	if (!o->checkpoint_interval_ms)
		o->checkpoint_interval_ms = TH_CHECKPOINT_INTERVAL_DEFAULT_MS;
	if (!o->txn_bytes)
		o->txn_bytes = TH_TXN_DEFAULT;
	if (!o->report)
		o->report = th_report_to_stderr;
	store->read_only = o->read_only;
	store->dirty_soft = o->cache_bytes / 4;
	if (store->dirty_soft < TH_DIRTY_SOFT_MIN)
		store->dirty_soft = TH_DIRTY_SOFT_MIN;
	if (store->dirty_soft > TH_DIRTY_SOFT_MAX)
		store->dirty_soft = TH_DIRTY_SOFT_MAX;
	store->dirty_hard = 2 * store->dirty_soft;
}

static void store_release(struct th_store *store)
{
	th_log_queue_trim(store, UINT64_MAX);
	th_snapshot_table_release(&store->catalogue);
	th_branch_table_release(&store->branches);
	th_tree_release(&store->live);
	th_tree_release(&store->meta);
	th_cache_free(store->cache);
	th_heal_release(store);
	th_readahead_free(store->ahead);
	th_drops_release(&store->epoch.drops);
	th_drops_release(&store->epoch.shares);
	th_drops_release(&store->epoch.strays);
	th_log_free(store->log);
	th_space_free(store->space);
	th_range_lock_table_release(&store->locks);
	th_chunk_buffers_release(store);
	pthread_mutex_destroy(&store->merge_lock);
	pthread_mutex_destroy(&store->turn_lock);
	pthread_mutex_destroy(&store->checkpoint_lock);
	pthread_mutex_destroy(&store->sync_lock);
	pthread_cond_destroy(&store->sync_done);
	pthread_mutex_destroy(&store->log_lock);
	pthread_mutex_destroy(&store->chunk_lock);
	pthread_cond_destroy(&store->chunk_done);
	pthread_mutex_destroy(&store->snapshot_lock);
	pthread_mutex_destroy(&store->checkpointer_lock);
	pthread_mutex_destroy(&store->budget_lock);
	pthread_cond_destroy(&store->progress);
	free(store);
}

/* Makes a store over a disk, with a superblock but nothing loaded.  The disk stays the caller's. */
static int store_new(struct th_disk *disk, const struct th_store_options *options, const struct th_super *super,
		     struct th_store **ret)
{
	struct th_store *store = calloc(1, sizeof(*store));
	int err;

	if (!store)
		return -ENOMEM;
	store->disk = disk;
	store->make_room = th_checkpoint_reclaim;
	store->super = *super;
	store->seq = store->synced_seq = super->sequence;
	atomic_store(&store->generation, super->generation);
	atomic_store(&store->checkpoint_ns, super->checkpoint_ns);
	atomic_store(&store->mark, super->counters[TH_SUPER_MARK]);
	store->branch = super->counters[TH_SUPER_BRANCH];
	store->copies = super->copies;
	store->abandoned_nodes = TH_ABANDONED_NODES;
	store->reclaim_entries = TH_RECLAIM_ENTRIES;
	atomic_store(&store->lists_due, true); /* unknown until the first pass */
	store->pending_end = &store->pending;
	store->live_view = (struct th_view){ .store = store, .tree = &store->live };
	set_options(store, options);
	init_locks(store);
	err = th_readahead_new(disk, &store->ahead);
	if (!err)
		err = th_cache_new(disk, store->ahead, store->options.cache_bytes, store->options.report,
				   store->options.arg, &store->cache);
	if (!err)
		err = th_heal_start(store);
	th_tree_init(&store->live, store->cache, super->generation + 1, TH_OVERLAY_BYTES);
	/* A reader keeps the messages of the superblock in the root, since a node below may be damaged. */
	th_tree_init(&store->meta, store->cache, super->generation + 1,
		     store->read_only ? TH_OVERLAY_BYTES : TH_META_OVERLAY_BYTES);
	if (!err)
		err = th_space_new(super->blocks, &store->space);
	if (!err)
		err = claim_fixed(store);
	if (err)
		goto fail;
	th_space_set_copies(store->space, store->copies);
	*ret = store;
	return 0;
fail:
	store_release(store);
	return err;
}

int th_store_format(struct th_disk *disk, const struct th_format_options *options)
{
	struct th_heartbeat *none;
	struct th_store *store;
	struct th_super super;
	int err = blank_super(disk, options, &super);

	if (err)
		return err;
	if (th_super_present(disk)) {
		if (!options || !options->force)
			return -EEXIST;
		err = take_disk(disk, TH_HEARTBEAT_OFF, &none);
	}
	if (!err)
		err = th_super_erase(disk);
	if (!err)
		err = th_heartbeat_erase(disk);
	if (!err)
		err = store_new(disk, NULL, &super, &store);
	if (err)
		return err;
	err = th_tree_load(&store->live, &(struct th_ptr){ 0 });
	if (!err)
		err = th_tree_load(&store->meta, &(struct th_ptr){ 0 });
	store->meta_due = true;
	if (!err)
		err = th_checkpoint(store, th_branch_first_step, NULL,
				    TH_CHECKPOINT_FORCE | TH_CHECKPOINT_CLEAN | TH_CHECKPOINT_AS_IS);
	store_release(store);
	return err;
}

/* Loads the root of a tree.  A reader does without a damaged one: what does not need it can still be read. */
static int load_root(struct th_store *store, struct th_tree *tree, const uint8_t *bytes, enum th_lost part)
{
	struct th_ptr_disk disk;
	struct th_ptr ptr;
	int err;

	memcpy(&disk, bytes, sizeof(disk));
	err = th_ptr_unpack(&disk, &ptr);
	if (err)
		return err;
	err = th_tree_load(tree, &ptr);
	if (!th_store_lenient(store, err))
		return err;
	th_store_lose(store, part);
	return th_tree_load_above(tree, &ptr);
}

/* Loads the map of free space, which a reader does not need. */
static int load_space(struct th_store *store)
{
	int err = th_space_load(store->space, store->disk, &store->super.space_log);

	if (!th_store_lenient(store, err))
		return err;
	th_store_lose(store, TH_LOST_SPACE);
	return 0;
}

/* Loads the tables of the meta tree. */
static int load_catalogue(struct th_store *store)
{
	int err = th_meta_load(store);

	if (!err)
		err = th_branch_table_load(store);
	if (!err)
		err = th_snapshot_table_load(store);
	if (!err)
		err = th_hold_table_load(store);
	if (!err)
		err = th_block_refs_load(store);
	return err;
}

static int load_state(struct th_store *store)
{
	int err = load_space(store);

	if (!err)
		err = load_root(store, &store->live, store->super.live_root, TH_LOST_LIVE);
	if (!err)
		err = load_root(store, &store->meta, store->super.meta_root, TH_LOST_CATALOGUE);
	if (!err)
		err = load_catalogue(store);
	if (!err)
		th_usage_update(store);
	else
		th_store_report(store, "%s: generation %" PRIu64 " cannot be loaded: %s", store->disk->name,
				store->super.generation, strerror(-err));
	return err;
}

/* Begins a new log with an identity of its own, switches the branch, and starts the checkpointer. */
static int begin_writing(struct th_store *store)
{
	int err;

	th_trim_start(store);
	store->super.mount_count++;
	store->log_head = (struct th_log_position){ 0 };
	err = th_log_new(store->disk, th_super_log(&store->super), th_log_identity(&store->super), store->log_head,
			 &store->log);
	if (!err)
		err = th_checkpoint(store, NULL, NULL, TH_CHECKPOINT_FORCE | TH_CHECKPOINT_AS_IS);
	if (!err && store->options.branch)
		err = th_branch_switch(store, store->options.branch);
	store->options.branch = NULL; /* belongs to the caller */
	return err ? err : th_checkpointer_start(store);
}

/* Opens the state that the superblock names, without the log. */
static int open_state(struct th_disk *disk, const struct th_store_options *options, const struct th_super *super,
		      struct th_store **ret)
{
	struct th_store *store;
	int err = store_new(disk, options, super, &store);

	if (err)
		return err;
	err = load_state(store);
	if (!err && store->options.branch && !th_branch_table_named(&store->branches, store->options.branch))
		err = -ENOENT;
	if (err)
		store_release(store);
	else
		*ret = store;
	return err;
}

/* Replays the log.  If the log is damaged, the state is that before the damage.  If a damaged node prevents the replay,
 * it is the last checkpoint: a state with half of a record never existed.  Both are for readers, and for a caller that
 * gives up the changes after it. */
static int replay(const struct th_store_options *options, const struct th_super *super, struct th_store **store)
{
	struct th_disk *disk = (*store)->disk;
	bool accept = (*store)->read_only || (*store)->options.truncate_log;
	int err = th_log_replay_store(*store);

	if (!err && (*store)->log_stranded && !accept)
		return -ENOTRECOVERABLE;
	if (!accept || (err != -EBADMSG && err != -EUCLEAN && err != -EIO))
		return err;
	store_release(*store);
	*store = NULL;
	err = open_state(disk, options, super, store);
	if (err)
		return err;
	(*store)->log_lost = true;
	th_store_report(*store, "%s: opened as of its last checkpoint; later transactions are missing", disk->name);
	return 0;
}

/* --- rescue --- */

/* Returns whether all trees of an open state can be reached from their roots. */
static bool has_roots(const struct th_store *store)
{
	return !(store->lost & (TH_LOST_LIVE | TH_LOST_CATALOGUE));
}

/* Opens the first state of the list that has its roots, or else the first that can be opened. */
static int open_best(struct th_disk *disk, const struct th_store_options *options, const struct th_super *list,
		     size_t count, struct th_store **ret)
{
	size_t first = count;
	int err = -EUCLEAN, opened;

	for (size_t i = 0; i < count; i++) {
		opened = open_state(disk, options, &list[i], ret);
		if (!opened && has_roots(*ret))
			return 0;
		if (!opened) {
			store_release(*ret);
			*ret = NULL;
			if (first == count)
				first = i;
		} else if (i == 0) {
			err = opened;
		}
	}
	return first < count ? open_state(disk, options, &list[first], ret) : err;
}

static void report_generation(struct th_store *store, const struct th_super *newest)
{
	if (store->super.generation == newest->generation)
		th_store_report(store, "%s: generation %" PRIu64 " is shown, the newest one", store->disk->name,
				newest->generation);
	else
		th_store_report(store,
				"%s: generation %" PRIu64 " is shown, which is %" PRIu64
				" seconds older than the newest, %" PRIu64 "; later changes are missing",
				store->disk->name, store->super.generation,
				(newest->checkpoint_ns - store->super.checkpoint_ns) / 1000000000u, newest->generation);
}

/* Opens one of the generations of which there is a superblock.  Only the newest has a log. */
static int open_rescue(struct th_disk *disk, const struct th_store_options *options, struct th_store **ret)
{
	struct th_super *list, super;
	size_t count, from = 0;
	int err = th_super_list(disk, &list, &count);

	if (err)
		return err;
	while (options->generation && from < count && list[from].generation != options->generation)
		from++;
	if (!count)
		err = th_super_read(disk, &super); /* reports why there is none */
	else if (from == count)
		err = -ESRCH;
	else
		err = open_best(disk, options, list + from, options->generation ? 1 : count, ret);
	if (!err && (*ret)->super.generation == list[0].generation && !list[0].clean)
		err = replay(options, &list[0], ret);
	if (!err)
		report_generation(*ret, &list[0]);
	free(list);
	return err;
}

/* Rewrites damaged copies of superblocks, and reports damage that a crash does not explain. */
static int mend_super(struct th_disk *disk, const struct th_super *super)
{
	struct th_super_rings rings;
	int err = th_super_mend(disk, super, &rings);

	if (!err && rings.slots > 1)
		th_disk_report(disk, "superblock: %u of 16 copies were damaged, of which %u are rewritten",
			       rings.damaged, rings.mended);
	return err;
}

/* Opens the state of the newest superblock, and of the log after it. */
static int open_newest(struct th_disk *disk, const struct th_store_options *options, struct th_store **ret)
{
	struct th_super super;
	int err = th_super_read(disk, &super);

	if (!err && disk->heals)
		err = mend_super(disk, &super);
	if (!err)
		err = open_state(disk, options, &super, ret);
	if (!err && !super.clean)
		err = replay(options, &super, ret);
	return err;
}

/* For a disk that goes back to the caller: what the options of the store name may not outlive it. */
static void report_nothing(struct th_disk *disk)
{
	disk->report = NULL;
	disk->report_arg = NULL;
	disk->heals = false;
}

int th_store_open(struct th_disk *disk, const struct th_store_options *options, struct th_store **ret)
{
	bool rescue = options && options->rescue, writes = !options || !options->read_only;
	struct th_heartbeat *heartbeat = NULL;
	struct th_store *store = NULL;
	int err = 0;

	if (rescue && writes)
		return -EINVAL;

	disk->report = options && options->report ? options->report : th_report_to_stderr;
	disk->report_arg = options ? options->arg : NULL;
	disk->heals = !(options && options->read_only);
	if (writes)
		err = begin_heartbeat(disk, options, &heartbeat);
	if (!err)
		err = rescue ? open_rescue(disk, options, &store) : open_newest(disk, options, &store);
	if (store)
		store->heartbeat = heartbeat;
	if (!err && writes)
		err = begin_writing(store);
	else if (!err && store->options.branch)
		err = th_branch_switch(store, store->options.branch);
	if (!err) {
		*ret = store;
		return 0;
	}
	if (store)
		store_release(store);
	leave_disk(disk, heartbeat);
	report_nothing(disk);
	return err;
}

int th_store_close(struct th_store *store)
{
	struct th_heartbeat *heartbeat = store->heartbeat;
	struct th_disk *disk = store->disk;
	bool keep = store->options.keep_disk;
	int err = 0;

	th_checkpointer_stop(store);
	th_heal_run(store);
	if (!store->read_only) {
		err = th_checkpoint(store, NULL, NULL, TH_CHECKPOINT_CLEAN | TH_CHECKPOINT_STRICT);
		if (!err)
			th_trim_finish(store);
	}
	th_chunk_wait_all(store);
	store_release(store);
	leave_disk(disk, heartbeat);
	if (keep)
		report_nothing(disk);
	else
		th_disk_close(disk);
	return err;
}

/* Makes waiting blocks free: two checkpoints do (S3). */
static int free_waiting(struct th_store *store)
{
	struct th_space_stat stat;
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		th_space_stat(store->space, &stat);
		err = th_checkpoint(store, NULL, NULL, stat.waiting ? TH_CHECKPOINT_FORCE : 0);
	}
	return err;
}

int th_store_trim(struct th_store *store, uint64_t start, uint64_t length, uint64_t least, uint64_t *ret_bytes)
{
	uint64_t end = length > UINT64_MAX - start ? UINT64_MAX : start + length, blocks;
	uint64_t first = start / TH_BLOCK_SIZE + (start % TH_BLOCK_SIZE != 0);
	int err;

	*ret_bytes = 0;
	err = th_store_writable(store);
	if (!err)
		err = free_waiting(store);
	if (err)
		return err;
	err = th_space_trim(store->space, store->disk, first, end / TH_BLOCK_SIZE,
			    least > TH_BLOCK_SIZE ? (least - 1) / TH_BLOCK_SIZE + 1 : 1, &blocks);
	*ret_bytes = blocks * TH_BLOCK_SIZE;
	return err;
}

uint64_t th_store_mark(struct th_store *store)
{
	return atomic_load(&store->mark);
}

void th_store_raise_mark(struct th_store *store, uint64_t mark)
{
	uint64_t now = atomic_load(&store->mark);

	while (now < mark && !atomic_compare_exchange_weak(&store->mark, &now, mark))
		;
}

/* Returns the blocks for data.  Those that wait count: a writer that needs them runs a checkpoint. */
static uint64_t space_left(const struct th_space_stat *space)
{
	uint64_t held = space->reserved + space->emergency, all = space->free + space->waiting;

	return all > held ? all - held : 0;
}

void th_store_info(struct th_store *store, struct th_store_info *ret)
{
	struct th_cache_stat cache;
	struct th_space_stat space;
	struct th_usage usage;

	th_cache_stat(store->cache, &cache);
	th_space_stat(store->space, &space);
	usage = th_usage(store, space.blocks - space.free - space.waiting);
	*ret = (struct th_store_info){
		.label = store->super.label,
		.block_size = TH_BLOCK_SIZE,
		.blocks = space.blocks,
		.blocks_data = usage.data,
		.blocks_metadata = usage.metadata,
		.blocks_snapshots = usage.snapshots,
		.blocks_waiting = space.waiting,
		.blocks_free = space.free,
		.blocks_reserved = space.reserved,
		.blocks_emergency = space.emergency,
		.blocks_available = space_left(&space),
		.generation = atomic_load(&store->generation),
		.sequence = __atomic_load_n(&store->seq, __ATOMIC_RELAXED),
		.created_ns = store->super.created_ns,
		.checkpoint_ns = atomic_load(&store->checkpoint_ns),
		.shared_blocks = atomic_load(&store->shared_blocks),
		.cache_bytes = store->options.cache_bytes,
		.cache_used = cache.used,
		.dirty_bytes = atomic_load(&store->dirty_bytes),
		.node_reads = cache.reads,
		.node_writes = atomic_load(&store->node_writes),
		.node_cache_hits = cache.hits,
		.node_bytes_written = atomic_load(&store->node_bytes_written),
		.checkpoints = atomic_load(&store->checkpoints),
		.syncs = atomic_load(&store->syncs),
		.log_records = atomic_load(&store->log_records),
		.log_bytes = atomic_load(&store->log_bytes),
		.merges = atomic_load(&store->merges),
		.spills = atomic_load(&store->spills),
		.bulk_commits = atomic_load(&store->bulk_commits),
		.disk_reads = __atomic_load_n(&store->disk->reads, __ATOMIC_RELAXED),
		.disk_bytes_read = __atomic_load_n(&store->disk->bytes_read, __ATOMIC_RELAXED),
		.disk_writes = __atomic_load_n(&store->disk->writes, __ATOMIC_RELAXED),
		.disk_bytes_written = __atomic_load_n(&store->disk->bytes_written, __ATOMIC_RELAXED),
		.disk_flushes = __atomic_load_n(&store->disk->flushes, __ATOMIC_RELAXED),
		.read_only = th_store_writable(store) < 0,
		.failure = th_store_failure(store),
		.log_stranded = store->log_stranded,
		.log_lost = store->log_lost,
		.lost = store->lost,
	};
	memcpy(ret->uuid, store->super.uuid, sizeof(ret->uuid));
	pthread_rwlock_rdlock(&store->live.lock);
	ret->height = store->live.root->level + 1u;
	pthread_rwlock_unlock(&store->live.lock);
	pthread_mutex_lock(&store->snapshot_lock);
	ret->snapshots = store->catalogue.named;
	ret->branches = store->branches.named;
	strcpy(ret->branch, th_branch_table_find(&store->branches, store->branch)->name);
	pthread_mutex_unlock(&store->snapshot_lock);
}
