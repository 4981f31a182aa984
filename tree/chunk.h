/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: data outside the tree, in runs of 4 KiB blocks.
 *
 * For callers that place large data themselves: they write it once, share it between keys, and keep the addresses in
 * values of their own format.  Values above TH_INLINE_MAX need none of this: the store writes them to chunks by itself.
 *
 * A run is one reference to some blocks.  A transaction makes it by th_chunk_alloc() or th_chunk_share() and puts it
 * into a value; the transaction that deletes or replaces that value drops it by th_chunk_drop().  The store keeps the
 * blocks as long as a reference, a snapshot or a branch needs them.  To free them with a deleted branch, a rollback or
 * a snapshot, it asks which runs a value names (th_store_options.runs), and so does the checker
 * (th_check_options.runs).
 *
 * Memory, threads and common errors are as in thunderhead.h.  A run that does not lie within the disk is -EINVAL, or
 * -EUCLEAN where it is read, since it must have come from a damaged value.
 */
#ifndef THUNDERHEAD_CHUNK_H
#define THUNDERHEAD_CHUNK_H

#include "thunderhead.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define TH_RUN_MAX 256 /* blocks of 4096 bytes */

/* A part of a run is a run with the same birth. */
struct th_run {
	uint64_t addr; /* number of the first block */
	uint64_t birth; /* generation of the reference: a snapshot at least as new needs the blocks */
	uint32_t blocks;
};

/* Allocates a run for a transaction, which frees it if it is rolled back.
 *
 * blocks: 1 to TH_RUN_MAX; *ret may have fewer.  reserved: uses blocks set aside by th_chunk_reserve().  *hint: 0 at
 * first; the same variable for each call of one writer: it keeps the runs of one writer together.
 * Returns 0, -EINVAL if `blocks` is outside its limits, or a write error. */
int th_chunk_alloc(struct th_txn *txn, uint32_t blocks, bool reserved, uint64_t *hint, struct th_run *ret);

/* Drops a reference when the transaction commits: the blocks are freed, or kept for a snapshot, or have one reference
 * less if they are shared.
 *
 * Returns 0, -EINVAL, or -ENOMEM. */
int th_chunk_drop(struct th_txn *txn, const struct th_run *run);

/* Makes another reference to blocks when the transaction commits.  Until then the live tree, a snapshot or the head of
 * another branch must refer to them: one that exists, or that has an open view.  A view of th_view_freeze() does not
 * count: the live tree may have freed its blocks.
 *
 * *ret: the new reference, which may be equal to `run` in all but its birth.
 * Returns 0, -EINVAL, or -ENOMEM. */
int th_chunk_share(struct th_txn *txn, const struct th_run *run, struct th_run *ret);

/* Sets blocks aside for data that is allocated later, so that -ENOSPC is reported now.
 *
 * May run checkpoints to make room: no lock of the store may be held.
 * Returns 0 or -ENOSPC. */
int th_chunk_reserve(struct th_store *store, uint32_t blocks);

/* Sets blocks aside without waiting for a checkpoint that would make room.
 *
 * emergency: up to half of the emergency reserve may be used too.  That is for data that replaces data of about the
 * same size, or is needed to free some: the reserve is whole again once the blocks that the transaction drops are
 * reusable.  Returns 0 or -ENOSPC. */
int th_chunk_reserve_now(struct th_store *store, uint32_t blocks, bool emergency);

/* Makes blocks that were freed before the last checkpoint reusable, by checkpoints.  th_chunk_reserve() and
 * th_chunk_alloc() do that themselves when space is short.
 *
 * Returns 0 or a write error. */
int th_chunk_make_room(struct th_store *store);

/* Returns whether dropping this reference would make its blocks reusable after two checkpoints: no snapshot of the
 * current branch, and no other branch, needs them.  Copies that share the blocks are not looked for.  The answer is a
 * hint: a snapshot may be taken at any time. */
bool th_chunk_frees(struct th_store *store, const struct th_run *run);

/* Returns blocks that were set aside and are not needed; th_chunk_alloc() does so itself for those it uses. */
void th_chunk_unreserve(struct th_store *store, uint32_t blocks);

/* Returns an aligned buffer of at least `blocks` blocks, reused from recent writes where possible; NULL: no memory.
 *
 * The caller passes it to th_chunk_write() or frees it with free(). */
void *th_chunk_buffer(struct th_store *store, uint32_t blocks);

/* Returns the checksum (XXH3) of one block of 4096 bytes. */
uint64_t th_chunk_checksum(const void *block);

/* Starts to write a run that this transaction allocated; each run is written once, before the transaction commits.  The
 * commit does not wait for the transfer; a sync and a checkpoint do.
 *
 * buffer: aligned to 4096 bytes and from th_chunk_buffer() or malloc(3)'s family; on success it belongs to the store,
 * which frees it.  checksums: one of each block, as the caller's value keeps them; replay uses them to find out whether
 * the data reached the disk.
 * Returns 0, -EINVAL if the run is not of this transaction, was written, or the buffer is not aligned; or -ENOMEM.  An
 * error of the transfer is reported, and the store refuses writes. */
int th_chunk_write(struct th_txn *txn, const struct th_run *run, void *buffer, const uint64_t *checksums);

/* Reads blocks and verifies them.  Waits for a write of these blocks that is under way.
 *
 * addr, blocks: any part of a run.  checksums: one of each block.  buffer: aligned to 4096 bytes, of the caller.
 * Returns 0 or a read error. */
int th_chunk_read(struct th_store *store, uint64_t addr, uint32_t blocks, const uint64_t *checksums, void *buffer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
