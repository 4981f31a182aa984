/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: where a file's data lies.
 *
 * An extent maps consecutive 4 KiB blocks of a file to a run on disk, with one checksum a block, so that any part of it
 * can be verified, cut off, freed and shared by itself.  Overwriting the middle of an extent leaves two shorter ones
 * and the new one between them; nothing is read for it.  What no extent covers is a hole.
 *
 *   X1  The extents of one file do not overlap, and none is longer than TH_RUN_MAX blocks: so whatever covers a block
 *       begins at most TH_RUN_MAX - 1 blocks before it.
 *   X2  An inline extent is its file's only one, begins at block 0, and reads as one block padded with zeros.
 *
 * Values come from disk and are believed only once th_extent_decode has looked at them.  The lock of the inode whose
 * extents these are is held by the caller: shared for reading, exclusive for changing.
 */
#ifndef TH_FS_DATA_EXTENT_H
#define TH_FS_DATA_EXTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/format/key.h"
#include "fs/inode/context.h"
#include "journal/disk/disk.h"

struct th_extent {
	uint64_t block; /* where it begins in the file */
	uint32_t blocks; /* 1 for an inline one */
	enum th_extent_kind kind;
	struct th_run run; /* not of an inline one */
	const uint8_t *bytes; /* inline: the data; run: packed checksums; lent by whoever lent the extent */
	uint32_t size; /* of bytes */
};

/* Blocks of a file lie below this: 8 EiB. */
#define TH_EXTENT_END (UINT64_C(1) << (63 - TH_BLOCK_SHIFT))

/* -EUCLEAN, with *ret_why saying what is wrong.  ret->bytes points into the value. */
int th_extent_decode(uint64_t block, struct th_slice value, struct th_extent *ret, const char **ret_why);
/* Where a value's data lies: for struct th_store_options and th_check_options. */
int th_extent_runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		   void *arg);
/* Narrows an extent to what lies in [from, to), which it must touch. */
void th_extent_clip(struct th_extent *extent, uint64_t from, uint64_t to);
/* The checksums of `count` blocks from the nth on, unpacked. */
void th_extent_checksums(const struct th_extent *extent, uint32_t nth, uint32_t count, uint64_t *ret);

/* A walk over the extents that touch a range of blocks, in order, clipped to it. */
struct th_extents {
	struct th_fs *fs; /* for reports */
	struct th_cursor *cursor;
	uint64_t id, from, to;
	bool begun;
	bool single; /* one block, and an extent begins just there: value is all there is, and there is no cursor */
	struct th_value value;
};

/* In a view, or in a transaction with its own changes.  A transaction must not be written to during the walk. */
int th_extents_open(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t from, uint64_t to,
		    struct th_extents *ret);
int th_extents_open_txn(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to,
			struct th_extents *ret);
/* 1 at the end; -EUCLEAN is reported here.  The extent's bytes are valid until the next call. */
int th_extents_next(struct th_extents *extents, struct th_extent *ret);
void th_extents_close(struct th_extents *extents);

/* Blocks of a file are read without the lock of its inode, so that nobody waits behind somebody else's disk.  Whoever
 * does that first guards the blocks, with the inode's lock held: by a range lock, shared, on the keys under which they
 * are.  Whoever gives blocks up guards them for the transaction that does it, exclusively, with the inode's
 * lock held for writing: that waits for those who read, and for nothing else. */
int th_extent_guard(struct th_locker *locker, uint64_t id, uint64_t from, uint64_t to);
int th_extent_guard_txn(struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, int timeout_ms);

/* Makes [from, to), which is guarded unless nobody can be reading, a hole: drops what is covered whole and cuts what is
 * covered in part.  At most `limit` extents are touched; *ret_end tells up to where the range is clear.  *blocks is
 * lessened by the blocks given up. */
int th_extent_clear(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
		    uint64_t *ret_end, int64_t *blocks);
/* Puts an extent where there is a hole.  *blocks grows by its blocks. */
int th_extent_add(struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks);
/* The same, joining it with the one before where the two are small and lie together on
 * disk. */
int th_extent_put(struct th_fs *fs, struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks);

#endif
