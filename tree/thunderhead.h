/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thunderhead: a persistent ordered key-value store with snapshots and diffs.
 *
 * The store is a persistent hitchhiker B-tree (a B-epsilon-tree: Brodal and Fagerberg 2003; Bender et al., "An
 * Introduction to B-epsilon-trees and Write-Optimization", 2015).  Keys are byte strings ordered by memcmp, shorter
 * first.
 *
 * Errors: functions return 0 or -errno; cursors return 1 at the end.
 *   -ENOENT     no such key, snapshot          -EINVAL    an argument is out of its range
 *   -EBADMSG    a checksum is wrong            -EUCLEAN   a structure on disk is broken
 *   -EROFS      opened read-only, or a commit failed and the store refuses further writes
 *   -ENOSPC     no room (what was begun is undone)        -ENOMEM, -EIO as usual
 *   -ETIMEDOUT, -EDEADLK   of range locks only
 *   -EBUSY     what is asked for is in use: said where it may be
 *   -EINPROGRESS   after th_nowait_begin only
 *
 * Threads: a store, its live view and snapshot views may be used from any number of threads.  A transaction, a cursor
 * and a diff belong to one thread at a time.  Readers never wait for a commit.
 *
 * Isolation: merges come one after another, and that is the serial order of transactions.
 *
 *   Transactions that lock (th_txn_lock) what they read before they read it, and exclusively what they write, keys or
 *   ranges, are strictly serializable: what each of them read is as its place in the order says, and one whose commit
 *   returned is before one whose commit was called later.
 *
 *   A frozen view, a snapshot, the head of a branch is the state between two transactions, at a moment between the
 *   call that made it and its return.  So is what a crash leaves: with all that a sync had made durable, and perhaps
 *   more.
 *
 *   The live view, and a transaction in what it has not locked, see each key by itself in that order, never going back.
 *   But several reads, by a cursor too, may be of several moments, and while a transaction is being merged some of its
 *   keys may be seen before others.
 *
 *   Nothing finds conflicts by itself: of two transactions without locks that write what depends on what they read, one
 *   may undo the other.
 */
#ifndef THUNDERHEAD_H
#define THUNDERHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct th_disk; /* disk.h */
struct th_future; /* future.h */
struct th_store;
struct th_view;
struct th_txn;
struct th_locker;
struct th_referrers;
struct th_cursor;
struct th_diff;
struct th_run;

#define TH_KEY_MAX 1024 /* bytes in a key; an empty key is allowed */
#define TH_VALUE_MAX (16u << 20) /* bytes in a value */
#define TH_INLINE_MAX 3072 /* larger values are kept off-tree, in a chunk */
#define TH_SNAPSHOT_NAME_MAX 255
#define TH_BRANCH_NAME_MAX 255
#define TH_HOLD_TAG_MAX 255
#define TH_RUN_MAX 256 /* blocks in one chunk run */

/* Bytes lent by somebody. */
struct th_slice {
	const void *data;
	size_t size;
};

/* A value that was read.  Its bytes stay valid, whatever happens to the tree, until th_value_release. */
struct th_value {
	const void *data;
	uint32_t size;
	int32_t refs; /* references other keys hold on this one (th_txn_ref) */
	void *owner; /* private */
};

/* Keys k with from <= k < to.  to.data NULL: no upper bound.  Bounds have up to TH_KEY_MAX + 1 bytes, so that a range
 * may end just behind any key: `to` is then the key with a 0 behind it. */
struct th_range {
	struct th_slice from, to;
};

/* --- the store --- */

struct th_format_options {
	const char *label; /* may be NULL */
	bool force; /* overwrite an image that is there already, else -EEXIST */
	uint64_t log_bytes; /* size of the intent log; 0: chosen by the size of the disk */
};

struct th_store_options {
	/* A log that needs replay is replayed in memory only; if it cannot be, because something is damaged, that is
	 * reported, and the store is seen as it was at its last commit. */
	bool read_only;
	/* Memory for nodes, 0: 256 MiB.  It covers those read and those that are dirty, to be written by the next
	 * commit: the more of them, the fewer of the others are kept.  Not in it, and less than 64 MiB together, are
	 * records for the log (16 MiB at most), regions read ahead (16 MiB), buffers of transfers (12 MiB), and a part
	 * of the heap of nodes that is idle (4 MiB, or a thirty-second).  Besides these there are transactions that are
	 * not merged yet, data of large values on its way to the disk, and values that are held.  The kernel's page
	 * cache is not used, unless the disk was opened with TH_DISK_BUFFERED. */
	size_t cache_bytes;
	size_t txn_bytes; /* of memory for what one transaction has staged: more is spilled; 0: 64 MiB */
	unsigned checkpoint_interval_ms; /* 0: 5000; commits happen in the background */
	const char *branch; /* to be the current one from now on; NULL: the one that was */
	/* Called without locks by th_store_checkpoint, th_snapshot_create, th_store_close and the background commits,
	 * before they freeze the tree: the place to merge what is buffered elsewhere.  May begin and merge
	 * transactions, but not commit the store.  A commit that only makes room does not call it. */
	int (*before_checkpoint)(void *arg);
	void *arg;
	/* One line, without a newline: trouble found.  NULL: stderr. */
	void (*report)(void *arg, const char *line);
	/* Names the runs that a value refers to, as in struct th_check_options: what a head that is given up refers to
	 * must be freed (th_branch_delete, th_store_rollback, th_snapshot_delete).  NULL: no value names any. */
	int (*runs)(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		    void *arg);
};

/* The smallest image. */
#define TH_IMAGE_MIN (16u << 20)

/* Writes an empty store.  -EINVAL: the disk is too small, the label too long, or the log larger than a quarter of the
 * disk. */
int th_store_format(struct th_disk *disk, const struct th_format_options *options);
/* Opens a store, replaying its log.  The disk becomes the store's on success only.  -ENOENT: there is no such branch;
 * -EMEDIUMTYPE: there is no store on the disk; -EPROTONOSUPPORT: there is one, of a later version; -EBADMSG, -EUCLEAN:
 * something is damaged that is needed to open it, or to replay its log: then it may be opened read-only. */
int th_store_open(struct th_disk *disk, const struct th_store_options *options, struct th_store **ret);
/* Commits, marks the image clean, and frees everything, the disk too.  All views must be closed, and transactions have
 * ended.  The error is that of the last commit; the store is gone in any case. */
int th_store_close(struct th_store *store);
/* Writes everything merged so far as a new generation: it is durable when this returns.  On an error other than that of
 * before_checkpoint, which is returned when all else was committed, the store refuses further writes. */
int th_store_checkpoint(struct th_store *store);
/* Does a part of what is to be done until the space of deleted snapshots, deleted branches and rollbacks is back: for
 * whoever does not want to leave it to the background.  1: nothing is left, but for what open views hold, and the
 * deletions are durable. */
int th_store_reclaim(struct th_store *store);
/* Makes everything merged so far durable, by the intent log where it fits, else by a commit (as after a deletion of a
 * snapshot).  Many waiters share one flush.  Does not call before_checkpoint. */
int th_store_sync(struct th_store *store);

struct th_store_info {
	uint8_t uuid[16];
	const char *label; /* the store's */
	uint64_t block_size; /* bytes */
	uint64_t blocks, blocks_free, blocks_waiting, blocks_reserved, blocks_emergency;
	uint64_t generation, sequence;
	uint64_t created_ns, checkpoint_ns;
	uint64_t snapshots, branches;
	char branch[TH_BRANCH_NAME_MAX + 1]; /* the current one */
	uint64_t shared_blocks; /* counted in the share table */
	unsigned height; /* levels of the live tree */
	size_t cache_bytes, cache_used, dirty_bytes;
	/* since the store was opened */
	uint64_t node_reads, node_writes, node_cache_hits, node_bytes_written;
	uint64_t checkpoints, syncs, log_records, log_bytes, merges;
	uint64_t spills, bulk_commits; /* stages of large transactions written out; such transactions committed */
	uint64_t disk_reads, disk_bytes_read, disk_writes, disk_bytes_written, disk_flushes;
	bool read_only; /* opened so, or after a failed commit */
};
void th_store_info(struct th_store *store, struct th_store_info *ret);

/* A number for whoever owns the keys: for all branches the same, it only grows, and what it was raised to before a
 * transaction was committed is durable when that is committed to disk (but not if it is only synced).  It is 0 at
 * first. A filesystem keeps in it which ids were given out. */
uint64_t th_store_mark(struct th_store *store);
void th_store_raise_mark(struct th_store *store, uint64_t mark);

/* --- views: reading --- */

/* The live tree as it is at each moment. */
struct th_view *th_view_live(struct th_store *store);
/* The live tree as it is now, held.  -EBUSY: the store is being rolled back. */
int th_view_freeze(struct th_store *store, struct th_view **ret);
/* A snapshot, by id.  -ENOENT. */
int th_view_snapshot(struct th_store *store, uint64_t id, struct th_view **ret);
/* The head of a branch as it is now, held.  -ENOENT. */
int th_view_branch(struct th_store *store, const char *name, struct th_view **ret);
/* What another view has below a prefix, as a store of its own: everything that is done with it has keys that lack the
 * prefix, and knows of no others.  It can be read, compared (th_diff_open), and, where it is a part of the live tree,
 * be written (th_txn_begin_in).  A subtree of a subtree view is one.  It holds the other view, which may be closed
 * before it; but see th_store_rollback.  -EINVAL: the prefix is longer than a key may be.  Keys that would be longer
 * than TH_KEY_MAX with it are too long. */
int th_view_subtree(struct th_view *view, struct th_slice prefix, struct th_view **ret);
/* Ends a view from one of the functions above (the live one and NULL are ignored), when its cursors, diffs and reads
 * that are under way have ended.  Values that were read from it stay valid. */
void th_view_close(struct th_view *view);

/* -ENOENT; -EINVAL: the key is too long.  After 0 the caller releases the value. */
int th_get(struct th_view *view, struct th_slice key, struct th_value *ret);
void th_value_release(struct th_value *value);

/* The same in two steps, so that many reads are under way at one time.  th_get_async begins to read what is not in
 * memory and does not wait for it; on the live view, the value is that of this moment.  The future is complete when
 * th_get_finish will not wait: it can be polled, waited for, or given one continuation (future.h), which runs on the
 * thread that completes a transfer.  th_get_finish, which must be called once, ends the read and returns what th_get
 * would; a value above TH_INLINE_MAX is read by it.  The view stays open until then. */
struct th_get;
int th_get_async(struct th_view *view, struct th_slice key, struct th_get **ret);
struct th_future *th_get_future(struct th_get *get);
int th_get_finish(struct th_get *get, struct th_value *ret);

/* For who holds a lock of his own that others must not wait for as long as for a disk.  Between _begin and _end, reads
 * by this thread, from views, by cursors or in transactions, do not wait for a node that is not in memory: they fail
 * with -EINPROGRESS.  th_nowait_again, when the lock has been let go of, waits for that node and says whether r, what
 * came of it all, is worth another try; it is an _end, too.  Committing waits as ever, as do values above
 * TH_INLINE_MAX.
 *
 *	do {
 *		lock;
 *		th_nowait_begin();
 *		r = read;
 *		th_nowait_end();
 *		if (!r)
 *			change;
 *		unlock;
 *	} while (th_nowait_again(r));
 */
void th_nowait_begin(void);
void th_nowait_end(void);
bool th_nowait_again(int r);

/* Says that the range (NULL: all) is going to be read: its nodes begin to be brought into memory, but for those beyond
 * the first half a megabyte or so, as a cursor goes on to read ahead by itself.  Waits only for nodes above leaves, and
 * for the first leaf. */
int th_prefetch(struct th_view *view, const struct th_range *range);

/* A cursor stands before the first entry of its range; _next goes forward, _prev backward from where it stands.
 * Both return 0 with an entry, 1 at the end.  The entry's bytes are valid until the cursor's next call.
 * On the live view each leaf's worth of entries is read at one moment; later ones see later writes.  The range (NULL:
 * all) is copied; one that ends before it begins has no keys.  -EINVAL: a bound, or the key sought, is too long. */
struct th_cursor_entry {
	struct th_slice key, value;
	int32_t refs;
};
int th_cursor_open(struct th_view *view, const struct th_range *range, struct th_cursor **ret);
int th_cursor_next(struct th_cursor *cursor, struct th_cursor_entry *ret);
int th_cursor_prev(struct th_cursor *cursor, struct th_cursor_entry *ret);
/* Stands before the first key >= `key` (within the range).  Of a cursor that stood somewhere before it is expected that
 * as many entries are read as from there: as many are fetched at once, and nothing is read ahead for others. */
int th_cursor_seek(struct th_cursor *cursor, struct th_slice key);
/* Stands behind the last entry of the range. */
void th_cursor_seek_end(struct th_cursor *cursor);
void th_cursor_close(struct th_cursor *cursor);

/* The range of all keys that begin with prefix.  Writes the upper bound to `space` (prefix.size bytes), which must live
 * as long as the range. */
struct th_range th_range_prefix(struct th_slice prefix, void *space);

/* --- transactions: writing --- */

/* A transaction stages its writes privately and merges them into the live tree in one step.  It is the caller's
 * business that transactions that run at the same time do not write the same keys: range locks are one way (the
 * filesystem locks its inodes, and the blocks of files that are read).  -EROFS; -EBUSY: the store is being rolled back.
 */
int th_txn_begin(struct th_store *store, struct th_txn **ret);
/* The same for a subtree of the live tree: it has only the keys of this view, which stays open until it ends.  -EINVAL:
 * the view is not of the live tree. */
int th_txn_begin_in(struct th_view *view, struct th_txn **ret);
/* Merges and frees the transaction.  After 0 every reader sees it whole; see Isolation for those who read meanwhile. It
 * is durable after the next sync or commit. On an error nothing was merged, and the transaction is gone all the same:
 * -ENOSPC, -EROFS; of a spilled one -EIO and what else a read gives.
 *
 * A transaction may be larger than memory: what goes beyond th_store_options.txn_bytes is spilled to the image, where
 * it takes space until the transaction is over.  Its commit takes long, writes what it changes, and is durable when it
 * returns; meanwhile others can read, but not merge, commit, or freeze a view.  Those who write may then be told
 * -ENOSPC or -EIO by any call: what they asked for was not done, and the transaction is as before. */
int th_txn_commit(struct th_txn *txn);
/* Drops it; runs it allocated are given back.  NULL is fine. */
void th_txn_rollback(struct th_txn *txn);

/* The transaction writes what was admitted before (delayed attributes, say): it may use the reserve, as those that
 * delete or that allocate reserved blocks may. */
void th_txn_use_emergency(struct th_txn *txn);

/* Keys and values are copied.  Deleting what is not there is no error.  -EINVAL: the key, a bound or the value is too
 * long; -ENOSPC: a value above TH_INLINE_MAX, which is written at once, finds no room.  The transaction is as before
 * then; after -ENOMEM it may have what was asked for, or not. */
int th_txn_put(struct th_txn *txn, struct th_slice key, struct th_slice value);
int th_txn_delete(struct th_txn *txn, struct th_slice key);
int th_txn_delete_range(struct th_txn *txn, struct th_range range);
/* Adds delta to the reference count of `key`.  A put keeps the count of the entry it replaces; a delete drops it.
 * Counts of an absent key are kept, unseen, until it is put.  A count wraps beyond 32 bits. */
int th_txn_ref(struct th_txn *txn, struct th_slice key, int32_t delta);
/* As th_get and th_cursor_open, through the transaction's own writes.  A cursor that is open while more is written sees
 * that, or what was there before; it is closed before the transaction ends. */
int th_txn_get(struct th_txn *txn, struct th_slice key, struct th_value *ret);
int th_txn_cursor(struct th_txn *txn, const struct th_range *range, struct th_cursor **ret);

/* Lends space for a key and a value of at most TH_INLINE_MAX bytes, to be filled in place and then put without a copy.
 * The space is the transaction's until it is put, and goes with it if it never is.  -EINVAL: a size is too large; or
 * there is no such loan (any more), which is empty after it was put, whatever came of that. */
struct th_loan {
	void *key, *value;
	void *entry; /* private */
};
int th_txn_alloc(struct th_txn *txn, size_t key_size, size_t value_size, struct th_loan *ret);
int th_txn_put_loan(struct th_txn *txn, struct th_loan *loan);

/* Savepoints.  th_txn_save sets one, and gives its number: they are counted from 0.  th_txn_restore undoes what was
 * done since, runs allocated too; it can be restored again, but those set after it are gone.  th_txn_release forgets
 * it, and those set after it, without undoing anything.  What was locked stays locked, what was lent stays lent.  The
 * end of the transaction is the end of them all. -EINVAL: there is no such savepoint; -EOVERFLOW: there are 64.  After
 * -ENOMEM from th_txn_release the transaction is to be rolled back. */
int th_txn_save(struct th_txn *txn, unsigned *ret);
int th_txn_restore(struct th_txn *txn, unsigned savepoint);
int th_txn_release(struct th_txn *txn, unsigned savepoint);

/* --- references: values that name another key --- */

/*
 * A key may refer to another one, its target, instead of having a value of its own.  The target's reference count
 * (th_value.refs) says how many do, and an index says which.  References and index are ordinary entries: a snapshot has
 * those of its time, and a diff shows how they changed.  Whoever owns the keys chooses where the index is.
 *
 * It is the caller's business that transactions that run at the same time do not change references to the same target,
 * that a target is not deleted by th_txn_delete while there are any, and that no value of its own begins as one of a
 * reference does (th_reference_target).  References in a ring keep one another.
 */
struct th_references {
	struct th_slice index; /* prefix of the index's keys: nothing else may be below it */
	bool delete_last; /* a target goes with the last reference to it, and lets go of its own target likewise */
};

#define TH_REFERENCE_MARK 8 /* bytes of a reference's value before its target */

/* Is the value a reference?  Its target is a part of it. */
bool th_reference_target(struct th_slice value, struct th_slice *ret);

/* Makes key, whether it was there or not, a reference to target; what it referred to before loses one.  -ENOENT: the
 * target is not there; -EINVAL: it is the key itself; -ENAMETOOLONG: index prefix, target and key have more than
 * TH_KEY_MAX - 2 bytes together (in a subtree view, whose prefix counts too, -EINVAL).  On another error, the
 * transaction can only be rolled back. */
int th_txn_link(struct th_txn *txn, const struct th_references *refs, struct th_slice key, struct th_slice target);
/* Deletes a reference.  -ENOENT; -EINVAL: it is none; -EBUSY: there are references to it.  On another error, the
 * transaction can only be rolled back. */
int th_txn_unlink(struct th_txn *txn, const struct th_references *refs, struct th_slice key);

/* Reads the value at the end of at most `steps` references, beginning at key, which need not be one.  -ENOENT: the key,
 * or what a reference names, is not there; -ELOOP: there are more of them. */
int th_follow(struct th_view *view, struct th_slice key, unsigned steps, struct th_value *ret);
int th_txn_follow(struct th_txn *txn, struct th_slice key, unsigned steps, struct th_value *ret);

/* Lists the keys that refer to a target, in order; _next returns 1 at the end, and a key that is valid until it is
 * called again. */
int th_referrers_open(struct th_view *view, const struct th_references *refs, struct th_slice target,
		      struct th_referrers **ret);
int th_txn_referrers(struct th_txn *txn, const struct th_references *refs, struct th_slice target,
		     struct th_referrers **ret);
int th_referrers_next(struct th_referrers *referrers, struct th_slice *ret);
void th_referrers_close(struct th_referrers *referrers);

/* --- range locks --- */

/*
 * Locks keep those who take them from one another: reads and writes do not look at them.  Whoever holds locks is a
 * locker: a transaction, until it is committed or rolled back, or one by itself.  Two locks of different lockers
 * conflict if their ranges overlap and one of them is exclusive.  A locker that holds a shared lock may ask for an
 * exclusive one of the same range.  Keys need not be there to be locked.
 *
 * Waiters are served in the order of asking: a writer is not passed by for ever.  A locker belongs to one thread at a
 * time.
 */
enum th_lock_mode { TH_LOCK_SHARED, TH_LOCK_EXCLUSIVE };

#define TH_LOCK_TRY 0 /* timeouts, beside numbers of milliseconds */
#define TH_LOCK_WAIT (-1)

int th_locker_new(struct th_store *store, struct th_locker **ret);
/* For keys of a subtree of the live tree, the view of which stays open until the locker is freed.  They are the same
 * keys that others lock by their whole names.  -EINVAL: the view is not of the live tree. */
int th_locker_new_in(struct th_view *view, struct th_locker **ret);
/* Lets go of what it holds, and frees it.  To be done before the store is closed.  NULL is fine. */
void th_locker_free(struct th_locker *locker);
/* Locks the range (NULL: all keys).  -EBUSY: tried in vain; -ETIMEDOUT; -EDEADLK: waiting would never end, because a
 * holder waits for this locker, if by way of others or of its turn.  Whoever is told so keeps what it holds: it should
 * let go of that, so that the others go on, and begin anew. */
int th_locker_lock(struct th_locker *locker, const struct th_range *range, enum th_lock_mode mode, int timeout_ms);
/* Lets go of all that it holds. */
void th_locker_unlock(struct th_locker *locker);
/* The same for a transaction, as its own locker. */
int th_txn_lock(struct th_txn *txn, const struct th_range *range, enum th_lock_mode mode, int timeout_ms);

/* --- chunks: data off-tree --- */

/* A run of 4 KiB blocks.  `birth` is the generation in which this reference to the blocks was made: it decides, when
 * the reference is dropped, whether a snapshot still needs them. Any part of a run is a run with the same birth. */
struct th_run {
	uint64_t addr;
	uint64_t birth;
	uint32_t blocks;
};

/* Allocates at least one and at most `blocks` (1 to TH_RUN_MAX, else -EINVAL) blocks.  reserved: they were set aside by
 * th_chunk_reserve.  *hint keeps one writer's runs together; start with 0. */
int th_chunk_alloc(struct th_txn *txn, uint32_t blocks, bool reserved, uint64_t *hint, struct th_run *ret);
/* Below, a run that cannot be one is -EINVAL, or, where it is read from, -EUCLEAN: it must have come from a value. */

/* Drops the reference: at merge the blocks are freed, or go on a dead list if a snapshot needs them, or are counted
 * down if shared. */
int th_chunk_drop(struct th_txn *txn, const struct th_run *run);
/* Makes a second reference to blocks that some view of this store refers to.  ret is the new reference. */
int th_chunk_share(struct th_txn *txn, const struct th_run *run, struct th_run *ret);

/* Sets blocks aside for data that will be allocated later; -ENOSPC. */
int th_chunk_reserve(struct th_store *store, uint32_t blocks);
void th_chunk_unreserve(struct th_store *store, uint32_t blocks);

/* Aligned memory for th_chunk_write, of that many blocks or more: of what was written lately, if it can be.  Who does
 * not pass it on frees it with free().  NULL: no memory. */
void *th_chunk_buffer(struct th_store *store, uint32_t blocks);

/* XXH3 of one block. */
uint64_t th_chunk_checksum(const void *block);
/* Starts writing a run that `txn` allocated, once, from an aligned buffer that the store takes over on success (made by
 * malloc(3); when written it is freed, or kept for th_chunk_buffer). Merging does not wait for it; sync and commit do.
 * checksums: one per block, as the caller will keep them: replay uses them to tell whether the data reached the disk.
 */
int th_chunk_write(struct th_txn *txn, const struct th_run *run, void *buffer, const uint64_t *checksums);
/* Reads blocks into an aligned buffer and verifies them.  Blocks still being written are waited for.  -EBADMSG. */
int th_chunk_read(struct th_store *store, uint64_t addr, uint32_t blocks, const uint64_t *checksums, void *buffer);

/* --- snapshots --- */

struct th_snapshot {
	uint64_t id; /* > 0, never reused, < 2^24 */
	uint64_t generation, sequence, created_ns;
	uint64_t branch; /* id */
	uint64_t holds; /* while there are any, it cannot be deleted */
	char name[TH_SNAPSHOT_NAME_MAX + 1];
};

/* Calls before_checkpoint, then commits and keeps what was committed.  ret may be NULL.  -EEXIST, -EINVAL (empty name, '/',
 * "." or ".."), -ENAMETOOLONG. */
int th_snapshot_create(struct th_store *store, const char *name, struct th_snapshot *ret);
/* When it returns, the snapshot is not found any more and its name is free.  That is durable after the next sync or
 * commit, as a transaction is; a crash before brings the snapshot back, whole.  The space comes back in the background,
 * in bounded parts, a commit each, that survive a crash; a writer is not told -ENOSPC while there is more to come.  For
 * what an open view needs, it begins when that closes.  -EBUSY: a branch begins from it, or it has holds. */
int th_snapshot_delete(struct th_store *store, const char *name);
/* Durable when it returns.  -ENOENT; and as th_snapshot_create. */
int th_snapshot_rename(struct th_store *store, const char *from, const char *to);
/* -ENOENT. */
int th_snapshot_find(struct th_store *store, const char *name, struct th_snapshot *ret);
int th_snapshot_find_id(struct th_store *store, uint64_t id, struct th_snapshot *ret);
/* All, oldest first; the caller frees *ret. */
int th_snapshot_list(struct th_store *store, struct th_snapshot **ret, size_t *ret_count);

/*
 * A hold is a tag that somebody has put on a snapshot: as long as it has any, the snapshot is not deleted, neither by
 * itself nor with its branch.  Tags are of 1 to TH_HOLD_TAG_MAX bytes, whichever; a snapshot has each once.  Holds stay
 * with their snapshot when that is renamed, or rolled back behind.
 */
struct th_hold {
	uint64_t id; /* > 0, rising, never reused */
	uint64_t snapshot; /* id */
	uint64_t created_ns; /* since 1970, UTC */
	char tag[TH_HOLD_TAG_MAX + 1];
};

/* Both are durable when they return, like th_snapshot_create, and write a commit; they do not call before_checkpoint.
 * -ENOENT: no such snapshot, or (to release) tag; -EEXIST: the tag is there already; -EINVAL: it is empty;
 * -ENAMETOOLONG. */
int th_snapshot_hold(struct th_store *store, const char *name, const char *tag);
int th_snapshot_release(struct th_store *store, const char *name, const char *tag);
/* Those of one snapshot (-ENOENT), or with NULL of all, by rising ids; the caller frees *ret. */
int th_snapshot_holds(struct th_store *store, const char *name, struct th_hold **ret, size_t *ret_count);

/* --- branches --- */

/*
 * A store begins with one branch, "main".  Others begin from a snapshot and share all with it that they do not change.
 * One is current: the live view, transactions and new snapshots are of that one; which it is, is decided when the store
 * is opened.  Snapshots, whatever branch they are of, have one namespace; branches have another.
 */
struct th_branch {
	uint64_t id; /* > 0, never reused */
	uint64_t origin; /* id of the snapshot that it begins from; 0: none */
	uint64_t created_ns;
	uint64_t snapshots;
	bool current;
	/* It has snapshots only, of a state that was rolled back; the name is that of the branch which had it then. */
	bool detached;
	char name[TH_BRANCH_NAME_MAX + 1];
};

/* -ENOENT: no such snapshot; -EEXIST; -EINVAL and -ENAMETOOLONG as for snapshots.  ret may be NULL. */
int th_branch_create(struct th_store *store, const char *name, const char *snapshot, struct th_branch *ret);
/* Durable when it returns; the space comes back as a deleted snapshot's.  -EBUSY: it is the current one, or a branch
 * begins from one of its snapshots, or one of these has holds; -ENOTEMPTY: it has snapshots, which `snapshots` would
 * delete too. */
int th_branch_delete(struct th_store *store, const char *name, bool snapshots);
/* Durable when it returns.  -ENOENT; and as th_branch_create. */
int th_branch_rename(struct th_store *store, const char *from, const char *to);
/* -ENOENT.  ret may be NULL. */
int th_branch_find(struct th_store *store, const char *name, struct th_branch *ret);
/* All, detached ones too, oldest first; the caller frees *ret. */
int th_branch_list(struct th_store *store, struct th_branch **ret, size_t *ret_count);

/* The live tree becomes what the snapshot is, which may be one of another branch; what was written since is gone, and
 * its space comes back as a deleted snapshot's.  Snapshots are kept: newer ones of the branch go on as a detached
 * branch that begins from this one. Does not call before_checkpoint.  -EBUSY: a transaction or a view from th_view_freeze
 * is open. */
int th_store_rollback(struct th_store *store, const char *snapshot);

/* --- diff --- */

/* One key that differs.  NULL data: absent on that side.  Valid until the diff's next call that moves it. */
struct th_change {
	struct th_slice key, from, to;
	int32_t from_refs, to_refs;
};
struct th_diff_stats {
	uint64_t nodes_read; /* nodes visited, from disk or cache */
	uint64_t entries_compared;
};

/* The keys of range (NULL: all) whose value or reference count differs between two views of one store, in key order.
 * Both must be snapshots, frozen views or heads of branches, or else subtrees of such with the same prefix: -EINVAL.
 * The cost follows the changes; on different branches, those of both sides since their common past. */
int th_diff_open(struct th_view *from, struct th_view *to, const struct th_range *range, struct th_diff **ret);
/* Like a cursor, a diff stands before the first change of its range; _next goes forward, _prev backward from where it
 * stands, and both return 1 at the end.  What differs next is read ahead. */
int th_diff_next(struct th_diff *diff, struct th_change *ret);
int th_diff_prev(struct th_diff *diff, struct th_change *ret);
/* Stands before the first change with a key >= `key` (within the range): a diff that was closed is resumed behind a key
 * by seeking its successor, or by _prev from the key itself. */
int th_diff_seek(struct th_diff *diff, struct th_slice key);
/* Stands behind the last change of the range. */
void th_diff_seek_end(struct th_diff *diff);
void th_diff_stats(struct th_diff *diff, struct th_diff_stats *ret);
void th_diff_close(struct th_diff *diff);

/* --- checker --- */

struct th_check_options {
	bool read_data; /* read values kept off-tree too */
	bool only_entries; /* nothing but the second look at live entries */
	/* Names the runs that a value refers to, so that they are accounted for: the owner of the value format supplies
	 * it. NULL: none. */
	int (*runs)(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		    void *arg);
	/* A second look at each live entry, for the owner of the format; non-zero counts as a problem it has reported
	 * itself. */
	int (*entry)(void *arg, struct th_view *view, const struct th_cursor_entry *entry);
	void *arg;
	void (*problem)(void *arg, const char *line);
};
struct th_check_result {
	uint64_t problems, nodes, entries, runs, snapshots, branches, leaked_blocks;
};
/* Checks the last commit: every tree, dead list, share and the space map.  The store must be quiet. */
int th_store_check(struct th_store *store, const struct th_check_options *options, struct th_check_result *ret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
