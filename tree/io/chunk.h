/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: data off-tree, as runs of blocks, and large values kept in them.
 *
 * A value above TH_INLINE_MAX is written to runs of its own; its entry holds a descriptor instead and is flagged
 * TH_ENTRY_CHUNK.  Exactly one entry or message of a tree refers to such a run, so its blocks are given up where that
 * entry is composed away: nothing needs to be read to overwrite a large value.
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

/* Waits for all writes of chunks that are under way. */
void th_chunk_wait_all(struct th_store *store);
/* Frees the buffers that th_chunk_buffer would have given out; nothing is being written. */
void th_chunk_buffers_release(struct th_store *store);

/* Reads a large value into new memory. */
int th_chunk_value_read(struct th_store *store, struct th_slice descriptor, void **ret, uint32_t *ret_size);
/* Writes a large value within a transaction; the descriptor goes to `to` (as th_large_value_pack). */
int th_chunk_value_write(struct th_txn *txn, struct th_slice value, void *to, size_t *ret_size);

#endif
