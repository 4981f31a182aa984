/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file_pages.h"
#include "fs/data/partial_block.h"
#include "fs/data/writeback.h"
#include "fs/data/writeback_list.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "fs/inode/retry.h"
#include "tree/chunk.h"

/* Extents dropped in one transaction when a file is deleted: bounds its memory. */
#define DROP_MAX 1000
/* Blocks: the largest window, one that begins within a block. */
#define WINDOW_MAX (TH_RUN_MAX + 1)
#define WINDOW_WORDS ((WINDOW_MAX + 63) / 64)
/* Bytes of sequential writes after which they are written back: one full run.  With less, runs would be short; with
 * more, pages would stay in memory that are not written again. */
#define STREAM_BYTES ((uint64_t)TH_RUN_MAX << TH_BLOCK_SHIFT)
#define SIZE_MAX_BYTES ((uint64_t)INT64_MAX)

/* --- reading --- */

/* Reads up to TH_RUN_MAX blocks.  Called with inode->lock held for reading, and drops it. */
static int read_window(struct th_inode *inode, uint64_t block, uint64_t blocks, void *buffer)
{
	struct th_file_pages_read read;
	int err = th_file_pages_read_begin(inode, block, blocks < TH_RUN_MAX ? blocks : TH_RUN_MAX, buffer, &read);

	pthread_rwlock_unlock(&inode->lock);
	return err ? err : th_file_pages_read_end(&read);
}

static int read_blocks(struct th_inode *inode, uint64_t block, uint64_t blocks, uint8_t *buffer)
{
	int err = read_window(inode, block, blocks, buffer);

	for (uint64_t done = TH_RUN_MAX; !err && done < blocks; done += TH_RUN_MAX) {
		pthread_rwlock_rdlock(&inode->lock);
		err = read_window(inode, block + done, blocks - done, buffer + (done << TH_BLOCK_SHIFT));
	}
	return err;
}

static int file_read(struct th_inode *inode, uint64_t off, size_t size, struct th_file_data *ret)
{
	uint64_t first = off >> TH_BLOCK_SHIFT, blocks;
	int err;

	*ret = (struct th_file_data){ .size = 0 };
	pthread_rwlock_rdlock(&inode->lock);
	if (off >= inode->attr.size || !size) {
		pthread_rwlock_unlock(&inode->lock);
		return 0;
	}
	if (size > inode->attr.size - off)
		size = inode->attr.size - off;
	blocks = th_file_pages_blocks(off + size) - first;
	ret->buffer = th_disk_buffer(blocks << TH_BLOCK_SHIFT);
	if (!ret->buffer) {
		pthread_rwlock_unlock(&inode->lock);
		return -ENOMEM;
	}
	err = read_blocks(inode, first, blocks, ret->buffer);
	if (err) {
		th_file_data_release(ret);
		return err;
	}
	ret->data = (uint8_t *)ret->buffer + off % TH_BLOCK_SIZE;
	ret->size = size;
	return 0;
}

int th_file_read(struct th_inode *inode, uint64_t off, size_t size, struct th_file_data *ret)
{
	return TH_RETRY(file_read(inode, off, size, ret));
}

void th_file_data_release(struct th_file_data *data)
{
	free(data->buffer);
	*data = (struct th_file_data){ .size = 0 };
}

/* --- writing --- */

/* The blocks that a part of a write changes. */
struct window {
	struct th_inode *inode;
	struct th_partial_blocks *partial;
	uint64_t first;
	unsigned count;
	uint64_t end; /* offset of the last byte to write, plus 1 */
	unsigned credit; /* blocks that are reserved for pages to be added */
	uint64_t stored[WINDOW_WORDS]; /* bits: the block has a stored run */
};

static void window_mark(const struct window *window, uint64_t *bits, uint64_t from, uint64_t to)
{
	for (uint64_t i = from - window->first; i < to - window->first; i++)
		bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* Fills window->stored without a lookup for a file that has no holes, and no blocks allocated past its end. */
static bool window_find_dense(struct window *window)
{
	uint64_t blocks = th_file_pages_blocks(window->inode->stored_size), end = window->first + window->count;

	if (window->inode->stored_blocks != blocks)
		return false;
	if (window->first < blocks)
		window_mark(window, window->stored, window->first, end < blocks ? end : blocks);
	return true;
}

/* Sets the bits of the blocks of stored runs.  freed: only of those that a writeback of new pages would free. */
static int window_find_runs(const struct window *window, uint64_t *bits, bool freed)
{
	struct th_inode *inode = window->inode;
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, window->first,
				  window->first + window->count, &extents);

	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &extent)))
		if (!freed || (extent.kind != TH_EXTENT_INLINE && th_chunk_frees(inode->fs->store, &extent.run)))
			window_mark(window, bits, extent.block, extent.block + extent.blocks);
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

/* Finds the blocks that the store has already: pages of these do not add to the blocks of the file. */
static int window_find_stored(struct window *window)
{
	memset(window->stored, 0, sizeof(window->stored));
	if (!window->inode->stored_blocks || window_find_dense(window))
		return 0;
	return window_find_runs(window, window->stored, false);
}

/* Reserves a block for each new page until there is no space.  freed: bits of the blocks that may have their page's
 * block from the emergency reserve.  Returns true if the first block without space is one of these. */
static bool window_reserve_each(struct window *window, const uint64_t *freed)
{
	struct th_store *store = window->inode->fs->store;

	for (unsigned i = 0; i < window->count; i++) {
		bool frees = freed[i / 64] >> i % 64 & 1;

		if (th_page_tree_get(&window->inode->file->pages, window->first + i))
			continue;
		if (th_chunk_reserve_now(store, 1, false) && (!frees || th_chunk_reserve_now(store, 1, true)))
			return frees;
		window->credit++;
	}
	return false;
}

/* Will the file be stored in the tree, so that its page takes no block? */
static bool window_stays_inline(const struct window *window)
{
	const struct th_inode *inode = window->inode;

	return !inode->stored_blocks && inode->attr.size <= TH_FILE_INLINE_MAX && window->end <= TH_FILE_INLINE_MAX;
}

/* Reserves blocks on a full disk.  A page that replaces a block of this file only takes no space in the end: it may
 * have one from the emergency reserve, which gets the old block back.  So such a file can be overwritten, and the
 * blocks of fallocate(2) be used, without free space.  A small file takes no block at all. */
static int window_reserve_full(struct window *window, unsigned missing)
{
	struct th_store *store = window->inode->fs->store;
	uint64_t freed[WINDOW_WORDS] = { 0 };
	int err = window->inode->stored_blocks ? window_find_runs(window, freed, true) : 0;

	if (err)
		return err;
	if (window_stays_inline(window) && !th_file_pages_reserve_metadata(window->inode->fs, missing)) {
		window->credit = missing;
		return 0;
	}
	/* The blocks in the reserve come back with the writeback of the pages, which the caller has to cause. */
	if (window_reserve_each(window, freed) || window->credit == missing)
		return 0;
	if (!th_chunk_reserve(store, missing - window->credit))
		window->credit = missing;
	return 0;
}

/* Reserves blocks for the new pages; if there is too little space, for the first of them. */
static int window_reserve(struct window *window)
{
	unsigned missing = 0;
	int err = 0;

	for (unsigned i = 0; i < window->count; i++)
		missing += !th_page_tree_get(&window->inode->file->pages, window->first + i);
	window->credit = 0;
	if (!missing)
		return 0;
	if (!th_chunk_reserve_now(window->inode->fs->store, missing, false))
		window->credit = missing;
	else
		err = window_reserve_full(window, missing);
	return err ? err : window_find_stored(window);
}

/* Returns a page with the content of the block, except for the bytes [from, to), which will be overwritten. */
static struct th_file_page *window_new_page(struct window *window, uint64_t block, unsigned from, unsigned to)
{
	struct th_file_page *page = th_partial_blocks_take(window->partial, block);

	if (page)
		return page;
	page = th_page_tree_alloc();
	if (!page)
		return NULL;
	memset(page->data, 0, from);
	memset(page->data + to, 0, TH_BLOCK_SIZE - to);
	return page;
}

/* Finds or makes the page of a block whose bytes [from, to) will be overwritten. */
static int window_page(struct window *window, uint64_t block, unsigned from, unsigned to, struct th_file_page **ret)
{
	struct th_inode *inode = window->inode;
	uint64_t i = block - window->first;
	struct th_file_page *page = th_page_tree_get(&inode->file->pages, block);
	int err;

	*ret = page;
	if (page)
		return 0;
	if (!window->credit)
		return -ENOSPC;
	page = window_new_page(window, block, from, to);
	if (!page)
		return -ENOMEM;
	err = th_file_pages_add(inode, block, page, !(window->stored[i / 64] >> i % 64 & 1), true);
	if (err) {
		th_page_tree_free(page);
		return err;
	}
	window->credit--;
	*ret = page;
	return 0;
}

/* Writes the bytes in the window, and adds their number to *done. */
static int window_write(struct window *window, const uint8_t *buf, size_t size, uint64_t off, size_t *done)
{
	size_t at = 0;
	int err = 0;

	while (at < size) {
		unsigned from = (off + at) % TH_BLOCK_SIZE;
		size_t room = TH_BLOCK_SIZE - from;
		size_t bytes = size - at < room ? size - at : room;
		struct th_file_page *page;

		err = window_page(window, (off + at) >> TH_BLOCK_SHIFT, from, from + bytes, &page);
		if (err)
			break;
		memcpy(page->data + from, buf + at, bytes);
		at += bytes;
		if (off + at > window->inode->attr.size)
			window->inode->attr.size = off + at;
	}
	*done += at;
	return err;
}

/* Writes as many bytes as there is space for.  Returns an error only if that is none. */
static int write_pages(struct th_inode *inode, const void *buf, size_t size, uint64_t off,
		       struct th_partial_blocks *partial, size_t *ret_done)
{
	struct window window = { .inode = inode, .partial = partial };
	size_t done = 0;
	int err = th_file_pages_init(inode);

	while (!err && done < size) {
		uint64_t at = off + done, end = off + size;

		window.first = at >> TH_BLOCK_SHIFT;
		if (end > (window.first + TH_RUN_MAX) << TH_BLOCK_SHIFT)
			end = (window.first + TH_RUN_MAX) << TH_BLOCK_SHIFT;
		window.count = th_file_pages_blocks(end) - window.first;
		window.end = end;
		/* After the first window there would be pages to undo; but a request of the kernel is one window, or
		 * slightly more. */
		err = done ? window_reserve(&window) : TH_NOWAIT(window_reserve(&window));
		if (!err)
			err = window_write(&window, (const uint8_t *)buf + done, end - at, at, &done);
		if (window.credit)
			th_chunk_unreserve(inode->fs->store, window.credit);
	}
	*ret_done = done;
	if (!done)
		return err;
	th_file_pages_count_blocks(inode);
	th_file_pages_modified(inode);
	return 0;
}

/* Writes back the full runs of a sequential writer early: it usually does not write to them again. */
static void write_stream(struct th_inode *inode, uint64_t off, size_t size)
{
	struct th_file *file = inode->file;
	uint64_t to;

	if (off != file->stream_to)
		file->stream_from = off;
	file->stream_to = off + size;
	if (file->stream_to - file->stream_from < STREAM_BYTES)
		return;
	to = file->stream_to >> TH_BLOCK_SHIFT;
	/* An error is ignored: the pages stay dirty, and a later writeback reports it. */
	if (!th_writeback_range(inode, th_file_pages_blocks(file->stream_from), to))
		file->stream_from = to << TH_BLOCK_SHIFT;
}

static int file_write_locked(struct th_inode *inode, const void *buf, size_t size, uint64_t off, unsigned flags,
			     struct th_partial_blocks *partial, size_t *ret_done)
{
	int err;

	if (inode->snapshot || inode->deleted)
		return inode->deleted ? -ENOENT : -EROFS;
	err = th_fs_writable(inode->fs);
	if (err)
		return err;
	if (flags & TH_FILE_WRITE_APPEND)
		off = inode->attr.size;
	if (off >= SIZE_MAX_BYTES)
		return -EFBIG;
	if (size > SIZE_MAX_BYTES - off)
		size = SIZE_MAX_BYTES - off;
	err = th_inode_check_data(inode, off);
	if (!err && size)
		err = th_partial_blocks_find(partial, inode, off, off + size);
	if (!err)
		err = write_pages(inode, buf, size, off, partial, ret_done);
	if (!err && *ret_done)
		write_stream(inode, off, *ret_done);
	return err;
}

/* Writes until all is written or no room can be made.  A write that appends ends after its first part, because other
 * data may have been appended since. */
static int write_all(struct th_inode *inode, const uint8_t *buf, size_t size, uint64_t off, unsigned flags,
		     size_t *ret_done)
{
	struct th_partial_blocks partial = { .guard = NULL };
	unsigned tries = 0;
	size_t done;
	int err;

	*ret_done = 0;
	do {
		done = 0;
		th_moment_enter(inode->fs);
		pthread_rwlock_wrlock(&inode->lock);
		err = file_write_locked(inode, buf + *ret_done, size - *ret_done, off + *ret_done, flags, &partial,
					&done);
		pthread_rwlock_unlock(&inode->lock);
		th_moment_leave(inode->fs);
		*ret_done += done;
		tries = done ? 0 : tries;
	} while (th_partial_blocks_retry(&partial, &err) ||
		 (!err && done && *ret_done < size && !(flags & TH_FILE_WRITE_APPEND)) ||
		 (err == -ENOSPC && th_writeback_make_room(inode->fs, tries++)));
	th_partial_blocks_release(&partial);
	return err;
}

ssize_t th_file_write(struct th_inode *inode, const void *buf, size_t size, uint64_t off, unsigned flags)
{
	size_t done;
	int err = write_all(inode, buf, size, off, flags, &done);
	int relieved = th_writeback_relieve(inode->fs);

	if (done)
		err = relieved;
	return err ? err : (ssize_t)done;
}

/* --- writeback --- */

int th_file_writeback(struct th_inode *inode)
{
	int err = th_writeback_lock(inode);
	bool removed;

	removed = !err && !inode->atime_dirty && th_dirty_remove(inode);
	pthread_rwlock_unlock(&inode->lock);
	if (removed)
		th_inode_put(inode);
	return err;
}

int th_file_sync(struct th_inode *inode)
{
	int err = th_file_writeback(inode);

	return err ? err : th_store_sync(inode->fs->store);
}

/* --- deletion --- */

int th_file_drop(struct th_txn *txn, struct th_inode *inode)
{
	uint64_t end;
	int64_t blocks = 0;
	int err;

	th_file_pages_discard(inode, 0, TH_EXTENT_END);
	if (S_ISREG(inode->attr.mode) && th_file_pages_bare(inode))
		return 0;
	err = th_extent_clear(inode->fs, txn, inode->id, 0, TH_EXTENT_END, DROP_MAX, &end, &blocks);
	if (err)
		return err;
	return end < TH_EXTENT_END;
}

void th_file_release(struct th_inode *inode)
{
	th_file_pages_discard(inode, 0, TH_EXTENT_END);
	free(inode->file);
	inode->file = NULL;
}
