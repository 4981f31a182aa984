/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one open store, which all folders above share.
 *
 * Locks, in the order in which a thread takes them:
 *
 *   turn_lock              one checkpoint at a time that quiesces the callers, so that they never wait for another
 *   one's
 *                          writes; quiesce runs under it, with all locks of the callers
 *   checkpoint_lock        one checkpoint at a time; only its holder changes the meta tree, the superblock and the
 *                          tables of snapshots and branches
 *   merge_lock             one transaction is applied at a time, and none during a freeze; a bulk commit holds both
 *                          locks for long
 *   live.lock, meta.lock   nodes of a tree (btree/tree.h)
 *   sync_lock, log_lock    the queue of log records; the log
 *   chunk_lock, snapshot_lock, checkpointer_lock, budget_lock, locks.mutex
 *                          held briefly and never together; under budget_lock the locks of the cache are taken
 */
#ifndef TH_TREE_STATE_STATE_H
#define TH_TREE_STATE_STATE_H

#include <pthread.h>

#include "journal/heartbeat.h"
#include "journal/log.h"
#include "journal/space/space.h"
#include "journal/super.h"
#include "tree/btree/tree.h"
#include "tree/catalogue/branch_table.h"
#include "tree/catalogue/snapshot_table.h"
#include "tree/node/readahead.h"
#include "tree/txn/range_lock.h"

/* Indices of super.counters. */
enum th_super_counter {
	TH_SUPER_BRANCH, /* id of the current branch */
	TH_SUPER_NEXT_BRANCH, /* id of the next branch */
	TH_SUPER_MARK, /* th_store_mark() */
	TH_SUPER_HOLD, /* highest id of a hold so far */
	TH_SUPER_ABANDONED, /* highest id of an abandoned head so far */
	TH_SUPER_NODE_BLOCKS, /* blocks of all nodes, of all trees */
	TH_SUPER_DEAD_NODE_BLOCKS, /* those of them that are on dead lists */
};

/* Counts of blocks: catalogue/usage.h. */
struct th_usage_counts {
	uint64_t fixed, pages; /* superblocks and intent log; pages of block lists */
	uint64_t nodes, dead_nodes; /* of all trees; those of them that are on dead lists */
	uint64_t dead; /* on dead lists */
};

struct th_view {
	struct th_store *store;
	_Atomic unsigned refs; /* its opener and its subtree views; not counted for the live view */
	struct th_view *whole; /* of a subtree view: the view of all keys, which it references; else NULL */
	struct th_slice prefix; /* of a subtree view: the prefix of its keys, stored after the view; else empty */
	struct th_tree *tree; /* its lock guards the transient nodes below root; NULL: there are none */
	struct th_node *root; /* NULL: the root of `tree` at the time of the read */
	uint64_t seq; /* newest message in it */
	uint64_t snapshot; /* id, 0 for none */
	uint64_t branch; /* id; of a snapshot's view the snapshot's record has it */
	struct th_view_count *count; /* of the snapshot or head it reads, which it keeps from being freed.  NULL: it
					reads the live tree */
};

/* Blocks whose references transactions changed since the last freeze, for the next checkpoint. */
struct th_epoch {
	struct th_drops drops; /* references dropped */
	struct th_drops shares; /* references added */
	struct th_drops strays; /* references that look older than they are (catalogue/dead_list.h) */
};

struct th_chunk_buffer; /* io/chunk.c */
struct th_chunk_io; /* io/chunk.c */
struct th_pending; /* checkpoint/log_queue.h */
struct th_heal; /* scrub/heal.h */

struct th_store {
	struct th_disk *disk;
	struct th_store_options options;
	struct th_super super; /* of the last checkpoint; a checkpoint changes it into its own; checkpoint_lock */
	_Atomic uint64_t generation, checkpoint_ns; /* of the last checkpoint, for readers without a lock */
	struct th_cache *cache;
	struct th_readahead *ahead;
	struct th_space *space;
	struct th_heartbeat *heartbeat; /* NULL: none */
	struct th_log *log; /* log_lock; NULL while the store is formatted or read-only */
	struct th_tree live, meta;
	struct th_blocklist_write dead_write; /* of the live dead list; checkpoint_lock */
	bool scrub_due; /* the next checkpoint is to save how far a scrub is; checkpoint_lock */
	struct th_heal *heal; /* nodes to be healed (scrub/heal.h); owned */
	bool meta_due; /* the superblock cannot carry all changes of the meta tree; checkpoint_lock */
	struct th_view live_view;
	uint64_t branch; /* id of the branch whose head is `live` */
	_Atomic uint64_t mark; /* th_store_mark() */
	_Atomic unsigned txns, frozen; /* open transactions; frozen views of the live tree */
	_Atomic bool rolling_back; /* no transaction or frozen view may be opened */
	unsigned abandoned_nodes; /* TH_ABANDONED_NODES, or fewer in tests */
	unsigned copies; /* of each node */
	unsigned scatter_one_in; /* for tests: every Nth node is scattered, though there is a run for it; 0: none */
	size_t reclaim_entries; /* TH_RECLAIM_ENTRIES, or fewer in tests */
	_Atomic bool lists_due; /* a dead list may have reclaimable entries */
	_Atomic uint64_t deletions, deletions_durable; /* snapshots deleted since open; those that a checkpoint has */
	bool read_only;
	unsigned lost; /* parts that could not be read when it was opened (enum th_lost) */
	bool log_lost; /* the log could not be replayed: the state is that of the last checkpoint */
	uint64_t log_stranded; /* records of the log after a damaged one, which were not replayed */
	_Atomic int failed; /* errno of the failure after which the store refuses writes; 0: none */
	/* Checkpoints until `blocks` can be taken or reserved by users, or, with UINT64_MAX, until as much space as
	 * possible is free.  For callers in lower folders that got -ENOSPC.  Returns 0 or -errno.  Set when the store
	 * is opened.  No lock of the list above is held. */
	int (*make_room)(struct th_store *store, uint64_t blocks);

	pthread_mutex_t merge_lock;
	uint64_t seq; /* number of the last transaction applied; written with merge_lock, read atomically */
	struct th_epoch epoch; /* merge_lock */
	_Atomic size_t dirty_bytes; /* live.dirty_bytes, for readers without a lock */
	_Atomic size_t writing_bytes; /* frozen by the checkpoint under way, and not yet written */
	_Atomic size_t merging_bytes; /* that the merge under way may make dirty */
	_Atomic uint64_t pushed_seq; /* th_force_flush() has pushed down all messages up to this one */
	size_t dirty_soft; /* dirty bytes that wake the checkpointer */
	size_t dirty_hard; /* dirty and writing bytes that make a committing thread wait, or checkpoint itself */

	_Atomic size_t merged_bytes; /* bytes that the last transaction made dirty */
	_Atomic size_t checkpoint_speed; /* bytes per microsecond of the last checkpoint; 0: not known */

	pthread_mutex_t turn_lock;
	pthread_mutex_t checkpoint_lock;
	pthread_mutex_t budget_lock; /* of th_store_budget() */

	pthread_mutex_t sync_lock; /* guards the fields up to log_head */
	pthread_cond_t sync_done;
	struct th_pending *pending, **pending_end; /* records for the log, oldest first */
	size_t pending_bytes;
	uint64_t pending_seq; /* number of the last transaction that was queued */
	uint64_t overflow_seq; /* newest record that the queue dropped for lack of memory: until a checkpoint has it, a
				  sync is a checkpoint; 0: none */
	bool syncing; /* a thread is writing the log */
	uint64_t moments, moment_durable; /* number of the last moment that a sync began, and of the last durable one */
	uint64_t synced_seq; /* transactions up to this one are durable */
	struct th_log_position log_head; /* end of the log's durable records */

	pthread_mutex_t log_lock; /* of `log`; held during appends */

	pthread_mutex_t chunk_lock; /* guards the fields up to chunk_count */
	pthread_cond_t chunk_done;
	struct th_chunk_io *chunk_writes; /* under way */
	size_t chunk_bytes; /* of these */
	struct th_chunk_buffer *chunk_buffers; /* free buffers, each of TH_RUN_MAX blocks */
	unsigned chunk_buffers_count;
	_Atomic unsigned chunk_count; /* of writes under way, for readers without a lock */

	pthread_mutex_t snapshot_lock; /* guards the two tables and `usage` */
	struct th_snapshot_table catalogue;
	struct th_branch_table branches;
	struct th_usage_counts usage; /* as of the last checkpoint */
	_Atomic uint64_t shared_blocks; /* in the table of block references */

	struct th_range_lock_table locks; /* range locks of callers */

	pthread_t checkpointer;
	bool checkpointer_runs;
	pthread_mutex_t checkpointer_lock; /* guards the fields below */
	pthread_cond_t checkpointer_wake;
	pthread_cond_t progress; /* writing_bytes or `committing` became less */
	bool checkpointer_stop, checkpoint_wanted;
	_Atomic unsigned committing; /* threads in a checkpoint, or about to begin one */

	/* Statistics: struct th_store_info. */
	_Atomic uint64_t checkpoints, syncs, log_records, log_bytes, merges, spills, bulk_commits, node_writes,
		node_bytes_written;
};

/* Makes the store refuse writes, and reports the first failure: `what` failed with `error`.  Returns error. */
int th_store_fail(struct th_store *store, int error, const char *what);
/* Call options.quiesce and options.resume, if there are any.  Returns the error of quiesce; th_store_resume() follows
 * in either case.  No lock is held but turn_lock. */
int th_store_quiesce(struct th_store *store);
void th_store_resume(struct th_store *store);
/* Reports one line, of any length, to the caller of the store. */
void th_store_report(struct th_store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Tells the cache how much memory dirty nodes and nodes being written take, which it leaves free, and the space map how
 * many blocks these need.  To be called after each change of these. */
void th_store_budget(struct th_store *store);
/* Add blocks to a counter of the superblock, or subtract them, which ends at 0: a damaged image may have any counts.
 * Requires checkpoint_lock. */
void th_store_count_up(struct th_store *store, enum th_super_counter counter, uint64_t blocks);
void th_store_count_down(struct th_store *store, enum th_super_counter counter, uint64_t blocks);
/* Returns 0, or -EROFS if the store was opened read-only, has failed, or has lost its disk to another machine. */
int th_store_writable(struct th_store *store);
/* Returns true if the error means damage on the disk, and the store was opened to be read: then a structure that other
 * reads do not need may be missing. */
bool th_store_lenient(const struct th_store *store, int err);
/* Notes that a part could not be read, and reports it the first time. */
void th_store_lose(struct th_store *store, enum th_lost part);
/* Notes that the checkpoint under way has written `bytes` of its frozen nodes, and wakes threads that wait in
 * th_checkpoint_throttle(). */
void th_store_written(struct th_store *store, size_t bytes);

/* Parts of the emergency reserve (docs/architecture.md, "A full disk"). */
enum th_room {
	TH_ROOM_NORMAL, /* none of it may be used */
	TH_ROOM_FREEING, /* five eighths, by transactions that free space, or whose data has its space */
	TH_ROOM_FLUSH, /* three quarters, by th_force_flush() */
};

/* Returns 0 if `bytes` can be written in addition to all dirty nodes and all reserved blocks, else -ENOSPC. */
int th_store_room_now(struct th_store *store, uint64_t bytes, enum th_room room);
/* Returns the bytes that nodes take at most on the disk, in one copy: a scattered node of two blocks takes three. */
static inline uint64_t th_store_scattered(uint64_t bytes)
{
	return bytes + bytes / 2;
}

/* Lets changes of the live tree in, if the disk has room for `worst` bytes of nodes in addition to all dirty ones (S4).
 * They may use reserved blocks.  Sets the tree's limit for work that can wait.  merge_lock is held, from here to
 * th_store_merge_end().
 *
 * Returns 0 or -ENOSPC: then the limit forbids all work that can wait. */
int th_store_merge_begin(struct th_store *store, size_t worst, enum th_room room);
/* Notes what has become dirty, and ends the limit. */
void th_store_merge_end(struct th_store *store);

#endif
