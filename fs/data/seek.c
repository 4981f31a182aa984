/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/seek.h"

#include <errno.h>
#include <unistd.h>

#include "fs/data/file_pages.h"

/* An iterator over the data of a file in block order: the smaller of the next page and the next run. */
struct seek {
	struct th_inode *inode;
	struct th_extents extents;
	uint64_t run_from, run_to; /* the current run; TH_EXTENT_END: none is left */
};

/* Moves to the next run; unwritten extents are holes. */
static int seek_next_run(struct seek *seek)
{
	struct th_extent extent;
	int err;

	do
		err = th_extents_next(&seek->extents, &extent);
	while (!err && extent.kind == TH_EXTENT_UNWRITTEN);
	if (err < 0)
		return err;
	seek->run_from = err ? TH_EXTENT_END : extent.block;
	seek->run_to = err ? TH_EXTENT_END : extent.block + extent.blocks;
	return 0;
}

/* Moves *block to the first block of data at or after it; TH_EXTENT_END: none. */
static int seek_data(struct seek *seek, uint64_t *block)
{
	uint64_t page, run;
	int err = 0;

	while (!err && seek->run_to <= *block && seek->run_from < TH_EXTENT_END)
		err = seek_next_run(seek);
	if (err)
		return err;
	run = seek->run_from > *block ? seek->run_from : *block;
	if (seek->run_from == TH_EXTENT_END)
		run = TH_EXTENT_END;
	if (th_file_pages_count(seek->inode) && th_page_tree_next(&seek->inode->file->pages, *block, &page) &&
	    page < run)
		run = page;
	*block = run;
	return 0;
}

/* Moves *block to the end of the data that it is in, if it is in data. */
static int seek_hole(struct seek *seek, uint64_t *block)
{
	uint64_t at = *block;
	int err;

	while (!(err = seek_data(seek, &at)) && at == *block)
		at = *block = seek->run_from <= at && at < seek->run_to ? seek->run_to : at + 1;
	return err;
}

static int seek_locked(struct th_inode *inode, uint64_t off, int whence, uint64_t *ret)
{
	struct seek seek = { .inode = inode };
	uint64_t block = off >> TH_BLOCK_SHIFT, size = inode->attr.size;
	int err;

	if (off >= size)
		return -ENXIO;
	err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, block, TH_EXTENT_END, &seek.extents);
	if (err)
		return err;
	err = whence == SEEK_DATA ? seek_data(&seek, &block) : seek_hole(&seek, &block);
	th_extents_close(&seek.extents);
	if (err)
		return err;
	*ret = block << TH_BLOCK_SHIFT > off ? block << TH_BLOCK_SHIFT : off;
	if (block >= th_file_pages_blocks(size))
		*ret = size;
	return whence == SEEK_DATA && *ret >= size ? -ENXIO : 0;
}

int th_file_seek(struct th_inode *inode, uint64_t off, int whence, uint64_t *ret)
{
	int err;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	pthread_rwlock_rdlock(&inode->lock);
	err = seek_locked(inode, off, whence, ret);
	pthread_rwlock_unlock(&inode->lock);
	return err;
}
