/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edges: the blocks at the two ends of a change that it covers only in part.
 *
 * What stays of such a block has to be known before the rest of it changes, and the disk may be the only one to know.
 * The inode's lock is not held while that is read, or everybody who uses the file would wait for a disk that one of
 * them needs.  So who changes a file looks at the edges first, with the lock; if a block has to be read he lets go, has
 * it read, and begins anew:
 *
 *	do {
 *		lock;
 *		err = th_partial_blocks_look(&edges, inode, from, to);
 *		if (!err)
 *			err = change(..., &edges);
 *		unlock;
 *	} while (th_partial_blocks_again(&edges, &err));
 *	th_partial_blocks_release(&edges);
 *
 * Nor is it held while nodes of the store are read that say where the block is (th_nowait_begin).
 *
 * In between anything may happen to the file.  What was read counts if the store still has that very block in that
 * place; else there is another one to read.
 */
#ifndef TH_FS_DATA_PARTIAL_BLOCK_H
#define TH_FS_DATA_PARTIAL_BLOCK_H

#include "fs/format/page_tree.h"
#include "fs/inode/inode.h"

struct th_partial_block {
	struct th_file_page *page; /* what the block holds; NULL: a page of the file, or zeros */
	uint64_t block;
	/* The block of the store that was read, or is to be. */
	uint64_t addr, birth, checksum;
	uint8_t *data; /* NULL: it has not been read */
	bool missing;
};

/* All zero to begin with. */
struct th_partial_blocks {
	struct th_inode *inode;
	struct th_locker *guard; /* of what is to be read; NULL: nothing is */
	struct th_partial_block first, last;
};

/* Before the bytes [from, to), which are some, become others.  inode->lock held for writing, and kept until these have
 * changed.  -EAGAIN, -EINPROGRESS: not before th_partial_blocks_again. */
int th_partial_blocks_look(struct th_partial_blocks *edges, struct th_inode *inode, uint64_t from, uint64_t to);
/* What stays of the block lies in this page, which is the caller's from now on.  NULL: nothing but zeros. */
struct th_file_page *th_partial_blocks_take(struct th_partial_blocks *edges, uint64_t block);
/* No lock held.  True: something was missing and has been read, so it is worth another try.  An error in reading
 * becomes *err. */
bool th_partial_blocks_again(struct th_partial_blocks *edges, int *err);
void th_partial_blocks_release(struct th_partial_blocks *edges);

#endif
