/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partial blocks: the first and the last block of a change, if it covers them only in part.
 *
 * The remaining bytes of such a block have to be known before it changes, and they may only be on disk.  They are read
 * without the inode's lock, or all users of the file would wait for the disk.  So a writer looks for the partial blocks
 * first, with the lock held; if a block has to be read, it drops the lock, reads the block and retries:
 *
 *	do {
 *		lock;
 *		err = th_partial_blocks_find(&partial, inode, from, to);
 *		if (!err)
 *			err = change(..., &partial);
 *		unlock;
 *	} while (th_partial_blocks_retry(&partial, &err));
 *	th_partial_blocks_release(&partial);
 *
 * Nodes of the store that say where the block is are read without the lock too (TH_NOWAIT).
 *
 * The file may change in any way while it is unlocked.  A block that was read is used if the store still has that very
 * block at that place; else the block that is there now is read.
 */
#ifndef TH_FS_DATA_PARTIAL_BLOCK_H
#define TH_FS_DATA_PARTIAL_BLOCK_H

#include "fs/data/page_tree.h"
#include "fs/inode/inode.h"

struct th_partial_block {
	struct th_file_page *page; /* content of the block; NULL: the file has a page of it, or it is zeros */
	uint64_t block;
	/* The stored block that was read, or has to be. */
	uint64_t addr, birth, checksum;
	uint8_t *data; /* NULL: not read yet */
	bool missing; /* has to be read before the next try */
};

/* Starts all zero. */
struct th_partial_blocks {
	struct th_inode *inode;
	struct th_locker *guard; /* of the blocks that have to be read; NULL: none */
	struct th_partial_block first, last;
};

/* Finds the partial blocks of a change of the bytes [from, to), from < to.  Returns 0: the caller changes them before
 * it drops the lock; -EAGAIN or -EINPROGRESS: the caller drops the lock and calls th_partial_blocks_retry; or an error.
 * inode->lock held for writing. */
int th_partial_blocks_find(struct th_partial_blocks *partial, struct th_inode *inode, uint64_t from, uint64_t to);
/* Returns a page with the content of the block, which the caller owns; NULL: the block is zeros. */
struct th_file_page *th_partial_blocks_take(struct th_partial_blocks *partial, uint64_t block);
/* Reads what was missing.  Returns true if the change is to be retried; else *err, which may become an error of
 * reading, is the result.  No lock held. */
bool th_partial_blocks_retry(struct th_partial_blocks *partial, int *err);
void th_partial_blocks_release(struct th_partial_blocks *partial);

#endif
