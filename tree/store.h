/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's inside: what the files of tree/ share about one open store.
 *
 * Locks, taken in this order:
 *
 *   checkpoint_lock     one commit at a time; the meta tree is changed only by its holder
 *   merge_lock      one merge at a time; a freeze excludes merges; a graft holds this and checkpoint_lock for long
 *   live.lock       see tree.h
 *   sync_lock, log_lock
 *   chunk_lock, snapshot_lock, locks: leaves, held briefly
 */
#ifndef TH_TREE_STORE_H
#define TH_TREE_STORE_H

#include <pthread.h>

#include "journal/log.h"
#include "journal/space/space.h"
#include "journal/super.h"
#include "tree/btree/tree.h"
#include "tree/catalogue/branch_table.h"
#include "tree/catalogue/snapshot_table.h"
#include "tree/layers/memtable.h"
#include "tree/node/readahead.h"
#include "tree/snapshot/hold.h"
#include "tree/txn/range_lock.h"

#define TH_CACHE_DEFAULT (256u << 20)
#define TH_CHECKPOINT_INTERVAL_DEFAULT_MS 5000
#define TH_TXN_DEFAULT (64u << 20)
#define TH_ABANDONED_NODES 4096 /* of a head that is being freed, read in one commit */
#define TH_RECLAIM_ENTRIES 16384 /* of dead lists, looked at in one commit */

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

/* The log record of one merged transaction, until it was logged or committed. */
struct th_pending {
	struct th_pending *next;
	uint64_t seq;
	size_t size;
	uint8_t bytes[];
};

/* A run being written. */
struct th_chunk_io {
	struct th_chunk_io *prev, *next;
	struct th_store *store;
	uint64_t addr;
	uint32_t blocks;
	void *buffer;
	struct iovec iov;
	struct th_future future;
};

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

/* --- merge (merge.c) --- */

/* A staged transaction, ready to be merged or logged. */
struct th_batch {
	const struct th_memtable *stage;
	const struct th_alloc *allocs;
	size_t nallocs;
	struct th_drops drops, shares;
};
/* A run that a transaction allocated. */
struct th_alloc {
	struct th_run run;
	bool written;
	uint64_t digest; /* XXH3 over its blocks' checksums, if written */
};
/* Merges a batch, numbering it, and queues its log record.  log: false while replaying. */
int th_apply(struct th_store *store, struct th_batch *batch, uint64_t seq_if_replayed);
/* Hands over what the batch says of blocks to the next commit.  merge_lock is held; after -ENOMEM the store must fail.
 */
int th_apply_blocks(struct th_store *store, const struct th_batch *batch);

/* --- the log (sync.c) --- */

int th_log_replay_store(struct th_store *store);
/* Forgets pending records up to seq: a commit made them durable. */
void th_log_queue_trim(struct th_store *store, uint64_t seq);
struct th_pending *th_pending_new(const struct th_batch *batch, uint64_t seq);
void th_log_queue_add(struct th_store *store, struct th_pending *pending);
/* What was logged up to seq is durable. */
void th_log_done(struct th_store *store, uint64_t seq);
/* What the records of this life of the store carry. */
uint64_t th_log_identity(const struct th_super *super);

/* --- commit (commit.c) --- */

/* The commit under way. */
struct th_checkpoint_state {
	uint64_t generation, sequence;
	struct th_ptr live_root; /* a step that changes it sets new_root, too */
	struct th_node *new_root; /* becomes the live tree's, if nothing fails; NULL: it stays */
};
/* What a commit does besides: run after the live tree is written, before the meta tree is. */
typedef int th_checkpoint_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
enum th_checkpoint_flags {
	TH_CHECKPOINT_CLEAN = 1 << 0, /* the last one: there will be no log to replay */
	TH_CHECKPOINT_FORCE = 1 << 1, /* even if nothing changed */
	TH_CHECKPOINT_RELIEVE = 1 << 2, /* only if very much is dirty */
};
/* Writes everything merged so far as a new generation.  Does not call before_checkpoint. */
int th_checkpoint(struct th_store *store, th_checkpoint_step *step, void *arg, unsigned flags);
/* Has `work` done while nobody else merges or commits and the live tree is settled, that is, all of it is on disk; then
 * commits what it did to the tree, if it returns 0.  Readers go on. */
int th_checkpoint_exclusive(struct th_store *store, int (*work)(struct th_store *store, void *arg), void *arg);
int th_checkpointer_start(struct th_store *store);
void th_checkpointer_stop(struct th_store *store);
/* Commits until nothing is dirty or waiting to be free, and large values that were replaced are given up: for whoever
 * found no room. */
int th_checkpoint_reclaim(struct th_store *store);
/* Is there room for so many bytes besides what was merged and is not written yet?  Deleting may go on into the reserve.
 * Commits if that makes room.  -ENOSPC. */
int th_checkpoint_room(struct th_store *store, uint64_t bytes, bool emergency);
/* The same, at once, for bytes that are written at once: they leave alone what is reserved to others. */
int th_checkpoint_room_now(struct th_store *store, uint64_t bytes, bool emergency);
/* Before a merge.  Wakes the checkpointer if much is dirty.  If very much is, waits until enough of it was written, or
 * commits; if nearly so much is, waits a little. */
void th_checkpoint_throttle(struct th_store *store);
/* How long that is, in microseconds: about what it takes to write what the last merge made dirty; less at first, more
 * and more at the end.  So many merges wait a little, and seldom one for long. */
uint64_t th_checkpoint_pace_us(struct th_store *store);
/* So much of what the commit under way writes is on the disk. */
void th_checkpoint_settled(struct th_store *store, size_t bytes);

/* Sends messages down that wait above large values, from the key *at on, until dirty_max bytes are dirty, or as many as
 * there is room to write: then it is to go on from what *at is, once these are written.  1: that was the end; -ENOSPC:
 * it could not begin. */
int th_force_flush(struct th_store *store, struct th_key *at, size_t dirty_max);

/* --- freeing (dead.c): within a commit --- */

/* Settles what left the live tree: freed, or kept for a snapshot.  Changes the array. */
int th_dead_settle(struct th_store *store, struct th_blockrun *runs, size_t count);
/* Keeps in mind which of the references merged since the freeze are strays. */
int th_dead_strays(struct th_store *store, const struct th_drops *strays);
/* The last holder of these blocks is gone, unless they are shared. */
int th_dead_free(struct th_store *store, const struct th_blockrun *run);
/* Tags of runs in dead lists. */
enum th_dead_tag { TH_DEAD_DATA, TH_DEAD_NODE };
/* One more reference to blocks (share.c). */
int th_block_refs_add(struct th_store *store, uint64_t addr, uint32_t blocks);
/* Takes one reference off what is shared of the run; calls free_part for what is not. */
int th_block_refs_drop(struct th_store *store, uint64_t addr, uint32_t blocks,
		       int (*free_part)(struct th_store *store, uint64_t addr, uint32_t blocks));
/* Counts what is shared, at open. */
int th_block_refs_load(struct th_store *store);
/* Calls each() for every shared run with the number of references beyond the first. */
int th_block_refs_each(struct th_store *store, int (*each)(uint64_t addr, uint32_t blocks, uint32_t count, void *arg),
		       void *arg);

/* --- snapshots (snapshot.c) --- */

int th_snapshot_check_name(const char *name);

/* --- giving space back (reap.c) --- */

/* Within a commit: a bounded part of what is to be done. */
int th_reclaim_step(struct th_store *store);
/* Within every commit: which snapshots are being deleted; and how many deletions there have been up to now. */
int th_reclaim_note(struct th_store *store, uint64_t *ret_deletions);
/* Is there a deletion that no commit holds? */
bool th_reclaim_unnoted(struct th_store *store);
/* Is there something that a commit would note or give back? */
bool th_reclaim_due(struct th_store *store);

/* --- branches (branch.c) --- */

/* Within a commit: the generation of the current branch's newest snapshot, or else of its origin (0: none), and of its
 * origin.  What was born later than the first is nobody else's; what was not born later than the second is not the
 * branch's. */
void th_branch_limits(struct th_store *store, uint64_t *ret_newest, uint64_t *ret_origin);
/* The generation of the branch's origin, 0 if there is none.  snapshot_lock or checkpoint_lock is held. */
uint64_t th_branch_origin(struct th_store *store, const struct th_branch_record *record);
/* Does a branch begin from the snapshot, other than one that is deleted itself?  snapshot_lock is held. */
bool th_branch_pins(struct th_store *store, uint64_t snapshot);
/* Within the first commit of all: the branch that a store begins with. */
int th_branch_first_step(struct th_store *store, struct th_checkpoint_state *state, void *arg);
/* Makes another branch the current one; for th_store_open.  -ENOENT. */
int th_branch_switch(struct th_store *store, const char *name);

/* --- heads that nobody wants (abandoned.c) --- */

/* Within a commit: gives up a head, of which it frees in later commits what was born after generation `than`.  The head
 * is taken over. */
int th_head_abandon(struct th_store *store, struct th_head *head, uint64_t than);
/* Within a commit: frees a bounded part of what was abandoned and has no view.  budget: of entries of dead lists, which
 * are taken off it. */
int th_head_reclaim_step(struct th_store *store, size_t *budget);
/* Is there such? */
bool th_head_reclaim_due(struct th_store *store);

/* --- chunks (chunk.c) --- */

void th_chunk_wait_all(struct th_store *store);

/* Loads the root that a pointer names: an empty leaf if it names none. */
int th_root_load(struct th_store *store, const struct th_ptr *ptr, struct th_node **ret);

#endif
