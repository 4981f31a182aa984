/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run writer: gives pages of files blocks on disk, in the order in which they are added, in one transaction.
 *
 * The pages fill runs of up to TH_RUN_MAX blocks, each written with one transfer.  A run is cut into extents where the
 * blocks of a file stop being consecutive or another file begins.  So a thousand small files, or a thousand scattered
 * pages of a large one, cost a few large sequential writes.
 */
#ifndef TH_FS_DATA_RUN_WRITER_H
#define TH_FS_DATA_RUN_WRITER_H

#include "fs/data/file_pages.h"

/* The caller sets fs, txn, hint and left, and zeros the rest. */
struct th_run_writer {
	struct th_fs *fs;
	struct th_txn *txn;
	uint64_t hint; /* disk address where the next run should begin */
	size_t left; /* pages that have no block yet: each has a reservation */
	size_t used; /* reservations that were used */

	struct th_run run; /* being filled */
	uint32_t filled;
	uint8_t *buffer;
	uint64_t checksums[TH_RUN_MAX];
	struct th_le64 packed[TH_RUN_MAX];
};

/* Stores consecutive pages of a file from *block on, up to block `to` or the end of a run, and moves *block past them.
 * There is a page at *block.  Adds their number to *blocks.  Returns 0, -ENOSPC, -ENOMEM or an error of the store.
 * inode->lock held for writing. */
int th_run_writer_add(struct th_run_writer *writer, struct th_inode *inode, uint64_t *block, uint64_t to,
		      int64_t *blocks);
/* Writes the last run.  Returns 0 or an error of the store. */
int th_run_writer_finish(struct th_run_writer *writer);
/* Frees the buffer.  Called in any case, after the transaction. */
void th_run_writer_release(struct th_run_writer *writer);

#endif
