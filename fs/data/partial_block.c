/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/partial_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file_pages.h"

/* --- looking; the inode's lock is held --- */

/* Does a change of [from, to) leave anything of the block that lies before the end of the file? */
static bool edge_stays(const struct th_inode *inode, uint64_t block, uint64_t from, uint64_t to)
{
	uint64_t start = block << TH_BLOCK_SHIFT, end = start + TH_BLOCK_SIZE, size = inode->attr.size;

	return (from > start && size > start) || (to < end && to < size);
}

/* The block as the store has it, with zeros where `size` bytes are not all. */
static int edge_fill(struct th_partial_block *edge, const void *data, size_t size, bool fresh)
{
	edge->page = th_page_tree_alloc();
	if (!edge->page)
		return -ENOMEM;
	edge->page->fresh = fresh;
	memcpy(edge->page->data, data, size);
	memset(edge->page->data + size, 0, TH_BLOCK_SIZE - size);
	return 0;
}

static int edge_fill_inline(struct th_partial_block *edge, const struct th_extent *extent)
{
	return edge_fill(edge, extent->bytes, extent->size < TH_BLOCK_SIZE ? extent->size : TH_BLOCK_SIZE, true);
}

/* Nobody gives the block up as long as it is guarded. */
static int edge_guard(struct th_partial_blocks *edges, uint64_t block)
{
	int err = edges->guard ? 0 : th_locker_new(edges->inode->fs->store, &edges->guard);

	return err ? err : th_extent_guard(edges->guard, edges->inode->id, block, block + 1);
}

static int edge_fill_run(struct th_partial_blocks *edges, struct th_partial_block *edge, const struct th_extent *extent)
{
	uint64_t checksum;

	th_extent_checksums(extent, 0, 1, &checksum);
	if (edge->data && edge->addr == extent->run.addr && edge->birth == extent->run.birth &&
	    edge->checksum == checksum)
		return edge_fill(edge, edge->data, TH_BLOCK_SIZE, false);
	free(edge->data);
	edge->data = NULL;
	edge->addr = extent->run.addr;
	edge->birth = extent->run.birth;
	edge->checksum = checksum;
	edge->missing = true;
	return edge_guard(edges, extent->block);
}

static int edge_find(struct th_partial_blocks *edges, struct th_partial_block *edge, uint64_t block)
{
	struct th_inode *inode = edges->inode;
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, block, block + 1, &extents);

	if (err)
		return err;
	err = th_extents_next(&extents, &extent);
	if (!err && extent.kind == TH_EXTENT_INLINE)
		err = edge_fill_inline(edge, &extent);
	else if (!err && extent.kind == TH_EXTENT_RUN)
		err = edge_fill_run(edges, edge, &extent);
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

static int edge_look(struct th_partial_blocks *edges, struct th_partial_block *edge, uint64_t block, uint64_t from,
		     uint64_t to)
{
	const struct th_inode *inode = edges->inode;

	edge->block = block;
	if (th_file_pages_bare(inode) || !edge_stays(inode, block, from, to))
		return 0;
	if (th_file_pages_count(inode) && th_page_tree_get(&inode->file->pages, block))
		return 0;
	return edge_find(edges, edge, block);
}

/* What was found out before the lock was taken anew; but for the block that was read, which may still be the one. */
static void edge_begin(struct th_partial_block *edge)
{
	th_page_tree_free(edge->page);
	edge->page = NULL;
	edge->missing = false;
}

int th_partial_blocks_look(struct th_partial_blocks *edges, struct th_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t first = from >> TH_BLOCK_SHIFT, last = (to - 1) >> TH_BLOCK_SHIFT;
	int err;

	edges->inode = inode;
	edge_begin(&edges->first);
	edge_begin(&edges->last);
	th_nowait_begin();
	err = edge_look(edges, &edges->first, first, from, to);
	if (!err && last != first)
		err = edge_look(edges, &edges->last, last, from, to);
	th_nowait_end();
	return !err && edges->guard ? -EAGAIN : err;
}

struct th_file_page *th_partial_blocks_take(struct th_partial_blocks *edges, uint64_t block)
{
	struct th_partial_block *edge = edges->first.page && edges->first.block == block ? &edges->first : &edges->last;
	struct th_file_page *page = edge->block == block ? edge->page : NULL;

	if (page)
		edge->page = NULL;
	return page;
}

/* --- reading; no lock is held --- */

static int edge_read(const struct th_partial_blocks *edges, struct th_partial_block *edge)
{
	int err;

	if (!edge->missing)
		return 0;
	edge->missing = false;
	edge->data = th_disk_buffer(TH_BLOCK_SIZE);
	if (!edge->data)
		return -ENOMEM;
	err = th_chunk_read(edges->inode->fs->store, edge->addr, 1, &edge->checksum, edge->data);
	if (err) {
		free(edge->data);
		edge->data = NULL;
	}
	return err;
}

bool th_partial_blocks_again(struct th_partial_blocks *edges, int *err)
{
	bool missing = *err == -EAGAIN && edges->guard;

	if (missing) {
		*err = edge_read(edges, &edges->first);
		if (!*err)
			*err = edge_read(edges, &edges->last);
	}
	th_locker_free(edges->guard);
	edges->guard = NULL;
	return (missing && !*err) || th_nowait_again(*err);
}

static void edge_release(struct th_partial_block *edge)
{
	th_page_tree_free(edge->page);
	free(edge->data);
}

void th_partial_blocks_release(struct th_partial_blocks *edges)
{
	th_locker_free(edges->guard);
	edge_release(&edges->first);
	edge_release(&edges->last);
}
