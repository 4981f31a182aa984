/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one open store, which all folders above share.
 *
 * Locks, taken in this order:
 *
 *   checkpoint_lock     one commit at a time; the meta tree is changed only by its holder
 *   merge_lock      one merge at a time; a freeze excludes merges; a graft holds this and checkpoint_lock for long
 *   live.lock       see tree.h
 *   sync_lock, log_lock
 *   chunk_lock, snapshot_lock, locks: leaves, held briefly
 */
#ifndef TH_TREE_STATE_STATE_H
#define TH_TREE_STATE_STATE_H

#include <pthread.h>

#include "journal/log.h"
#include "journal/space/space.h"
#include "journal/super.h"
#include "tree/btree/tree.h"
#include "tree/catalogue/branch_table.h"
#include "tree/catalogue/snapshot_table.h"
#include "tree/node/readahead.h"
#include "tree/txn/range_lock.h"

/* super.counters */
enum th_super_counter {
	TH_SUPER_BRANCH, /* id of the current one */
	TH_SUPER_NEXT_BRANCH,
	TH_SUPER_MARK, /* th_store_mark */
	TH_SUPER_HOLD, /* the highest id that a hold has had */
	TH_SUPER_ABANDONED, /* likewise of an abandoned head */
};

struct th_view {
	struct th_store *store;
	_Atomic unsigned refs; /* the one who opened it, and its subtree views; the live one's do not matter */
	struct th_view *whole; /* of a subtree view: what it is a part of, and holds; else NULL */
	struct th_slice prefix; /* that its keys lack (view.h): bytes behind a subtree view; else empty */
	struct th_tree *tree; /* whose lock guards transient nodes; NULL: there are none below root */
	struct th_node *root; /* NULL: the tree's present one */
	uint64_t seq;
	uint64_t snapshot; /* id, 0 for none */
	uint64_t branch; /* id; of a snapshot its record tells */
	unsigned *open_views; /* count of the snapshot or head it reads, which it keeps from being freed; snapshot_lock.
				 NULL: it reads the live tree */
};

/* What merges did since the last freeze that the next commit has to settle. */
struct th_epoch {
	struct th_drops drops, shares, strays;
};

struct th_pending;
struct th_chunk_io;
struct th_chunk_buffer;

struct th_store {
	struct th_disk *disk;
	struct th_store_options options;
	struct th_super super; /* of the last commit, and being made that of the next; checkpoint_lock */
	_Atomic uint64_t generation, checkpoint_ns; /* of the last commit, for whoever has no lock */
	struct th_cache *cache;
	struct th_readahead *ahead;
	struct th_space *space;
	struct th_log *log;
	struct th_tree live, meta;
	struct th_blocklist_write dead_write; /* of the live dead list; checkpoint_lock */
	bool meta_due; /* the superblock does not carry all that is new in the meta tree; checkpoint_lock */
	struct th_view live_view;
	uint64_t branch; /* id of the one that `live` is the head of */
	_Atomic uint64_t mark;
	_Atomic unsigned txns, frozen; /* open transactions and frozen views of the live tree */
	_Atomic bool rolling_back; /* there must be no new ones */
	unsigned abandoned_nodes; /* TH_ABANDONED_NODES, but for tests */
	size_t reap_entries; /* TH_RECLAIM_ENTRIES, likewise */
	_Atomic bool lists_due; /* something may be void on a dead list */
	_Atomic uint64_t deletions, deletions_durable; /* of snapshots, ever; those that a commit holds */
	bool read_only;
	bool log_lost; /* it could not be replayed: the state is that of the last commit */
	_Atomic int failed; /* -errno of what made the store refuse writes */
	/* Checkpoints until as much space as possible is free; for callers in lower folders that found none (-ENOSPC).
	 * Returns 0 or -errno.  Set when the store is opened. */
	int (*make_room)(struct th_store *store);

	pthread_mutex_t merge_lock;
	uint64_t seq;
	struct th_epoch epoch;
	_Atomic size_t dirty_bytes; /* live.dirty_bytes, for whoever has no lock */
	_Atomic size_t writing_bytes; /* of the commit under way */
	_Atomic uint64_t drained_seq; /* all messages up to this one were sent down (drain.c) */
	size_t dirty_soft; /* dirty bytes that wake the checkpointer */
	size_t dirty_hard; /* with those of the commit under way: that make a merging thread wait, or commit itself */

	_Atomic size_t merged_bytes; /* by so much the last merge made it more */
	_Atomic size_t checkpoint_speed; /* bytes that the last commit wrote in a microsecond; 0: not known */

	pthread_mutex_t checkpoint_lock;
	pthread_mutex_t budget_lock; /* of what the cache leaves to others; a leaf */

	pthread_mutex_t sync_lock;
	pthread_cond_t sync_done;
	struct th_pending *pending, **pending_end;
	size_t pending_bytes;
	uint64_t overflow_seq; /* newest record left out for want of memory: until a commit holds it, sync is a commit;
				  0: none */
	bool syncing;
	uint64_t synced_seq;
	struct th_log_position log_head;

	pthread_mutex_t log_lock; /* of `log`; held while it is appended to */

	pthread_mutex_t chunk_lock;
	pthread_cond_t chunk_done;
	struct th_chunk_io *chunk_writes;
	size_t chunk_bytes;
	struct th_chunk_buffer *chunk_buffers; /* free ones, each of a whole run */
	unsigned chunk_buffers_count;
	_Atomic unsigned chunk_count;

	pthread_mutex_t snapshot_lock;
	struct th_snapshot_table catalogue;
	struct th_branch_table branches;
	_Atomic uint64_t shared_blocks;

	struct th_range_lock_table locks; /* of ranges of keys: its callers' */

	pthread_t checkpointer;
	bool checkpointer_runs;
	pthread_mutex_t checkpointer_lock;
	pthread_cond_t checkpointer_wake;
	pthread_cond_t settled; /* there is less of writing_bytes, or of committing */
	bool checkpointer_stop, checkpoint_wanted;
	_Atomic unsigned committing; /* threads that are in a commit, or about to begin one */

	_Atomic uint64_t checkpoints, syncs, log_records, log_bytes, merges, spills, bulk_commits, node_writes,
		node_bytes_written;
};

/* Says it once, and makes the store refuse further writes. Returns error. */
int th_store_fail(struct th_store *store, int error, const char *what);
void th_store_report(struct th_store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is dirty, or is being written, takes memory that the cache has to leave to it.  After each change of how much
 * that is. */
void th_store_budget(struct th_store *store);
/* 0, or why nothing may be written. */
int th_store_writable(struct th_store *store);
/* Subtracts bytes that the checkpoint under way has written from writing_bytes, and wakes waiting merges. */
void th_store_settled(struct th_store *store, size_t bytes);
/* Returns 0 if `bytes` more can be written beside all that is dirty and all that is reserved, else -ENOSPC.  emergency:
 * three quarters of the emergency reserve may be used, too. */
int th_store_room_now(struct th_store *store, uint64_t bytes, bool emergency);
/* The same, for bytes that may use blocks reserved to others. */
int th_store_room_reserved(struct th_store *store, uint64_t bytes, bool emergency);

#endif
