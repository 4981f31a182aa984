/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering: reading many short extents in few transfers.
 *
 * A file that is overwritten here and there becomes a mixture of blocks from several flushes, and each flush laid its
 * blocks down in the order of the file.  So the extents of a stretch of it, sorted by address, are a few runs on disk,
 * one for each flush, although no two neighbours in the file are neighbours there.
 */
#ifndef TH_FS_DATA_READ_BATCH_H
#define TH_FS_DATA_READ_BATCH_H

#include "fs/data/extent.h"

struct th_read_batch {
	struct th_store *store;
	unsigned nparts, nblocks;
	struct th_read_batch_part {
		uint64_t addr;
		uint32_t blocks;
		uint32_t first; /* in checksums */
		uint8_t *to;
	} parts[TH_RUN_MAX];
	uint64_t checksums[TH_RUN_MAX];
};

/* The rest needs no value. */
static inline void th_read_batch_init(struct th_read_batch *gather, struct th_store *store)
{
	gather->store = store;
	gather->nparts = gather->nblocks = 0;
}

/* Notes that the blocks of a run go to an aligned buffer.  -E2BIG: that would be more than TH_RUN_MAX in all. */
int th_read_batch_add(struct th_read_batch *gather, const struct th_extent *extent, void *to);
/* Reads what is noted, and verifies it. */
int th_read_batch_read(struct th_read_batch *gather);

#endif
