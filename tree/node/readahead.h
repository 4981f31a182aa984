/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readahead for small reads of data and nodes that lie near one another.
 *
 * Blocks that were written together lie together, but they are read piece by piece: the files of a directory one after
 * the other, in the order of their names' hashes; the nodes of a checkpoint in key order.  When several small reads
 * have fallen into one neighbourhood, the next one there reads the whole region around it, and later ones find their
 * blocks in memory.  Scattered reads are left alone.  A region that was not used for long frees its memory.
 *
 * Regions are not updated by writes.  A reader has the checksum of its blocks: if it does not match, the reader forgets
 * the region and reads the disk.
 */
#ifndef TH_TREE_NODE_READAHEAD_H
#define TH_TREE_NODE_READAHEAD_H

#include "journal/disk/disk.h"

#define TH_READAHEAD_BLOCKS 64u /* blocks of a region, which begins at a multiple of this */

struct th_readahead;

/* Borrows the disk.  Returns 0 or -ENOMEM. */
int th_readahead_new(struct th_disk *disk, struct th_readahead **ret);
void th_readahead_free(struct th_readahead *ahead);

/* Copies blocks to the buffer if they are in a region, or if this read makes it worthwhile to read the region.  Returns
 * false if the caller has to read them from the disk.  Any thread may call this. */
bool th_readahead_read(struct th_readahead *ahead, uint64_t addr, uint32_t blocks, void *buffer);
/* Drops the region with this block, which differs from the disk. */
void th_readahead_forget(struct th_readahead *ahead, uint64_t addr);

#endif
