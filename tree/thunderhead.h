/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thunderhead: a persistent ordered key-value store with snapshots, diffs and branches.
 *
 * The store is a persistent hitchhiker B-tree (a B-epsilon-tree: Brodal and Fagerberg 2003; Bender et al., "An
 * Introduction to B-epsilon-trees and Write-Optimization", 2015).  It maps byte strings to byte strings.  Keys are
 * ordered by memcmp, a prefix before its extensions.  Two headers extend this one: chunk.h places large data outside
 * the tree, reference.h lets a key refer to another.
 *
 * Limits
 *
 *   key                 0 to TH_KEY_MAX bytes (1024); the empty key is valid
 *   value               0 to TH_VALUE_MAX bytes (16 MiB); above TH_INLINE_MAX (3072) it is stored outside the tree
 *   transaction         bounded by the free space of the disk; above th_store_options.txn_bytes it is spilled to it
 *   savepoints          64 in a transaction
 *   snapshots           TH_SNAPSHOT_ID_MAX (some 8 million) in the life of a store; holds and branches: no limit
 *   names and tags      255 bytes
 *   disk                16 MiB (TH_IMAGE_MIN) or more, in blocks of 4096 bytes
 *   processes           one at a time, or several that open the disk read-only
 *
 * Errors
 *
 * Functions return 0 or -errno, and 1 where an iteration has ended.  Each function lists the errors of its own.  These
 * are common to all and not repeated:
 *
 *   read errors         of functions that read nodes or values:
 *     -EBADMSG          a checksum is wrong                 -EUCLEAN     a structure on the disk is broken
 *     -EIO              the disk failed                     -ENOMEM      no memory
 *     -EINPROGRESS      only between th_nowait_begin() and th_nowait_end(): the read would wait for the disk
 *   write errors        of functions that change the store:
 *     -EROFS            the store was opened read-only, or a checkpoint failed and the store refuses writes since
 *     -ENOSPC           no free space; the call has changed nothing
 *     and the read errors
 *   -EINVAL             an argument is outside its limits
 *
 * If two checks fail, either error may be returned.  Damage is also reported in words (th_store_options.report).
 *
 * Memory
 *
 * The caller owns an object that a function returns through `ret`, and ends it with the call named here:
 *
 *   struct th_store     th_store_close()                  struct th_value       th_value_release()
 *   struct th_view      th_view_close()                   struct th_get         th_get_finish()
 *   struct th_cursor    th_cursor_close()                 struct th_locker      th_locker_free()
 *   struct th_diff      th_diff_close()                   arrays of _list()     free()
 *   struct th_txn       th_txn_commit() or th_txn_rollback(), whatever these return
 *
 * On an error *ret is not set, and there is nothing to free.  Functions copy the bytes that they are given, unless
 * their comment says otherwise.  Bytes that they return are valid
 *
 *   of a value          until th_value_release(); later writes, and closing the view, do not change them
 *   of a cursor, diff   until its next call
 *   of a loan           until the transaction ends
 *
 * End views, transactions and lockers before th_store_close(), and cursors, diffs and reads before their view or
 * transaction.
 *
 * Threads
 *
 * Any number of threads may use one store and one view at the same time.  A transaction, a cursor, a diff, a read of
 * th_get_async() and a locker belong to one thread at a time.  Readers never wait for a checkpoint.  No function may be
 * called in a signal handler.  Disks and stores start threads (transfers, checkpoints), so a process that forks does so
 * before it opens a disk.
 *
 * Durability
 *
 *   transaction commit  th_txn_commit(): makes the writes of a transaction visible to all readers.  A crash may lose
 *                       it, but not a part of it: it loses all transactions after some point, and none before.
 *   sync                th_store_sync(): makes every committed transaction durable, by appending to the intent log.
 *   checkpoint          th_store_checkpoint(): writes all committed changes to the tree as a new generation.  It makes
 *                       them durable, too, and empties the log.  Checkpoints also happen in the background
 *                       (checkpoint_interval_ms), when much is to be written, and when space runs short.
 *   close               th_store_close(): a last checkpoint.
 *
 * Without a sync, a crash loses at most the transactions since the last checkpoint, usually those of the last 5
 * seconds.  Opening the store after a crash replays the log.  Nothing needs repair.
 *
 * Isolation
 *
 * Transactions are committed one after another; this is their serial order.
 *
 *   Transactions that lock all that they read before they read it, and exclusively all that they write (th_txn_lock(),
 *   of keys or ranges), are strictly serializable: each reads the state at its place in the order, and a transaction
 *   whose commit returned precedes one whose commit was called later.
 *
 *   A frozen view, a snapshot and the head of a branch show the state between two transactions, at a moment between
 *   the call that made it and its return.  A crash leaves such a state, too: it has every transaction that a sync made
 *   durable, and maybe later ones.
 *
 *   The live view, and a transaction in the keys that it has not locked, see each key's values in that order, and
 *   never an older one after a newer one.  But several reads, by a cursor too, may be of different moments, and while
 *   a transaction is being committed, readers may see some of its keys before others.
 *
 *   The store detects no conflicts.  If two transactions without locks write values that depend on their reads, one may
 *   undo the other.
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
struct th_run; /* chunk.h */
struct th_store;
struct th_view;
struct th_txn;
struct th_locker;
struct th_cursor;
struct th_diff;

#define TH_KEY_MAX 1024 /* bytes */
#define TH_VALUE_MAX (16u << 20) /* bytes */
#define TH_INLINE_MAX 3072 /* bytes; larger values are stored outside the tree and written at once */
#define TH_SNAPSHOT_NAME_MAX 255 /* bytes, without the final 0 */
#define TH_SNAPSHOT_IDENTITY 16 /* bytes */
#define TH_SNAPSHOT_ID_MAX 0x7ffffdu /* so many snapshots can be created, as ids are not used again */
#define TH_BRANCH_NAME_MAX 255
#define TH_HOLD_TAG_MAX 255

/* Bytes that the slice does not own. */
struct th_slice {
	const void *data;
	size_t size;
};

/* A value that was read.  It keeps its bytes until th_value_release(), which any thread may call. */
struct th_value {
	const void *data;
	uint32_t size; /* bytes */
	int32_t refs; /* reference count of the key: th_txn_ref() */
	void *owner; /* private */
};

/* Keys k with from <= k < to.  to.data NULL: no upper bound.  A bound has at most TH_KEY_MAX + 1 bytes, so that a range
 * can end directly after any key: `to` is then the key with a 0 byte appended. */
struct th_range {
	struct th_slice from, to;
};

/* An entry of a cursor. */
struct th_cursor_entry {
	struct th_slice key, value;
	int32_t refs; /* reference count of the key */
};

/* --- callbacks --- */

/* Takes one line about damage or trouble, without a newline.  Called by any thread, which may hold locks of the store:
 * it must not call the store. */
typedef void th_report_line(void *arg, const char *line);

/* Commits transactions for changes that the caller buffers outside the store, and keeps the caller from buffering more
 * and from changes that take several transactions, until th_store_options.resume is called, by the same thread: so the
 * tree has all changes of one moment.  Called without locks.  It may use the store, but not what calls it.  Returns 0
 * or an error; resume follows in either case. */
typedef int th_quiesce(void *arg);
typedef void th_resume(void *arg);

/* Takes one run.  Returns 0 to go on, or an error that ends the iteration. */
typedef int th_run_visit(const struct th_run *run, void *arg);

/* Calls visit(run, arg) for each run of blocks (chunk.h) that a value names.  The owner of the value format supplies
 * it; the store knows only the runs of values above TH_INLINE_MAX, which it made itself.  Called with locks of the
 * store held: it must not call the store.  Returns 0, the first error of visit(), or another error if the value is
 * malformed. */
typedef int th_value_runs(struct th_slice key, struct th_slice value, th_run_visit *visit, void *arg);

/* Checks one live entry; `view` is the live view, which it may read.  Called with locks of the store held: it must not
 * write.  Returns 0, or another value if it has reported a problem. */
typedef int th_check_entry(void *arg, struct th_view *view, const struct th_cursor_entry *entry);

/* --- the store --- */

#define TH_IMAGE_MIN (16u << 20) /* bytes of the smallest disk */

struct th_format_options {
	const char *label; /* at most 63 bytes; NULL: none */
	bool force; /* overwrites a store that is on the disk */
	/* Size of one copy of the intent log, at most a quarter of the disk; 0: 1 to 64 MiB, all copies together 1/32
	 * of the disk. */
	uint64_t log_bytes;
	/* Copies of all metadata, 1 or 2; 0: 1: of the nodes of the trees, the lists of blocks and the intent log.  A
	 * second copy is far away from the first one on the disk.  A reader uses it if the first cannot be read or is
	 * damaged.  Metadata then takes twice the space and the writes. */
	unsigned metadata_copies;
};

/* Whether unused space is given back to the file or device below. */
enum th_discard {
	TH_DISCARD_DEFAULT, /* as the disk prefers (th_disk.sparse): for files and memory, not for devices */
	TH_DISCARD_ON,
	TH_DISCARD_OFF,
};

/* Zero or NULL chooses the default of each option. */
#define TH_HEARTBEAT_OFF (~0u)

struct th_store_options {
	/* Refuses writes.  A log that needs replay is replayed in memory only.  If damage prevents that, the store
	 * reports it and shows the state before the damage: the records before a damaged one, or the last
	 * checkpoint.  Other damage is reported, and costs only the parts that need the damaged block (enum
	 * th_lost). */
	bool read_only;
	/* With read_only: shows the newest generation whose superblock is whole and whose trees have their roots, or
	 * the one with this number (0: any), and reports which.  Of an older generation than the newest, later changes
	 * are missing, and newer nodes and data may have replaced some of its own, which is then found by their
	 * checksums. */
	bool rescue;
	uint64_t generation;
	bool keep_disk; /* th_store_close() leaves the disk open, and it belongs to the caller again */
	bool truncate_log; /* opens that state for writing, too: the changes after it are lost */
	/* Memory for nodes, in bytes; 0: 256 MiB.  It holds nodes that were read and dirty nodes, which the next
	 * checkpoint writes: the more of these, the fewer of the others.  Not included are log records (at most 16
	 * MiB), readahead (16 MiB), transfer buffers (12 MiB), buffers of written data (up to 32 MiB are kept for later
	 * writes until the store is closed) and idle node memory (4 MiB and a sixteenth of the cache); open
	 * transactions; large values that are being written; and values that callers have not released.  The kernel's
	 * page cache is not used, unless the disk was opened with TH_DISK_BUFFERED. */
	size_t cache_bytes;
	size_t txn_bytes; /* memory for the writes of one transaction, beyond which they are spilled; 0: 64 MiB */
	/* Discards freed blocks in the background, in units of 64 KiB, once they are reusable; and when the store is
	 * closed.  A disk that cannot discard is not asked again.  th_store_trim() works in any case. */
	enum th_discard discard;
	/* How often the writer marks the disk as its own, so that a second machine does not write to it.  0: every 5 s
	 * if the disk may be shared (th_disk.shared), else never; TH_HEARTBEAT_OFF: never.  A writer looks for another
	 * one's heartbeat in any case. */
	unsigned heartbeat_ms;
	unsigned checkpoint_interval_ms; /* longest time between checkpoints in the background; 0: 5000 */
	const char *branch; /* makes this branch the current one; NULL: as it was */
	/* quiesce is called before the tree is frozen for a checkpoint and before committed transactions are taken for
	 * the log, and resume right after it.  Not called by checkpoints that a transaction needs for room, in memory
	 * or on the disk: their callers may hold locks.  NULL: nothing is buffered. */
	th_quiesce *quiesce;
	th_resume *resume;
	th_report_line *report; /* NULL: prints to stderr */
	void *arg; /* of quiesce, resume and report */
	/* Needed if values name runs: a deleted branch, a rollback or a deleted snapshot frees the blocks that only its
	 * values named.  NULL: values name none. */
	th_value_runs *runs;
};

/* Writes an empty store with one branch, "main".
 *
 * disk: stays the caller's; its old contents are lost.  options: NULL for the defaults.
 * Returns 0; -EEXIST if there is a store on the disk already and force is not set; -EINVAL if the disk is smaller than
 * TH_IMAGE_MIN, the label is too long, the log is larger than a quarter of the disk, or there are too many copies; or
 * a write error. */
int th_store_format(struct th_disk *disk, const struct th_format_options *options);

/* Opens the store on a disk, and replays its log after a crash.
 *
 * disk: on success it belongs to the store, which closes it (but see keep_disk); on an error it stays the caller's.
 * options: NULL for the defaults; its strings need not outlive the call.  *ret: the store, for th_store_close().
 * Returns 0; -ENOENT if there is no branch of the given name; -EMEDIUMTYPE if there is no store on the disk;
 * -EPROTONOSUPPORT if it is of a later version; -EBADMSG or -EUCLEAN if a structure is damaged that opening or replay
 * needs (opening read-only may still succeed); -ENOTRECOVERABLE if a record of the log is damaged after which there are
 * whole ones (it opens read-only, and with truncate_log); -ESRCH if there is no superblock of options->generation; or
 * another read or write error. */
int th_store_open(struct th_disk *disk, const struct th_store_options *options, struct th_store **ret);

/* Writes a last checkpoint, marks the store clean, and frees it and (but see keep_disk) its disk.
 *
 * Views, transactions and lockers must have ended; no other thread may use the store.
 * Returns 0, or the error of quiesce or of the checkpoint: then the next opening replays the log.  The store
 * is freed in any case. */
int th_store_close(struct th_store *store);

/* Writes all committed transactions as a new generation of the tree.  They are durable when it returns.
 *
 * Transactions and readers go on while it writes.
 * Returns 0; the error of quiesce, if only that failed: the checkpoint was made; or a write error, after which the
 * store refuses writes. */
int th_store_checkpoint(struct th_store *store);

/* Makes all committed transactions, and deletions of snapshots, durable.
 *
 * Appends them to the intent log, or writes a checkpoint if they do not fit.  Threads that call it at the same time
 * share one disk flush.  After a crash, either all transactions that were taken for the log at one moment are there or
 * none of them.  An error of quiesce is ignored.
 * Returns 0; -EROFS; or a write error, after which the store refuses writes. */
int th_store_sync(struct th_store *store);

/* Frees a bounded part of the space of deleted snapshots, deleted branches and rollbacks, by one checkpoint.  This
 * happens in the background, too; a caller that waits for the space repeats the call.
 *
 * Returns 0 if more is left; 1 if none is left, except for space that open views need, and the deletions are durable;
 * or a write error. */
int th_store_reclaim(struct th_store *store);

/* Discards all free blocks in a part of the disk, so that the file or device below can use their space.  Frees
 * reclaimed blocks first, by checkpoints.  Transactions and readers go on.
 *
 * start, length: the part, in bytes; UINT64_MAX for the length: up to the end.  least: bytes of a free run that is
 * worth a discard; 0: one block.  *ret_bytes: the bytes discarded, also after an error.
 * Returns 0; -EROFS; -EOPNOTSUPP if the disk cannot discard; or an error of a checkpoint or a discard. */
int th_store_trim(struct th_store *store, uint64_t start, uint64_t length, uint64_t least, uint64_t *ret_bytes);

/* Makes the store larger while it is open: extends the file under it, or uses a device or file that has grown.  A crash
 * leaves the old or the new size.  Transactions and readers go on.  Stores cannot shrink.
 *
 * bytes: the new size, of which whole blocks are used; 0: the size of the device or file.  *ret_bytes: the size after 0
 * or 1.
 * Returns 0; 1 if it has that size already, or is less than 32 KiB smaller; -EINVAL if the store is larger than
 * `bytes`;
 * -EFBIG if the device is smaller than `bytes`; -EROFS; -EOPNOTSUPP if the disk cannot grow; or a write error, after
 * which the store may refuse writes. */
int th_store_resize(struct th_store *store, uint64_t bytes, uint64_t *ret_bytes);

/* Parts of a store that could not be read.  It was opened read-only without them. */
enum th_lost {
	TH_LOST_SPACE = 1, /* the map of free space: numbers of blocks are wrong */
	TH_LOST_LIVE = 2, /* the root of the live tree: only snapshots and other branches can be read */
	TH_LOST_CATALOGUE = 4, /* snapshots, branches or holds: some may be missing */
};

struct th_store_info {
	uint8_t uuid[16];
	const char *label; /* valid until the store is closed */
	uint64_t block_size; /* bytes */
	/* All blocks are data, metadata, of snapshots, waiting or free.  During a checkpoint, changes of metadata and
	 * of snapshots count as data until it is complete. */
	uint64_t blocks;
	uint64_t blocks_data; /* values and their runs, of all branches; and blocks allocated by transactions */
	uint64_t blocks_metadata; /* superblocks, intent log, nodes of all branches, block lists */
	/* Left the state of their branch, and a snapshot may need them.  An upper bound if there are several branches
	 * or shared blocks: these may have another owner still.  Else exact, but for deleted snapshots that are not
	 * reclaimed yet (th_store_reclaim()). */
	uint64_t blocks_snapshots;
	uint64_t blocks_waiting; /* freed, but not yet usable: a crash might still need them */
	uint64_t blocks_free;
	uint64_t blocks_reserved; /* of the free and waiting ones, by th_chunk_reserve() */
	uint64_t blocks_emergency; /* of the free and waiting ones, kept for metadata and deletions */
	uint64_t blocks_available; /* free or waiting, and neither reserved nor kept */
	uint64_t generation; /* number of the last checkpoint */
	uint64_t sequence; /* number of the last committed transaction */
	uint64_t created_ns, checkpoint_ns; /* since 1970, UTC: of the store, of the last checkpoint */
	uint64_t snapshots, branches; /* their numbers */
	char branch[TH_BRANCH_NAME_MAX + 1]; /* the current one */
	uint64_t shared_blocks; /* with more than one reference (th_chunk_share()) */
	unsigned height; /* levels of the live tree */
	size_t cache_bytes, cache_used, dirty_bytes; /* of nodes: limit, used, not yet written */
	/* Counted since the store was opened. */
	uint64_t node_reads, node_writes, node_cache_hits, node_bytes_written;
	uint64_t checkpoints, syncs, log_records, log_bytes;
	uint64_t merges; /* transactions committed from memory */
	uint64_t spills, bulk_commits; /* parts of large transactions written out; commits of such transactions */
	uint64_t disk_reads, disk_bytes_read, disk_writes, disk_bytes_written, disk_flushes;
	bool read_only; /* opened so, or after an error */
	int failure; /* errno of the error after which the store refuses writes; 0: none */
	uint64_t log_stranded; /* records of the log after a damaged one, which were not replayed when it was opened */
	bool log_lost; /* none could be replayed: the store was opened as of its last checkpoint */
	unsigned lost; /* enum th_lost, together */
};

/* Returns the errno of the error after which the store refuses writes, or 0. */
int th_store_failure(const struct th_store *store);

/* Fills in *ret. */
void th_store_info(struct th_store *store, struct th_store_info *ret);

/* Returns the mark: a number for the owner of the keys that only grows and is the same for all branches, 0 at first.  A
 * filesystem keeps in it the highest id that it has used. */
uint64_t th_store_mark(struct th_store *store);

/* Raises the mark to `mark`, if it is lower.  Each checkpoint makes it durable; a sync does not. */
void th_store_raise_mark(struct th_store *store, uint64_t mark);

/* --- views: reading --- */

/* Returns the live view: the current branch at each moment.  It belongs to the store. */
struct th_view *th_view_live(struct th_store *store);

/* Opens a view of the current branch as it is now, which later writes do not change.  It costs one reference, but keeps
 * the space of its version from being reused.
 *
 * Returns 0, -EBUSY during th_store_rollback(), or -ENOMEM. */
int th_view_freeze(struct th_store *store, struct th_view **ret);

/* Opens a view of a snapshot, by its id (th_snapshot_find()).  The snapshot may be deleted before the view is closed:
 * its space is freed then.
 *
 * Returns 0, -ENOENT, or a read error. */
int th_view_snapshot(struct th_store *store, uint64_t id, struct th_view **ret);

/* Opens a view of the head of a branch as it is now.
 *
 * Returns 0, -ENOENT, -EBUSY during th_store_rollback(), or a read error. */
int th_view_branch(struct th_store *store, const char *name, struct th_view **ret);

/* Opens a view of the keys of another view that begin with a prefix, as a store of its own: its keys lack the prefix,
 * in all calls.  It can be read, compared (th_diff_open()) and, if `view` is live, written (th_txn_begin_in()).  It
 * holds `view`, which may be closed first.  A subtree of a subtree view is possible.
 *
 * Returns 0, -EINVAL if the prefixes are longer than TH_KEY_MAX, or -ENOMEM. */
int th_view_subtree(struct th_view *view, struct th_slice prefix, struct th_view **ret);

/* Closes a view that one of the functions above opened.  NULL and the live view are ignored.  Its cursors, diffs and
 * reads must have ended; values that were read from it stay valid. */
void th_view_close(struct th_view *view);

/* Reads the value of a key.
 *
 * *ret: for th_value_release().
 * Returns 0, -ENOENT, -EINVAL if the key is too long, or a read error. */
int th_get(struct th_view *view, struct th_slice key, struct th_value *ret);

/* Releases a value that was read. */
void th_value_release(struct th_value *value);

/* A read that is under way. */
struct th_get;

/* Begins th_get() without waiting for the disk, so that many reads are under way at the same time.  On the live view it
 * reads the value of this moment.
 *
 * *ret: for th_get_finish(), until which the view stays open.
 * Returns 0, -EINVAL if the key is too long, or a read error. */
int th_get_async(struct th_view *view, struct th_slice key, struct th_get **ret);

/* Returns the future that completes when th_get_finish() need not wait.  It can be polled, waited for, or given one
 * continuation, which runs on the thread that completes the transfer (future.h).  Valid until th_get_finish(). */
struct th_future *th_get_future(struct th_get *get);

/* Waits for a read, frees it, and returns as th_get().  A value above TH_INLINE_MAX is read only now. */
int th_get_finish(struct th_get *get, struct th_value *ret);

/* Starts a non-blocking section, for a caller that holds a lock which must not be held during I/O.  Until
 * th_nowait_end(), a read by this thread that needs a node from the disk fails with -EINPROGRESS: th_get(), cursors,
 * and reads in transactions.  Transaction commits, and values above TH_INLINE_MAX, still wait.
 *
 *	do {
 *		lock;
 *		th_nowait_begin();
 *		err = read;
 *		th_nowait_end();
 *		if (!err)
 *			change;
 *		unlock;
 *	} while (th_nowait_again(err));
 */
void th_nowait_begin(void);

/* Ends the section. */
void th_nowait_end(void);

/* Reads the node that a section of this thread lacked, if err is -EINPROGRESS; called without the lock.  Ends the
 * section if th_nowait_end() was not called.
 *
 * Returns true if the section is to be repeated.  After many repetitions the next section waits for the disk. */
bool th_nowait_again(int err);

/* Begins to read the nodes of a range (NULL: all keys), about the first half megabyte; a cursor continues the
 * readahead.  Waits only for interior nodes and the first leaf.
 *
 * Returns 0, -EINVAL if a bound is too long, or a read error. */
int th_prefetch(struct th_view *view, const struct th_range *range);

/* Opens a cursor before the first entry of a range (NULL: all keys).  A range that ends before it begins is empty.  On
 * the live view, the entries of one leaf are read at one moment, and later leaves show later writes.
 *
 * Returns 0, -EINVAL if a bound is too long, or a read error. */
int th_cursor_open(struct th_view *view, const struct th_range *range, struct th_cursor **ret);

/* Moves over the next or the previous entry and returns it.  Its bytes are valid until the cursor's next call.
 *
 * Returns 0, 1 at the end of the range, or a read error. */
int th_cursor_next(struct th_cursor *cursor, struct th_cursor_entry *ret);
int th_cursor_prev(struct th_cursor *cursor, struct th_cursor_entry *ret);

/* After a read error of th_cursor_next(): moves after the keys that cannot be read, which are those of a damaged node,
 * or the one key whose value is damaged.  So a caller can go on with the rest.
 *
 * *ret_hole: these keys, from the cursor's position on; to.data NULL: up to the end of the range.  Its bytes are valid
 * until the cursor's next call.
 * Returns 0; -EINVAL if the last call was no th_cursor_next() that failed in this way; or -EUCLEAN if the nodes around
 * the damage contradict each other, so that no key after it is known. */
int th_cursor_skip(struct th_cursor *cursor, struct th_range *ret_hole);

/* Moves before the first entry whose key is at or after `key`, within the range.  A cursor that was used before
 * expects as many reads as since its last seek: it fetches that many entries at once, and nothing ahead of them.
 *
 * Returns 0, -EINVAL if the key is too long, or a read error. */
int th_cursor_seek(struct th_cursor *cursor, struct th_slice key);

/* Moves after the last entry of the range. */
void th_cursor_seek_end(struct th_cursor *cursor);

/* Frees a cursor.  NULL is ignored. */
void th_cursor_close(struct th_cursor *cursor);

/* Returns the range of all keys that begin with a prefix.
 *
 * space: prefix.size bytes for the upper bound; the range points to it and to the prefix. */
struct th_range th_range_prefix(struct th_slice prefix, void *space);

/* --- transactions: writing --- */

/* Begins a transaction on the current branch.  Its writes are private until th_txn_commit(), except that its own reads
 * see them.  Transactions of different threads must not write the same keys at the same time; range locks are one way
 * to arrange that.
 *
 * Returns 0, -EROFS, -EBUSY during th_store_rollback(), or -ENOMEM. */
int th_txn_begin(struct th_store *store, struct th_txn **ret);

/* Begins a transaction on a subtree of the live view, whose keys it uses.  The view stays open until it ends.
 *
 * Returns as th_txn_begin(), or -EINVAL if the view is not live. */
int th_txn_begin_in(struct th_view *view, struct th_txn **ret);

/* Makes the writes of a transaction visible to all readers, and frees it.  Durable after the next sync or checkpoint.
 *
 * May wait while much is dirty.  A transaction that was spilled (txn_bytes) commits in time proportional to its size
 * and is durable at once.  During that, readers go on, but other commits, checkpoints and th_view_freeze() wait.
 * Returns 0 or a write error, after which the transaction is freed, too, and none of it is visible.  But if the store
 * refuses writes since then (th_store_info.read_only), readers may see a part of it until the store is closed.  That
 * part never becomes durable. */
int th_txn_commit(struct th_txn *txn);

/* Drops the writes of a transaction, frees the runs it allocated, and frees it.  NULL is ignored. */
void th_txn_rollback(struct th_txn *txn);

/* Allows a transaction to use the emergency reserve, as deletions may.  For writes that were admitted before, such as
 * delayed attributes. */
void th_txn_use_emergency(struct th_txn *txn);

/* Sets the value of a key; the key keeps its reference count.  Key and value are copied.
 *
 * Returns 0; -EINVAL if the key or the value is too long; -ENOSPC or -EIO if the transaction is to be spilled, or the
 * value written, and cannot be: then the transaction is unchanged; or -ENOMEM, after which the key may be set or
 * not. */
int th_txn_put(struct th_txn *txn, struct th_slice key, struct th_slice value);

/* Deletes a key and its reference count, if it exists, or all keys of a range.
 *
 * Returns as th_txn_put(). */
int th_txn_delete(struct th_txn *txn, struct th_slice key);
int th_txn_delete_range(struct th_txn *txn, struct th_range range);

/* Adds delta to the reference count of a key.  The count of a key that does not exist is kept, and shows when the key
 * is put.  It wraps at 32 bits.
 *
 * Returns as th_txn_put(). */
int th_txn_ref(struct th_txn *txn, struct th_slice key, int32_t delta);

/* Reads as th_get() and th_cursor_open(), with the writes of the transaction.  A write while the cursor is open may
 * show in it or not.  Close the cursor before the transaction ends. */
int th_txn_get(struct th_txn *txn, struct th_slice key, struct th_value *ret);
int th_txn_cursor(struct th_txn *txn, const struct th_range *range, struct th_cursor **ret);

/* Space for a key and a value, which the caller fills in place. */
struct th_loan {
	void *key, *value;
	void *entry; /* private */
};

/* Allocates a loan, space for a key and a value, to save the copy of th_txn_put().  It belongs to the transaction.
 *
 * key_size, value_size: bytes, the value at most TH_INLINE_MAX.
 * Returns 0, -EINVAL if a size is too large, or -ENOMEM. */
int th_txn_alloc(struct th_txn *txn, size_t key_size, size_t value_size, struct th_loan *ret);

/* Puts a filled loan, and empties it whatever is returned.
 *
 * Returns as th_txn_put(), or -EINVAL if the loan is empty or not of this transaction. */
int th_txn_put_loan(struct th_txn *txn, struct th_loan *loan);

/* Sets a savepoint and returns its number, counted from 0.
 *
 * Returns 0, -EOVERFLOW if there are 64, or -ENOMEM. */
int th_txn_save(struct th_txn *txn, unsigned *ret);

/* Undoes all writes and allocations since a savepoint, and drops later savepoints; it may be restored again.  Locks and
 * loans stay.
 *
 * Returns 0, or -EINVAL if there is no such savepoint. */
int th_txn_restore(struct th_txn *txn, unsigned savepoint);

/* Drops a savepoint and later ones, and undoes nothing.
 *
 * Returns 0, -EINVAL if there is no such savepoint, or -ENOMEM, after which the caller must roll back. */
int th_txn_release(struct th_txn *txn, unsigned savepoint);

/* --- range locks --- */

/*
 * A locker holds locks of key ranges, shared or exclusive.  A transaction is a locker until it ends; others are made by
 * th_locker_new().  Two locks of different lockers conflict if their ranges overlap and one of them is exclusive.  A
 * locker with a shared lock may ask for an exclusive one of the same range.  Keys need not exist to be locked.  Reads
 * and writes ignore locks.  Waiting lockers are served in the order of their requests, so a writer is not starved.
 */
enum th_lock_mode { TH_LOCK_SHARED, TH_LOCK_EXCLUSIVE };

/* Values of timeout_ms beside milliseconds. */
#define TH_LOCK_TRY 0
#define TH_LOCK_WAIT (-1)

/* Makes a locker.  Free it before the store is closed.
 *
 * Returns 0 or -ENOMEM. */
int th_locker_new(struct th_store *store, struct th_locker **ret);

/* Makes a locker for the keys of a subtree of the live view, which stays open until the locker is freed.  Other lockers
 * lock the same keys by their whole names.
 *
 * Returns 0, -EINVAL if the view is not live, or -ENOMEM. */
int th_locker_new_in(struct th_view *view, struct th_locker **ret);

/* Unlocks all of its ranges and frees it.  NULL is ignored. */
void th_locker_free(struct th_locker *locker);

/* Locks a range (NULL: all keys), and waits for conflicting locks.
 *
 * timeout_ms: TH_LOCK_TRY, TH_LOCK_WAIT, or milliseconds.
 * Returns 0; -EBUSY if TH_LOCK_TRY found a conflict; -ETIMEDOUT; -EDEADLK if waiting would never end, because a holder
 * waits for this locker, directly or not; -EINVAL if a bound is too long; or -ENOMEM.  On an error the locker keeps its
 * other locks.  After -EDEADLK it should unlock them, so that others go on, and retry. */
int th_locker_lock(struct th_locker *locker, const struct th_range *range, enum th_lock_mode mode, int timeout_ms);

/* Unlocks all ranges of a locker. */
void th_locker_unlock(struct th_locker *locker);

/* Locks a range for a transaction, until it ends.  Returns as th_locker_lock(). */
int th_txn_lock(struct th_txn *txn, const struct th_range *range, enum th_lock_mode mode, int timeout_ms);

/* --- snapshots --- */

struct th_snapshot {
	uint64_t id; /* 1 to TH_SNAPSHOT_ID_MAX, never reused */
	uint64_t generation, sequence; /* of its checkpoint, and of the last transaction in it */
	uint64_t created_ns; /* since 1970, UTC */
	uint64_t branch; /* id */
	uint64_t holds; /* their number; as long as there are any, the snapshot cannot be deleted */
	/* Random bytes.  Snapshots with the same identity have the same content, in whatever stores they are. */
	uint8_t identity[TH_SNAPSHOT_IDENTITY];
	char name[TH_SNAPSHOT_NAME_MAX + 1];
};

/* Keeps the state of the current branch under a name: writes a checkpoint, which becomes
 * the snapshot.  Durable when it returns.
 *
 * name: unique among the snapshots of all branches.  ret: the new snapshot, or NULL.
 * Returns 0; -EEXIST; -EINVAL if the name is empty, "." or "..", or has a slash; -ENAMETOOLONG; -EOVERFLOW if all ids
 * are used up; the error of quiesce; or a write error. */
int th_snapshot_create(struct th_store *store, const char *name, struct th_snapshot *ret);

/* Does the same for a copy of a snapshot of another store: the current branch has its content.
 *
 * original: its identity and created_ns are those of the new snapshot.
 * Returns as th_snapshot_create(), or -EEXIST if a snapshot with this identity exists. */
int th_snapshot_create_copy(struct th_store *store, const char *name, const struct th_snapshot *original,
			    struct th_snapshot *ret);

/* Deletes a snapshot.  Its name is free at once.  The deletion is durable after the next sync or checkpoint; a crash
 * before restores the snapshot.  Its space is freed in the background, in bounded steps that survive a crash, after all
 * views of it are closed; th_store_reclaim() does a step at once.
 *
 * Returns 0, -ENOENT, -EBUSY if it has holds or a branch begins from it, or -EROFS. */
int th_snapshot_delete(struct th_store *store, const char *name);

/* Renames a snapshot.  Durable when it returns.
 *
 * Returns 0, -ENOENT, or as th_snapshot_create() for the new name. */
int th_snapshot_rename(struct th_store *store, const char *from, const char *to);

/* Finds a snapshot by its name, or by its id.
 *
 * Returns 0 or -ENOENT. */
int th_snapshot_find(struct th_store *store, const char *name, struct th_snapshot *ret);
int th_snapshot_find_id(struct th_store *store, uint64_t id, struct th_snapshot *ret);

/* Finds the oldest snapshot with an id above `after`.
 *
 * Returns 0 or -ENOENT. */
int th_snapshot_next(struct th_store *store, uint64_t after, struct th_snapshot *ret);

/* Computes the space that becomes free if these snapshots are deleted together, in the state of the last checkpoint.
 * That of one snapshot is the space that it alone holds.  Holds do not matter.  Reads dead lists, and delays
 * checkpoints meanwhile.
 *
 * ids: of `count` snapshots, in any order, each once.
 * Returns 0; 1 if it is not known, because a branch begins from one of them, or one is the last of a detached branch;
 * -ENOENT; or a read error. */
int th_snapshot_space(struct th_store *store, const uint64_t *ids, size_t count, uint64_t *ret_bytes);

/* Finds a snapshot by its identity.
 *
 * Returns 0 or -ENOENT. */
int th_snapshot_find_identity(struct th_store *store, const uint8_t identity[TH_SNAPSHOT_IDENTITY],
			      struct th_snapshot *ret);

/* Lists all snapshots, oldest first.
 *
 * *ret: an array of *ret_count, which the caller frees with free().
 * Returns 0 or -ENOMEM. */
int th_snapshot_list(struct th_store *store, struct th_snapshot **ret, size_t *ret_count);

/* A hold: a tag on a snapshot that keeps it from being deleted, by itself or with its branch.  A snapshot has each tag
 * once at most.  Holds stay with a snapshot that is renamed, or that a rollback detaches. */
struct th_hold {
	uint64_t id; /* 1 or more, rising, never reused */
	uint64_t snapshot; /* id */
	uint64_t created_ns; /* since 1970, UTC */
	char tag[TH_HOLD_TAG_MAX + 1];
};

/* Puts a hold on a snapshot, or releases one.  Durable when it returns: writes a checkpoint.
 *
 * tag: any 1 to TH_HOLD_TAG_MAX bytes.
 * Returns 0; -ENOENT if there is no such snapshot, or no such tag to release; -EEXIST if the tag is there already;
 * -EINVAL if it is empty; -ENAMETOOLONG; or a write error. */
int th_snapshot_hold(struct th_store *store, const char *name, const char *tag);
int th_snapshot_release(struct th_store *store, const char *name, const char *tag);

/* Lists the holds of a snapshot, or of all (name NULL), by rising ids.
 *
 * *ret: an array of *ret_count, which the caller frees with free().
 * Returns 0, -ENOENT, or -ENOMEM. */
int th_snapshot_holds(struct th_store *store, const char *name, struct th_hold **ret, size_t *ret_count);

/* --- branches --- */

/*
 * A branch is a writable clone of a snapshot, with which it shares all data that it does not change.  A store begins
 * with the branch "main".  One branch is current: the live view, transactions and new snapshots belong to it.  It is
 * chosen when the store is opened (th_store_options.branch).  Names of branches are apart from those of snapshots.
 */
struct th_branch {
	uint64_t id; /* 1 or more, never reused */
	uint64_t origin; /* id of the snapshot that it begins from; 0: none */
	uint64_t created_ns; /* since 1970, UTC */
	uint64_t snapshots; /* their number */
	bool current;
	/* It has no head: a rollback left its snapshots.  `name` is that of the branch that they belonged to. */
	bool detached;
	char name[TH_BRANCH_NAME_MAX + 1];
};

/* Creates a branch that begins from a snapshot.  Durable when it returns.
 *
 * ret: the new branch, or NULL.
 * Returns 0; -ENOENT if there is no such snapshot; -EEXIST, -EINVAL or -ENAMETOOLONG for the name, as
 * th_snapshot_create(); or a write error. */
int th_branch_create(struct th_store *store, const char *name, const char *snapshot, struct th_branch *ret);

/* Deletes a branch.  Durable when it returns; its space is freed as a deleted snapshot's.
 *
 * snapshots: deletes its snapshots, too.
 * Returns 0; -ENOENT; -EBUSY if it is the current branch, or a snapshot to be deleted has holds or is the origin of a
 * branch; -ENOTEMPTY if it has snapshots that are not to be deleted; or a write error. */
int th_branch_delete(struct th_store *store, const char *name, bool snapshots);

/* Renames a branch.  Durable when it returns.
 *
 * Returns 0, -ENOENT, or as th_branch_create() for the new name. */
int th_branch_rename(struct th_store *store, const char *from, const char *to);

/* Promotes a branch: exchanges the roles of it and the branch that it begins from.  It gets that branch's snapshots up
 * to and including its origin, and begins where that branch began; that branch now begins from the same snapshot.  If
 * it is a detached one, it is removed with its last snapshot, and the branch before it is taken over in the same way.
 * No view changes.  Durable when it returns.
 *
 * So a branch can be deleted of which another one is to be kept, and a detached branch gets a name again.
 * Returns 0; 1 if it begins from no snapshot, and nothing is to be done; -ENOENT; or a write error. */
int th_branch_promote(struct th_store *store, const char *name);

/* Finds a branch by its name; ret may be NULL.
 *
 * Returns 0 or -ENOENT. */
int th_branch_find(struct th_store *store, const char *name, struct th_branch *ret);

/* Lists all branches, with detached ones, oldest first.
 *
 * *ret: an array of *ret_count, which the caller frees with free().
 * Returns 0 or -ENOMEM. */
int th_branch_list(struct th_store *store, struct th_branch **ret, size_t *ret_count);

/* Makes a snapshot, of any branch, the state of the current branch.  Writes since then are lost, and their space is
 * freed as a deleted snapshot's.  Newer snapshots of the branch are kept, in a detached branch that begins from this
 * snapshot.  A snapshot of a detached branch returns to the current one, with those before it: so a rollback to it
 * undoes the one that detached it.  Durable when it returns.
 *
 * Returns 0; -ENOENT; -EBUSY if a transaction or a view of th_view_freeze(), or a subtree of one, is open; or a write
 * error. */
int th_store_rollback(struct th_store *store, const char *snapshot);

/* --- diff --- */

/* A key that differs.  NULL data: absent on that side. */
struct th_change {
	struct th_slice key, from, to;
	int32_t from_refs, to_refs;
};

struct th_diff_stats {
	uint64_t nodes_read; /* from disk or cache */
	uint64_t entries_compared;
};

/* Opens a diff: the keys of a range (NULL: all) whose value or reference count differs between two views of one store,
 * in key order.  Its cost grows with the changes, not with the size of the views; between different branches, with the
 * changes on both since their common past.
 *
 * from, to: snapshots, frozen views or heads of branches, or subtrees of these with the same prefix.  They stay open
 * until the diff is closed.
 * Returns 0; -EINVAL if a view is live, the stores or the prefixes differ, or a bound is too long; or a read error. */
int th_diff_open(struct th_view *from, struct th_view *to, const struct th_range *range, struct th_diff **ret);

/* Moves over the next or the previous change and returns it.  Its bytes are valid until the diff's next call.
 *
 * Returns 0, 1 at the end of the range, or a read error. */
int th_diff_next(struct th_diff *diff, struct th_change *ret);
int th_diff_prev(struct th_diff *diff, struct th_change *ret);

/* Moves before the first change whose key is at or after `key`, within the range.
 *
 * Returns 0, -EINVAL if the key is too long, or a read error. */
int th_diff_seek(struct th_diff *diff, struct th_slice key);

/* Moves after the last change of the range. */
void th_diff_seek_end(struct th_diff *diff);

/* Fills in *ret with the work done so far. */
void th_diff_stats(struct th_diff *diff, struct th_diff_stats *ret);

/* Frees a diff.  NULL is ignored. */
void th_diff_close(struct th_diff *diff);

/* --- checker --- */

struct th_check_options {
	bool read_data; /* reads values of snapshots that are stored outside the tree, too */
	bool only_entries; /* calls `entry` for each live entry, and checks nothing else */
	th_value_runs *runs; /* accounts for the blocks that values name; NULL: they name none */
	th_check_entry *entry; /* checks each live entry further; NULL: nothing more is checked */
	th_report_line *problem; /* takes each problem; NULL: they are only counted */
	void *arg; /* of entry and problem */
};

struct th_check_result {
	uint64_t problems; /* 0: the store is sound */
	uint64_t nodes, entries, runs, snapshots, branches; /* looked at */
	uint64_t leaked_blocks; /* in use, but referred to by nothing */
	/* Of the current branch: records in leaves; messages that wait above them; the deletes of keys and of ranges
	 * among these; and the records that such deletes hide, whose space is not free yet. */
	uint64_t records, messages, deletes, range_deletes, dead_records;
	/* Deletes that wait, and how many may (invariant N6; a delete of a range counts for several).  More are no
	 * problem for the data, but let deleted records keep their space. */
	uint64_t deletes_weight, deletes_most;
};

/* Checks the last checkpoint, read from the disk: every tree, dead list, block reference and the space map.  No other
 * thread may write to the store.
 *
 * options: NULL for none.  ret: NULL if only the lines matter.
 * Returns 0 if the check was completed, whatever it found; -ENOMEM; or a read error if no superblock can be read. */
int th_store_check(struct th_store *store, const struct th_check_options *options, struct th_check_result *ret);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
