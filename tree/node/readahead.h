/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small reads of data and nodes that lie near one another.
 *
 * What was written together lies together, but it is asked for piece by piece: the files of a directory come one after
 * the other, in the order of their names' hashes; the nodes of a commit in the order of their keys.  When several small
 * reads have fallen into one neighbourhood, the next one there reads the whole region around it, and those that follow
 * find theirs in memory.  Reads that jump about are left alone.
 *
 * A region that is of no use for long gives its memory back.
 *
 * Regions are not kept in step with writes.  Whoever reads has the checksum of what he wants: where it does not match,
 * he forgets the region and reads the disk.
 */
#ifndef TH_TREE_NODE_READAHEAD_H
#define TH_TREE_NODE_READAHEAD_H

#include "journal/disk/disk.h"

#define TH_READAHEAD_BLOCKS 64u /* of a region, which begins at a multiple of it */

struct th_readahead;

int th_readahead_new(struct th_disk *disk, struct th_readahead **ret);
void th_readahead_free(struct th_readahead *ahead);

/* Copies the blocks if they are in a region, or if it is time to read one; else false: read them yourself. */
bool th_readahead_read(struct th_readahead *ahead, uint64_t addr, uint32_t blocks, void *buffer);
/* The region with this block is not what is on the disk. */
void th_readahead_forget(struct th_readahead *ahead, uint64_t addr);

#endif
