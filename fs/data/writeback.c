/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/writeback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/inode/dirty_list.h"

/* Extents cleared in one transaction. */
#define CLEAR_MAX 4096
/* Times that a flush lets go of the lock and looks for what it misses; with a small cache that may be gone again. */
#define LOOKS_MAX 3

/* One inode's part in a flush. */
struct flush_item {
	struct th_inode *inode;
	uint64_t from, to; /* pages to flush */
	uint64_t clear_from, clear_to; /* blocks to clear before that */
	bool clearing; /* there is more to clear: nothing else is done in this transaction */
	bool inlined;
	size_t count; /* pages that get blocks */
	int64_t blocks; /* change of stored_blocks */
	uint64_t old_size, old_blocks; /* stored_size and stored_blocks, to go back to */
};

struct flush {
	struct th_fs *fs;
	struct th_txn *txn;
	uint64_t hint;
	struct flush_item *items;
	size_t nitems;
	bool nowait; /* for nodes */
	size_t at; /* the item whose blocks are being cleared */
	size_t left; /* pages that have no block yet */
	size_t used; /* reservations used */

	struct th_run run; /* being filled */
	uint32_t filled;
	uint8_t *buffer;
	uint64_t checksums[TH_RUN_MAX];
	struct th_le64 packed[TH_RUN_MAX];
};

/* --- runs --- */

static int flush_run_write(struct flush *flush)
{
	int err;

	if (!flush->buffer)
		return 0;
	err = th_chunk_write(flush->txn, &flush->run, flush->buffer, flush->checksums);
	if (err)
		free(flush->buffer);
	flush->buffer = NULL;
	return err;
}

static int flush_run_begin(struct flush *flush)
{
	uint32_t want = flush->left < TH_RUN_MAX ? flush->left : TH_RUN_MAX;
	int err = th_chunk_alloc(flush->txn, want, true, &flush->hint, &flush->run);

	if (err)
		return err;
	flush->used += flush->run.blocks;
	flush->filled = 0;
	flush->buffer = th_chunk_buffer(flush->fs->store, flush->run.blocks);
	return flush->buffer ? 0 : -ENOMEM;
}

/* A run with room for a block at least. */
static int flush_run_ready(struct flush *flush)
{
	int err;

	if (flush->buffer && flush->filled < flush->run.blocks)
		return 0;
	err = flush_run_write(flush);
	return err ? err : flush_run_begin(flush);
}

static void flush_fill(struct flush *flush, const struct th_file_page *page)
{
	uint8_t *to = flush->buffer + ((size_t)flush->filled << TH_BLOCK_SHIFT);

	memcpy(to, page->data, TH_BLOCK_SIZE);
	flush->checksums[flush->filled] = th_chunk_checksum(to);
	flush->packed[flush->filled] = th_le64(flush->checksums[flush->filled]);
	flush->filled++;
	flush->left--;
}

/* --- extents --- */

/* Stores the last `count` blocks filled as the file's blocks from `block` on. */
static int flush_extent(struct flush *flush, struct flush_item *item, uint64_t block, uint32_t count)
{
	uint32_t first = flush->filled - count;
	struct th_extent extent = {
		.block = block,
		.blocks = count,
		.kind = TH_EXTENT_RUN,
		.run = { .addr = flush->run.addr + first, .birth = flush->run.birth, .blocks = count },
		.bytes = (const uint8_t *)&flush->packed[first],
		.size = count * sizeof(struct th_le64),
	};
	struct th_file *file = item->inode->file;
	bool goes_on = block == file->tail_block && extent.run.addr == file->tail_addr;
	uint64_t id = item->inode->id;

	file->tail_block = block + count;
	file->tail_addr = extent.run.addr + count;
	return goes_on ? th_extent_put(flush->fs, flush->txn, id, &extent, &item->blocks)
		       : th_extent_add(flush->txn, id, &extent, &item->blocks);
}

/* Gives blocks to the pages that follow one another from *block on, as far as the run reaches. */
static int flush_stretch(struct flush *flush, struct flush_item *item, uint64_t *block)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	const struct th_file_page *page;
	uint64_t first = *block;
	int err = flush_run_ready(flush);

	if (err)
		return err;
	while (flush->filled < flush->run.blocks && *block < item->to && (page = th_page_tree_get(pages, *block))) {
		flush_fill(flush, page);
		(*block)++;
	}
	return flush_extent(flush, item, first, *block - first);
}

static int flush_inline(struct flush *flush, struct flush_item *item)
{
	struct th_inode *inode = item->inode;
	struct th_extent extent = {
		.blocks = 1,
		.kind = TH_EXTENT_INLINE,
		.bytes = th_page_tree_get(&inode->file->pages, 0)->data,
		.size = inode->attr.size,
	};

	return th_extent_add(flush->txn, inode->id, &extent, &item->blocks);
}

static int flush_pages(struct flush *flush, struct flush_item *item)
{
	uint64_t block = item->from;
	int err = 0;

	if (item->inlined)
		return flush_inline(flush, item);
	if (!th_file_pages_count(item->inode))
		return 0;
	while (!err && th_page_tree_next(&item->inode->file->pages, block, &block) && block < item->to)
		err = flush_stretch(flush, item, &block);
	return err;
}

/* --- items --- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Inline data that may not stay inline becomes a page, to be flushed with the others. */
static int flush_uninline(struct flush_item *item)
{
	bool waits = false;
	int err = th_file_pages_uninline(item->inode, &waits);

	if (waits)
		item->from = 0;
	return err;
}

static int flush_item_prepare(struct flush_item *item, enum th_writeback_mode mode)
{
	struct th_inode *inode = item->inode;
	bool all = item->from == 0 && item->to == TH_EXTENT_END;

	item->old_size = inode->stored_size;
	item->old_blocks = inode->stored_blocks;
	if (!S_ISREG(inode->attr.mode))
		return 0;
	item->inlined = all && mode != TH_WRITEBACK_RUNS && inode->attr.size <= TH_FILE_INLINE_MAX &&
			!inode->stored_blocks && th_file_pages_count(inode) == 1;
	if (item->inlined || !th_file_pages_maybe_inline(inode))
		return 0;
	/* What is about to be cleared needs no page; one would bring it back. */
	if (!item->clear_from && item->clear_to)
		return 0;
	if (mode == TH_WRITEBACK_RUNS || inode->attr.size > TH_FILE_INLINE_MAX)
		return flush_uninline(item);
	return 0;
}

static size_t flush_item_count(const struct flush_item *item)
{
	uint64_t block = item->from;
	size_t count = 0;

	if (item->inlined || !th_file_pages_count(item->inode))
		return 0;
	if (item->from == 0 && item->to == TH_EXTENT_END)
		return item->inode->file->pages.count;
	while (th_page_tree_next(&item->inode->file->pages, block, &block) && block < item->to) {
		count++;
		block++;
	}
	return count;
}

/* Does a page wait that this flush leaves? */
static bool flush_item_partial(const struct flush_item *item)
{
	uint64_t block;

	if (!th_file_pages_count(item->inode))
		return false;
	th_page_tree_next(&item->inode->file->pages, 0, &block);
	return block < item->from || th_page_tree_next(&item->inode->file->pages, item->to, &block);
}

static int flush_item_store(struct flush *flush, struct flush_item *item)
{
	struct th_inode *inode = item->inode;
	uint64_t size = inode->attr.size;

	if (S_ISREG(inode->attr.mode)) {
		if (item->clearing) {
			size = item->old_size;
		} else if (flush_item_partial(item)) {
			uint64_t end = min_u64(size, item->to << TH_BLOCK_SHIFT);

			size = min_u64(end > item->old_size ? end : item->old_size, size);
		}
		inode->stored_size = size;
		inode->stored_blocks = item->old_blocks + item->blocks;
	}
	return th_inode_store(flush->txn, inode, &inode->attr);
}

/* After trouble not every page has its promise any more (th_file_pages_add); now it is needed. */
static int flush_item_reserve(struct flush_item *item)
{
	struct th_file *file = item->inode->file;
	int err;

	if (!item->count || file->reserved >= item->count)
		return 0;
	err = th_chunk_reserve(item->inode->fs->store, item->count - file->reserved);
	if (!err)
		file->reserved = item->count;
	return err;
}

static int flush_item_begin(struct flush_item *item, enum th_writeback_mode mode)
{
	int err = flush_item_prepare(item, mode);

	if (err)
		return err;
	item->count = flush_item_count(item);
	return flush_item_reserve(item);
}

/* After the commit: the pages are the store's now. */
static void flush_item_done(struct flush_item *item)
{
	struct th_inode *inode = item->inode;

	if (inode->file && !item->clearing) {
		inode->file->reserved -= item->count;
		th_file_pages_discard(inode, item->from, item->to);
	}
	if (S_ISREG(inode->attr.mode))
		th_file_pages_count_blocks(inode);
	th_inode_publish(inode, &inode->attr);
	if (th_writeback_needed(inode))
		th_inode_mark_dirty(inode);
}

/* After the rollback: the pages wait on, and need their reservations again. */
static void flush_item_undo(struct flush *flush, struct flush_item *item)
{
	size_t again = min_u64(flush->used, item->count);

	item->inode->stored_size = item->old_size;
	item->inode->stored_blocks = item->old_blocks;
	if (again && th_chunk_reserve(flush->fs->store, again))
		item->inode->file->reserved -= again;
	flush->used -= again;
}

/* --- flushes --- */

/* Guards the pages in at most so many ranges, and one for the rest.  So it waits for somebody who reads between two
 * of them only where these are very many. */
#define GUARD_RANGES 64

/* Behind the nth page from that of `block` on, or the last one before `to`. */
static uint64_t pages_end(const struct th_page_tree *pages, uint64_t block, uint64_t to, size_t n)
{
	uint64_t end = block + 1;

	while (--n && th_page_tree_next(pages, end, &block) && block < to)
		end = block + 1;
	return end;
}

/* As a rule nobody reads the file just now, and one lock will do. */
static int flush_guard_pages(struct flush *flush, const struct flush_item *item)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	uint64_t id = item->inode->id, block, end;
	size_t each = item->count / GUARD_RANGES + 1;
	int err;

	if (!th_page_tree_next(pages, item->from, &block))
		return 0;
	err = th_extent_guard_txn(flush->txn, id, block, item->to, TH_LOCK_TRY);
	if (err != -EBUSY)
		return err;
	for (err = 0; !err && th_page_tree_next(pages, block, &block) && block < item->to; block = end) {
		end = pages_end(pages, block, item->to, each);
		err = th_extent_guard_txn(flush->txn, id, block, end, TH_LOCK_WAIT);
	}
	return err;
}

/* Waits for those who read what is about to be replaced. */
static int flush_item_guard(struct flush *flush, const struct flush_item *item)
{
	struct th_inode *inode = item->inode;
	int err = 0;

	if (th_file_pages_bare(inode))
		return 0;
	if (item->clear_from < item->clear_to)
		err = th_extent_guard_txn(flush->txn, inode->id, item->clear_from, item->clear_to, TH_LOCK_WAIT);
	if (!err && item->count)
		err = flush_guard_pages(flush, item);
	return err;
}

/* Behind the pages that follow one another from that of `block` on. */
static uint64_t stretch_end(const struct th_page_tree *pages, uint64_t block, uint64_t to)
{
	do
		block++;
	while (block < to && th_page_tree_get(pages, block));
	return block;
}

/* Takes away what the pages are going to replace. */
static int flush_clear_pages(struct flush *flush, struct flush_item *item)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	uint64_t block = item->from, end, cleared;
	int err = 0;

	for (; !err && th_page_tree_next(pages, block, &block) && block < item->to; block = end) {
		end = stretch_end(pages, block, item->to);
		err = th_extent_clear(flush->fs, flush->txn, item->inode->id, block, end, end - block + 1, &cleared,
				      &item->blocks);
	}
	return err;
}

static int flush_item_clear(struct flush *flush, struct flush_item *item)
{
	int err = flush_item_guard(flush, item);

	if (!err && item->clear_from < item->clear_to) {
		err = th_extent_clear(flush->fs, flush->txn, item->inode->id, item->clear_from, item->clear_to,
				      CLEAR_MAX, &item->clear_from, &item->blocks);
		item->clearing = item->clear_from < item->clear_to;
	}
	if (!err && !item->clearing && item->count && !th_file_pages_bare(item->inode))
		err = flush_clear_pages(flush, item);
	return err;
}

/* All that reads the store comes first: what is not in memory is missed before anything was allocated. */
static int flush_clear(struct flush *flush)
{
	int err = 0;

	if (flush->nowait)
		th_nowait_begin();
	for (flush->at = 0; flush->at < flush->nitems; flush->at++) {
		err = flush_item_clear(flush, &flush->items[flush->at]);
		if (err)
			break;
	}
	th_nowait_end();
	return err;
}

static int flush_stage(struct flush *flush)
{
	int err = flush_clear(flush);

	for (size_t i = 0; i < flush->nitems && !err; i++) {
		struct flush_item *item = &flush->items[i];

		if (!item->clearing)
			err = flush_pages(flush, item);
		if (!err)
			err = flush_item_store(flush, item);
	}
	return err ? err : flush_run_write(flush);
}

/* Flushes the items in one transaction.  -EINPROGRESS: *missed says for which of them a node is missing. */
static int flush_run(struct th_fs *fs, struct flush_item *items, size_t nitems, bool nowait, size_t *missed)
{
	struct flush flush = { .fs = fs, .items = items, .nitems = nitems, .nowait = nowait };
	struct th_file *alone = nitems == 1 ? items->inode->file : NULL;
	int err;

	flush.hint = alone && alone->hint ? alone->hint : th_dirty_hint(fs);
	for (size_t i = 0; i < nitems; i++)
		flush.left += items[i].count;
	err = th_txn_begin(fs->store, &flush.txn);
	if (!err) {
		/* The write, or the change of attributes, was answered long ago. */
		th_txn_use_emergency(flush.txn);
		err = flush_stage(&flush);
	}
	if (!err) {
		err = th_txn_commit(flush.txn);
		flush.txn = NULL;
		th_dirty_set_hint(fs, flush.hint);
		if (alone && flush.used)
			alone->hint = flush.hint;
	}
	th_txn_rollback(flush.txn);
	free(flush.buffer);
	*missed = flush.at;
	for (size_t i = 0; i < nitems; i++) {
		if (err)
			flush_item_undo(&flush, &items[i]);
		else
			flush_item_done(&items[i]);
	}
	return err;
}

bool th_writeback_needed(const struct th_inode *inode)
{
	if (inode->deleted || inode->snapshot)
		return false;
	return inode->attr_dirty || th_file_pages_count(inode) ||
	       (S_ISREG(inode->attr.mode) && inode->stored_size != inode->attr.size);
}

/* Where the pages from `from` on have become as many as one transaction takes. */
static uint64_t flush_window(const struct th_inode *inode, uint64_t from)
{
	uint64_t block = from;

	if (th_file_pages_count(inode) <= TH_WRITEBACK_PAGES_MAX)
		return TH_EXTENT_END;
	for (size_t n = 0; n < TH_WRITEBACK_PAGES_MAX; n++, block++)
		if (!th_page_tree_next(&inode->file->pages, block, &block))
			return TH_EXTENT_END;
	return block;
}

static int flush_one(struct th_inode *inode, uint64_t from, uint64_t to, enum th_writeback_mode mode)
{
	struct flush_item item = { .inode = inode, .from = from, .to = to };
	int err = flush_item_begin(&item, mode);
	size_t missed;

	return err ? err : flush_run(inode->fs, &item, 1, mode == TH_WRITEBACK_NOWAIT, &missed);
}

int th_writeback_inode(struct th_inode *inode, enum th_writeback_mode mode)
{
	bool inlined = mode == TH_WRITEBACK_RUNS && th_file_pages_maybe_inline(inode);
	int err = 0;

	while (!err && (inlined || th_writeback_needed(inode))) {
		err = flush_one(inode, 0, flush_window(inode, 0), mode);
		inlined = false;
	}
	return err;
}

/* Looks at what the pages from *block on will replace. */
static int flush_look_from(struct th_inode *inode, uint64_t *block)
{
	struct th_extents extents;
	struct th_extent extent;
	uint64_t end;
	int err = 0;

	if (!th_file_pages_count(inode) || th_file_pages_bare(inode))
		return 0;
	for (; th_page_tree_next(&inode->file->pages, *block, block); *block = end) {
		end = stretch_end(&inode->file->pages, *block, TH_EXTENT_END);
		err = th_extents_open(inode->fs, th_inode_view(inode), inode->id, *block, end, &extents);
		if (err)
			return err;
		while (!(err = th_extents_next(&extents, &extent)))
			;
		th_extents_close(&extents);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Brings that into memory, without the lock while the disk is read.  What is wrong with it the flush will find. */
static void flush_look(struct th_inode *inode)
{
	uint64_t block = 0;
	int err;

	do {
		pthread_rwlock_rdlock(&inode->lock);
		th_nowait_begin();
		err = flush_look_from(inode, &block);
		th_nowait_end();
		pthread_rwlock_unlock(&inode->lock);
	} while (th_nowait_again(err));
}

int th_writeback_lock(struct th_inode *inode)
{
	for (unsigned looks = 0;; looks++) {
		int err;

		pthread_rwlock_wrlock(&inode->lock);
		err = th_writeback_inode(inode, looks < LOOKS_MAX ? TH_WRITEBACK_NOWAIT : TH_WRITEBACK_ANY);
		if (err != -EINPROGRESS)
			return err;
		pthread_rwlock_unlock(&inode->lock);
		th_nowait_again(err);
		flush_look(inode);
	}
}

int th_writeback_range(struct th_inode *inode, uint64_t from, uint64_t to)
{
	int err = 0;

	while (!err && from < to) {
		uint64_t end = min_u64(flush_window(inode, from), to);

		err = flush_one(inode, from, end, TH_WRITEBACK_ANY);
		from = end;
	}
	return err;
}

int th_writeback_inodes(struct th_inode *const *inodes, size_t count, struct th_inode **ret_missed)
{
	struct flush_item items[TH_WRITEBACK_INODES_MAX];
	size_t nitems = 0, missed;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!th_writeback_needed(inodes[i]))
			continue;
		items[nitems] = (struct flush_item){ .inode = inodes[i], .to = TH_EXTENT_END };
		err = flush_item_begin(&items[nitems++], TH_WRITEBACK_ANY);
	}
	if (err || !nitems)
		return err;
	err = flush_run(inodes[0]->fs, items, nitems, true, &missed);
	if (err == -EINPROGRESS)
		*ret_missed = items[missed].inode;
	return err;
}

int th_writeback_cleared(struct th_inode *inode, uint64_t from, uint64_t to)
{
	struct flush_item item = { .inode = inode, .to = TH_EXTENT_END, .clear_from = from, .clear_to = to };
	size_t missed;
	int err = 0;

	if (th_file_pages_count(inode) > TH_WRITEBACK_PAGES_MAX)
		err = th_writeback_inode(inode, TH_WRITEBACK_ANY);
	if (!err)
		err = flush_item_begin(&item, TH_WRITEBACK_ANY);
	do {
		item.clearing = false;
		item.blocks = 0;
		item.old_size = inode->stored_size;
		item.old_blocks = inode->stored_blocks;
		if (!err)
			err = flush_run(inode->fs, &item, 1, false, &missed);
	} while (!err && item.clearing);
	return err;
}
