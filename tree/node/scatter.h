/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks of a node.
 *
 * Usually they are one run.  On a fragmented image there may be no run of free blocks that is long enough although many
 * blocks are free.  Then the node is *scattered*: it lies in several runs, and its pointer names one more block, the
 * map, that lists them.  So writing a node of n blocks needs at most n + 1 free blocks, wherever they are: admission
 * counts blocks and not runs, and a checkpoint cannot fail because space is fragmented (S4).
 *
 *      pointer ---> map: | run | run | run |
 *                           |     |     '----> blocks of the node
 *                           |     '--> ...
 *                           '--> ...
 *
 * A node may have two copies, each in one run or scattered.  A reader takes the first one, and the other one if that
 * cannot be read or is wrong.
 */
#ifndef TH_TREE_NODE_SCATTER_H
#define TH_TREE_NODE_SCATTER_H

#include "journal/base/format.h"
#include "tree/chunk.h"
#include "tree/node/node.h"

#define TH_SCATTER_MAX (TH_NODE_MAX / TH_BLOCK_SIZE) /* runs */

struct th_scatter {
	unsigned count;
	struct {
		uint64_t addr;
		uint32_t blocks;
	} run[TH_SCATTER_MAX];
};

#define TH_SCATTER_MAGIC 0x434e4854u /* "THNC" */

struct th_scatter_disk {
	struct th_le32 magic;
	struct th_le32 count;
	struct th_le64 birth; /* of the node */
	struct th_le64 checksum; /* XXH3 of `run` */
	struct {
		struct th_le64 addr;
		struct th_le32 blocks;
	} run[TH_SCATTER_MAX]; /* in the order of the node's bytes; zero after `count`, as is the rest of the block */
};
static_assert(sizeof(struct th_scatter_disk) == 24 + 12 * TH_SCATTER_MAX, "format.md: scattered node");

/* Packs the map of a node with the given birth into a block. */
void th_scatter_pack(const struct th_scatter *scatter, uint64_t birth, void *block);
/* Reads the map of the first copy of a node, which is scattered.  Waits for the disk.  Returns 0, -EBADMSG, -EUCLEAN,
 * -ENOMEM or a read error. */
int th_scatter_read(struct th_disk *disk, const struct th_ptr *ptr, struct th_scatter *ret);

/* Returns whether the blocks have the node's checksum. */
bool th_node_blocks_right(const struct th_ptr *ptr, const void *blocks);
/* Reads the ptr->blocks blocks of the first copy of a node, scattered or not, into a buffer that is fit for transfers.
 * Waits for the disk.  Returns as th_scatter_read; -EBADMSG also if the blocks have another checksum. */
int th_node_blocks_read(struct th_disk *disk, const struct th_ptr *ptr, void *buffer);
/* Writes the blocks over those of this copy, and reads them again.  Waits for the disk.  Returns 0; an error of
 * th_scatter_read(), if the copy is scattered and its map is not right; a write error; or -EBADMSG if the disk did not
 * keep them. */
int th_node_blocks_heal(struct th_disk *disk, const struct th_ptr *ptr, const void *blocks);
/* Starts to read as th_node_blocks_read() does, without waiting and without verifying the checksum.  The future
 * completes as one of th_disk_get() does. */
void th_node_blocks_get(struct th_disk *disk, const struct th_ptr *ptr, void *buffer, struct th_future *future);

/* Calls each() with every run of the blocks of all copies of a node, maps included, until that returns an error.  A map
 * that cannot be read is reported, and the runs that only it names stay lost.  Waits for the disk if a copy is
 * scattered.  Returns 0, -ENOMEM or each()'s error. */
int th_node_each_run(struct th_disk *disk, const struct th_ptr *ptr, th_run_visit *each, void *arg);

#endif
