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
#include "tree/node/entry.h"

struct th_drops;
struct th_disk;

#define TH_CHUNK_RUNS_MAX 128 /* runs of one large value */

struct th_chunk_disk {
	struct th_le32 size; /* of the value, bytes */
	struct th_le16 runs;
	struct th_le16 reserved;
	struct th_le64 checksum; /* XXH3 of the value */
	/* runs x struct th_chunk_run_disk */
};
static_assert(sizeof(struct th_chunk_disk) == 16, "format.md: chunk descriptor");

struct th_chunk_run_disk {
	struct th_le64 addr, birth;
	struct th_le32 blocks;
};
static_assert(sizeof(struct th_chunk_run_disk) == 20, "format.md: chunk descriptor run");

/* A descriptor in host form. */
struct th_chunk {
	uint32_t size;
	uint64_t checksum;
	unsigned runs;
	struct th_run run[TH_CHUNK_RUNS_MAX];
};

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

/* -EUCLEAN if the bytes are no descriptor. */
int th_chunk_unpack(struct th_slice descriptor, struct th_chunk *ret);
/* Writes at most sizeof(struct th_chunk_disk) + TH_CHUNK_RUNS_MAX * sizeof(struct th_chunk_run_disk) bytes; returns how
 * many. */
size_t th_chunk_pack(const struct th_chunk *chunk, void *to);
/* Adds the descriptor's runs to the list. */
int th_chunk_value_drop(struct th_slice descriptor, struct th_drops *drops);
/* Reads a large value into new memory. */
int th_chunk_value_read(struct th_store *store, struct th_slice descriptor, void **ret, uint32_t *ret_size);
/* Writes a large value within a transaction; the descriptor goes to `to` (as th_chunk_pack). */
int th_chunk_value_write(struct th_txn *txn, struct th_slice value, void *to, size_t *ret_size);

#endif
