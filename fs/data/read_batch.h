/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read batches: many short extents, read with few transfers.
 *
 * A file with scattered overwrites becomes a mixture of blocks from several writebacks, and each writeback wrote its
 * blocks in the order of the file.  So the extents of a part of the file, sorted by address, are a few runs on disk,
 * one for each writeback, although neighbours in the file are not neighbours on disk.
 */
#ifndef TH_FS_DATA_READ_BATCH_H
#define TH_FS_DATA_READ_BATCH_H

#include "fs/data/extent.h"
#include "tree/chunk.h"

struct th_read_batch {
	struct th_store *store;
	unsigned nparts, nblocks;
	struct th_read_batch_part {
		uint64_t addr;
		uint32_t blocks;
		uint32_t first; /* index in checksums */
		uint8_t *to;
	} parts[TH_RUN_MAX];
	uint64_t checksums[TH_RUN_MAX];
};

/* Initializes an empty batch; the arrays need no value. */
static inline void th_read_batch_init(struct th_read_batch *batch, struct th_store *store)
{
	batch->store = store;
	batch->nparts = batch->nblocks = 0;
}

/* Adds the blocks of a run, to be read into the aligned buffer `to`, which the caller keeps until the read.  Returns 0,
 * or -E2BIG if the batch would have more than TH_RUN_MAX blocks. */
int th_read_batch_add(struct th_read_batch *batch, const struct th_extent *extent, void *to);
/* Reads the batch, verifies the checksums and empties it.  Returns 0, -EBADMSG for a wrong checksum, -ENOMEM or an
 * error of the disk. */
int th_read_batch_read(struct th_read_batch *batch);

#endif
