/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: data outside the tree, in runs of blocks, and large values kept in them.
 *
 * Reads, writes and buffers of runs.  Allocation is a transaction's: tree/txn/alloc.c.  The interface for users of the
 * store is tree/chunk.h; descriptors of large values are in tree/node/large_value.h.
 */
#ifndef TH_TREE_IO_CHUNK_H
#define TH_TREE_IO_CHUNK_H

#include "tree/chunk.h"
#include "tree/node/large_value.h"

/* A run that a transaction allocated. */
struct th_alloc {
	struct th_run run;
	bool written;
	uint64_t digest; /* XXH3 over its blocks' checksums, if written */
};

/* Does a run lie between the log, at the beginning of the disk, and the superblocks at its end? */
bool th_chunk_valid(struct th_store *store, const struct th_run *run);
/* Begins to write a run.  buffer: aligned to TH_BLOCK_SIZE; on success it is the store's, which keeps or frees it
 * when the transfer is complete.  Waits if many bytes are being written.  An error of the transfer makes the store
 * fail.  Returns 0 or -ENOMEM. */
int th_chunk_write_begin(struct th_store *store, const struct th_run *run, void *buffer);
/* Waits for all writes that are under way when it is called. */
void th_chunk_wait_all(struct th_store *store);
/* Frees the buffers that were kept.  Nothing is being written. */
void th_chunk_buffers_release(struct th_store *store);

/* Reads a large value into new memory, which the caller frees with free().  Damage is reported.  Returns 0, -ENOMEM,
 * -EUCLEAN if the descriptor is broken, -EBADMSG if the value is damaged, or an error of the disk. */
int th_chunk_value_read(struct th_store *store, struct th_slice descriptor, void **ret, uint32_t *ret_size);

#endif
