/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: where a file's data lies.
 *
 * An extent maps consecutive 4 KiB blocks of a file to a run on disk, with a checksum for each block, so that any part
 * of it can be verified, cut off, freed and shared by itself.  Overwriting the middle of an extent leaves two shorter
 * extents with the new one between them, and reads nothing.  Blocks that no extent covers are a hole.
 *
 *   X1  The extents of one file do not overlap, and none is longer than TH_RUN_MAX blocks.  So an extent that covers a
 *       block begins at most TH_RUN_MAX - 1 blocks before it.
 *   X2  An inline extent is the only one of its file, begins at block 0, and reads as one block padded with zeros.
 *
 * Values come from disk: they are not trusted until th_extent_decode has checked them.  The caller holds the lock of
 * the inode that the extents belong to, shared for reading and exclusive for changes.
 */
#ifndef TH_FS_DATA_EXTENT_H
#define TH_FS_DATA_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format/key.h"
#include "fs/inode/context.h"
#include "journal/disk/disk.h"
#include "tree/chunk.h"

struct th_extent {
	uint64_t block; /* its first block in the file */
	uint32_t blocks; /* 1 for an inline extent */
	enum th_extent_kind kind;
	struct th_run run; /* unused for an inline extent */
	const uint8_t *bytes; /* inline: the data; run: packed checksums; non-owning */
	uint32_t size; /* of bytes */
};

/* Block numbers in a file are below this: 8 EiB. */
#define TH_EXTENT_END (UINT64_C(1) << (63 - TH_BLOCK_SHIFT))

/* Checks and decodes the value of the extent that begins at `block`.  ret->bytes points into the value.  Returns 0, or
 * -EUCLEAN with the reason in *ret_why. */
int th_extent_decode(uint64_t block, struct th_slice value, struct th_extent *ret, const char **ret_why);
/* Calls `each` with the run of blocks that an entry refers to, if it is an extent with one.  For struct
 * th_store_options and th_check_options.  Returns the result of `each`, 0 if there is no run, or -EUCLEAN. */
int th_extent_runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		   void *arg);
/* Narrows an extent to its blocks in [from, to); it must have some.  An inline extent stays whole. */
void th_extent_clip(struct th_extent *extent, uint64_t from, uint64_t to);
/* Unpacks the checksums of `count` blocks of a run from the nth on (from 0). */
void th_extent_checksums(const struct th_extent *extent, uint32_t nth, uint32_t count, uint64_t *ret);

/* An iterator over the extents that touch a range of blocks, in order, clipped to the range. */
struct th_extents {
	struct th_fs *fs; /* for reports */
	struct th_cursor *cursor;
	uint64_t id, from, to;
	bool begun;
	bool single; /* the range is one block and an extent begins there: it is in value, and there is no cursor */
	struct th_value value;
};

/* Begins with the extents of inode `id` that touch [from, to): in a view, or in a transaction with its own changes,
 * which must not be written to during the iteration.  Returns 0 or an error of the store. */
int th_extents_open(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t from, uint64_t to,
		    struct th_extents *ret);
int th_extents_open_txn(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to,
			struct th_extents *ret);
/* Returns 0 with the next extent, whose bytes are valid until the next call; 1 at the end; -EUCLEAN, after a report, if
 * the extent is malformed. */
int th_extents_next(struct th_extents *extents, struct th_extent *ret);
void th_extents_close(struct th_extents *extents);

/* Guards: blocks of a file are read from disk without the lock of its inode, so that no other user of the file waits
 * for that disk.  Before it drops the lock, a reader guards the blocks with a shared range lock on the keys of extents
 * that begin there.  A transaction that frees blocks guards them exclusively, with the inode's lock held for writing;
 * so it waits for the readers of these blocks and for nothing else.  timeout_ms: as th_txn_lock.  Return 0 or an error
 * of th_locker_lock or th_txn_lock. */
int th_extent_guard(struct th_locker *locker, uint64_t id, uint64_t from, uint64_t to);
int th_extent_guard_txn(struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, int timeout_ms);

/* Makes the blocks [from, to) a hole: drops the extents that lie in it and cuts those that reach beyond it.  The caller
 * has guarded the range, unless no reader can exist.  Changes at most `limit` extents; *ret_end is the end of the
 * cleared part.  Subtracts the freed blocks from *blocks. */
int th_extent_clear(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
		    uint64_t *ret_end, int64_t *blocks);
/* Makes the runs in [from, to) unwritten: their blocks stay allocated and read as zeros.  Inline extents and holes
 * stay.  The parameters are those of th_extent_clear; *blocks does not change.  An unwritten block is never written in
 * place, so a snapshot or a copy with which it is shared keeps its data. */
int th_extent_unwrite(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
		      uint64_t *ret_end, int64_t *blocks);
/* Stores an extent over a hole, and adds its blocks to *blocks. */
int th_extent_add(struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks);
/* As th_extent_add, but extends the extent before it instead if the two are short and adjacent on disk. */
int th_extent_put(struct th_fs *fs, struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks);

#endif
