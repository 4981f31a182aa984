/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runs of blocks that a stream has sent, and where: so that a block that several files share is sent once.  Also
 * those of the base, when it was searched.
 *
 * The memory is bounded.  After TH_SENT_RUNS_MAX runs no more are added, and data that only later runs share is sent
 * again: the stream is larger then, and the copy takes more space.  Files of a size have long runs, so that many runs
 * are usually a terabyte.
 */
#ifndef TH_FS_STREAM_SENT_RUNS_H
#define TH_FS_STREAM_SENT_RUNS_H

#include <stddef.h>
#include <stdint.h>

#define TH_SENT_RUNS_MAX (1u << 20) /* 40 MiB */

struct th_sent_run {
	uint64_t addr, inode, block; /* block: of the file, where addr is */
	uint32_t blocks;
	uint32_t next[2]; /* in the chains of the buckets that it begins and ends in; 0: the last */
};

struct th_sent_runs {
	struct th_sent_run *list; /* from index 1 on */
	size_t count, capacity;
	uint32_t *buckets;
};

/* The caller zeros it. */
void th_sent_runs_release(struct th_sent_runs *runs);
/* Adds a run of up to TH_RUN_MAX blocks.  Returns 0 or -ENOMEM. */
int th_sent_runs_add(struct th_sent_runs *runs, uint64_t addr, uint32_t blocks, uint64_t inode, uint64_t block);
/* Finds where the block at addr was sent.  Returns the number of blocks from there on, up to `blocks`, and their place;
 * or 0 if it was not sent, and then in *ret_block the number of blocks up to the first one that was, up to `blocks`. */
uint32_t th_sent_runs_find(const struct th_sent_runs *runs, uint64_t addr, uint32_t blocks, uint64_t *ret_inode,
			   uint64_t *ret_block);

#endif
