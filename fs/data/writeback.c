/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/writeback.h"

#include <errno.h>

#include "fs/data/run_writer.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/retry.h"
#include "tree/chunk.h"

/* Extents cleared in one transaction: bounds its memory. */
#define CLEAR_MAX 4096
/* Times that a writeback drops the lock and reads the nodes that it misses.  After that it reads them with the lock
 * held: with a small cache the nodes may be evicted again before they are used. */
#define LOOKUPS_MAX 3
/* Ranges in which the pages of one inode are guarded, if one guard over all would wait for a reader.  A writeback then
 * waits for a reader between two pages only if it has more pages than this. */
#define GUARD_RANGES 64

/* The part of one inode in a writeback. */
struct item {
	struct th_inode *inode;
	uint64_t from, to; /* blocks whose pages are written, except for those in the next range */
	uint64_t skip_from, skip_to; /* blocks to clear: their pages are not written, but discarded after the commit */
	uint64_t clear_from, clear_to; /* blocks that are still to be cleared */
	bool unwrite; /* they stay allocated, and read as zeros */
	bool clearing; /* there is more to clear: this transaction does nothing else */
	bool inlined;
	size_t count; /* pages that get blocks */
	int64_t blocks; /* change of stored_blocks */
	uint64_t old_size, old_blocks; /* stored_size and stored_blocks, for the rollback */
};

/* A writeback: one transaction. */
struct writeback {
	struct th_fs *fs;
	struct th_txn *txn;
	struct item *items;
	size_t nitems;
	bool nowait; /* for nodes */
	size_t at; /* the item whose blocks are being cleared */
	struct th_file *alone; /* the file, if there is only one: its own hint is used */
	struct th_run_writer writer;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- items: before the transaction --- */

/* Finds the first page to write at or after *block. */
static bool item_next(const struct item *item, uint64_t *block)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	bool found = th_page_tree_next(pages, *block, block);

	if (found && *block >= item->skip_from && *block < item->skip_to)
		found = th_page_tree_next(pages, item->skip_to, block);
	return found && *block < item->to;
}

/* Returns the end of the part of the item's range that contains `block` and no block to skip. */
static uint64_t item_part_end(const struct item *item, uint64_t block)
{
	return block < item->skip_from ? min_u64(item->skip_from, item->to) : item->to;
}

/* Returns the number of pages to write. */
static size_t item_count(const struct item *item)
{
	uint64_t block = item->from;
	size_t count = 0;

	if (!th_file_pages_count(item->inode))
		return 0;
	if (item->from == 0 && item->to == TH_EXTENT_END && item->skip_from == item->skip_to)
		return item->inode->file->pages.count;
	for (; item_next(item, &block); block++)
		count++;
	return count;
}

/* Makes inline data a page, which is written with the others, if the file must not stay inline. */
static int item_uninline(struct item *item)
{
	bool has_page = false;
	int err = th_file_pages_uninline(item->inode, &has_page);

	if (has_page)
		item->from = 0;
	return err;
}

/* Notes the sizes for a rollback, and decides whether the file is stored inline. */
static int item_prepare(struct item *item, enum th_writeback_mode mode)
{
	struct th_inode *inode = item->inode;
	bool all = item->from == 0 && item->to == TH_EXTENT_END;

	item->old_size = inode->stored_size;
	item->old_blocks = inode->stored_blocks;
	if (!S_ISREG(inode->attr.mode))
		return 0;
	item->inlined = all && mode != TH_WRITEBACK_RUNS && inode->attr.size <= TH_FILE_INLINE_MAX &&
			!inode->stored_blocks && item_count(item) == 1;
	if (item->inlined || !th_file_pages_maybe_inline(inode))
		return 0;
	/* Data that is about to be cleared must not become a page, which would store it again. */
	if (!item->clear_from && item->clear_to)
		return 0;
	if (mode == TH_WRITEBACK_RUNS || inode->attr.size > TH_FILE_INLINE_MAX)
		return item_uninline(item);
	return 0;
}

/* Reserves the missing blocks: after a failed writeback a page may have none (F4). */
static int item_reserve(struct item *item)
{
	struct th_file *file = item->inode->file;
	int err;

	if (!item->count || file->reserved >= item->count)
		return 0;
	err = th_file_pages_reserve(item->inode, item->count - file->reserved);
	if (!err)
		file->reserved = item->count;
	return err;
}

static int item_begin(struct item *item, enum th_writeback_mode mode)
{
	int err = item_prepare(item, mode);

	if (err)
		return err;
	item->count = item->inlined ? 0 : item_count(item);
	return item_reserve(item);
}

/* --- items: clearing the replaced blocks --- */

/* Returns the block after the nth page from that of `block` on, or after the last page before `to`. */
static uint64_t pages_end(const struct th_page_tree *pages, uint64_t block, uint64_t to, size_t n)
{
	uint64_t end = block + 1;

	while (--n && th_page_tree_next(pages, end, &block) && block < to)
		end = block + 1;
	return end;
}

/* Guards the pages of an item.  Usually nothing reads the file at the same time, and one guard suffices. */
static int guard_pages(struct writeback *writeback, const struct item *item)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	uint64_t id = item->inode->id, block, end;
	size_t each = item->count / GUARD_RANGES + 1;
	int err;

	if (!th_page_tree_next(pages, item->from, &block))
		return 0;
	err = th_extent_guard_txn(writeback->txn, id, block, item->to, TH_LOCK_TRY);
	if (err != -EBUSY)
		return err;
	for (err = 0; !err && th_page_tree_next(pages, block, &block) && block < item->to; block = end) {
		end = pages_end(pages, block, item->to, each);
		err = th_extent_guard_txn(writeback->txn, id, block, end, TH_LOCK_WAIT);
	}
	return err;
}

/* Guards the blocks that are about to be replaced: waits for their readers. */
static int guard_item(struct writeback *writeback, const struct item *item)
{
	struct th_inode *inode = item->inode;
	int err = 0;

	if (th_file_pages_bare(inode))
		return 0;
	if (item->clear_from < item->clear_to)
		err = th_extent_guard_txn(writeback->txn, inode->id, item->clear_from, item->clear_to, TH_LOCK_WAIT);
	if (!err && item->count)
		err = guard_pages(writeback, item);
	return err;
}

/* Returns the block after the consecutive pages that begin at `block`. */
static uint64_t consecutive_end(const struct th_page_tree *pages, uint64_t block, uint64_t to)
{
	do
		block++;
	while (block < to && th_page_tree_get(pages, block));
	return block;
}

/* Clears the extents that the pages replace. */
static int clear_pages(struct writeback *writeback, struct item *item)
{
	const struct th_page_tree *pages = &item->inode->file->pages;
	uint64_t block = item->from, end, cleared;
	int err = 0;

	for (; !err && item_next(item, &block); block = end) {
		end = consecutive_end(pages, block, item_part_end(item, block));
		err = th_extent_clear(writeback->fs, writeback->txn, item->inode->id, block, end, end - block + 1,
				      &cleared, &item->blocks);
	}
	return err;
}

/* Clears the blocks of one item, or a part of them if they have very many extents. */
static int clear_item(struct writeback *writeback, struct item *item)
{
	int err = guard_item(writeback, item);

	if (!err && item->clear_from < item->clear_to) {
		err = (item->unwrite ? th_extent_unwrite : th_extent_clear)(
			writeback->fs, writeback->txn, item->inode->id, item->clear_from, item->clear_to, CLEAR_MAX,
			&item->clear_from, &item->blocks);
		item->clearing = item->clear_from < item->clear_to;
	}
	if (!err && !item->clearing && item->count && !th_file_pages_bare(item->inode))
		err = clear_pages(writeback, item);
	return err;
}

/* Clears the blocks of all items.  This comes first because it is all that reads the store: a node that is not in
 * memory is found to be missing before anything has been allocated. */
static int clear_items(struct writeback *writeback)
{
	int err = 0;

	for (writeback->at = 0; writeback->at < writeback->nitems; writeback->at++) {
		err = clear_item(writeback, &writeback->items[writeback->at]);
		if (err)
			break;
	}
	return err;
}

/* --- items: staging --- */

static int stage_inline(struct writeback *writeback, struct item *item)
{
	struct th_inode *inode = item->inode;
	struct th_extent extent = {
		.blocks = 1,
		.kind = TH_EXTENT_INLINE,
		.bytes = th_page_tree_get(&inode->file->pages, 0)->data,
		.size = inode->attr.size,
	};

	return th_extent_add(writeback->txn, inode->id, &extent, &item->blocks);
}

static int stage_pages(struct writeback *writeback, struct item *item)
{
	uint64_t block = item->from;
	int err = 0;

	if (item->inlined)
		return stage_inline(writeback, item);
	if (!th_file_pages_count(item->inode))
		return 0;
	while (!err && item_next(item, &block))
		err = th_run_writer_add(&writeback->writer, item->inode, &block, item_part_end(item, block),
					&item->blocks);
	return err;
}

/* Does the inode have pages that this writeback leaves dirty? */
static bool leaves_pages(const struct item *item)
{
	uint64_t block;

	if (!th_file_pages_count(item->inode))
		return false;
	th_page_tree_next(&item->inode->file->pages, 0, &block);
	return block < item->from || th_page_tree_next(&item->inode->file->pages, item->to, &block);
}

/* Stages the inode.  While pages past the stored ones stay dirty, the stored size ends before them (F3). */
static int stage_inode(struct writeback *writeback, struct item *item)
{
	struct th_inode *inode = item->inode;
	uint64_t size = inode->attr.size;

	if (S_ISREG(inode->attr.mode)) {
		if (item->clearing) {
			size = item->old_size;
		} else if (leaves_pages(item)) {
			uint64_t end = min_u64(size, item->to << TH_BLOCK_SHIFT);

			size = min_u64(end > item->old_size ? end : item->old_size, size);
		}
		inode->stored_size = size;
		inode->stored_blocks = item->old_blocks + item->blocks;
	}
	return th_inode_store(writeback->txn, inode, &inode->attr);
}

static int stage_items(struct writeback *writeback)
{
	int err = writeback->nowait ? TH_NOWAIT(clear_items(writeback)) : clear_items(writeback);

	for (size_t i = 0; i < writeback->nitems && !err; i++) {
		struct item *item = &writeback->items[i];

		if (!item->clearing)
			err = stage_pages(writeback, item);
		if (!err)
			err = stage_inode(writeback, item);
	}
	return err ? err : th_run_writer_finish(&writeback->writer);
}

/* --- the transaction --- */

/* After the commit: the store has the pages. */
static void item_done(struct item *item)
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

/* After the rollback: the pages stay dirty and need their reservations again. */
static void item_undo(struct writeback *writeback, struct item *item)
{
	size_t again = min_u64(writeback->writer.used, item->count);

	item->inode->stored_size = item->old_size;
	item->inode->stored_blocks = item->old_blocks;
	if (again && th_file_pages_reserve(item->inode, again))
		item->inode->file->reserved -= again;
	writeback->writer.used -= again;
}

/* Begins the transaction, stages the items in it and commits. */
static int commit_items(struct writeback *writeback)
{
	int err = th_txn_begin(writeback->fs->store, &writeback->txn);

	if (err)
		return err;
	/* The write, or the change of attributes, succeeded long ago for its caller. */
	th_txn_use_emergency(writeback->txn);
	writeback->writer.txn = writeback->txn;
	err = stage_items(writeback);
	if (err) {
		th_txn_rollback(writeback->txn);
		return err;
	}
	err = th_txn_commit(writeback->txn);
	th_dirty_set_hint(writeback->fs, writeback->writer.hint);
	if (writeback->alone && writeback->writer.used)
		writeback->alone->hint = writeback->writer.hint;
	return err;
}

/* Writes back the items in one transaction.  -EINPROGRESS: a node is missing for the item *ret_missed. */
static int write_items(struct th_fs *fs, struct item *items, size_t nitems, bool nowait, size_t *ret_missed)
{
	struct writeback writeback = { .fs = fs, .items = items, .nitems = nitems, .nowait = nowait };
	struct th_run_writer *writer = &writeback.writer;
	int err;

	writeback.alone = nitems == 1 ? items->inode->file : NULL;
	writer->fs = fs;
	writer->hint = writeback.alone && writeback.alone->hint ? writeback.alone->hint : th_dirty_hint(fs);
	for (size_t i = 0; i < nitems; i++)
		writer->left += items[i].count;
	err = commit_items(&writeback);
	th_run_writer_release(writer);
	*ret_missed = writeback.at;
	for (size_t i = 0; i < nitems; i++) {
		if (err)
			item_undo(&writeback, &items[i]);
		else
			item_done(&items[i]);
	}
	return err;
}

/* --- operations --- */

bool th_writeback_needed(const struct th_inode *inode)
{
	if (inode->deleted || inode->snapshot)
		return false;
	return inode->attr_dirty || th_file_pages_count(inode) ||
	       (S_ISREG(inode->attr.mode) && inode->stored_size != inode->attr.size);
}

/* Returns the end of the first pages from `from` on that one transaction takes. */
static uint64_t window_end(const struct th_inode *inode, uint64_t from)
{
	uint64_t block = from;

	if (th_file_pages_count(inode) <= TH_WRITEBACK_PAGES_MAX)
		return TH_EXTENT_END;
	for (size_t n = 0; n < TH_WRITEBACK_PAGES_MAX; n++, block++)
		if (!th_page_tree_next(&inode->file->pages, block, &block))
			return TH_EXTENT_END;
	return block;
}

static int write_one(struct th_inode *inode, uint64_t from, uint64_t to, enum th_writeback_mode mode)
{
	struct item item = { .inode = inode, .from = from, .to = to };
	int err = item_begin(&item, mode);
	size_t missed;

	return err ? err : write_items(inode->fs, &item, 1, mode == TH_WRITEBACK_NOWAIT, &missed);
}

int th_writeback_inode(struct th_inode *inode, enum th_writeback_mode mode)
{
	bool inlined = mode == TH_WRITEBACK_RUNS && th_file_pages_maybe_inline(inode);
	int err = 0;

	while (!err && (inlined || th_writeback_needed(inode))) {
		err = write_one(inode, 0, window_end(inode, 0), mode);
		inlined = false;
	}
	return err;
}

/* Reads the extents that the pages from *block on replace. */
static int lookup_from(struct th_inode *inode, uint64_t *block)
{
	struct th_extents extents;
	struct th_extent extent;
	uint64_t end;
	int err = 0;

	if (!th_file_pages_count(inode) || th_file_pages_bare(inode))
		return 0;
	for (; th_page_tree_next(&inode->file->pages, *block, block); *block = end) {
		end = consecutive_end(&inode->file->pages, *block, TH_EXTENT_END);
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

static int lookup_locked(struct th_inode *inode, uint64_t *block)
{
	int err;

	pthread_rwlock_rdlock(&inode->lock);
	err = TH_NOWAIT(lookup_from(inode, block));
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

/* Brings the nodes with these extents into memory, and drops the lock while the disk is read.  Errors are left to the
 * writeback, which meets them again. */
static void lookup_extents(struct th_inode *inode)
{
	uint64_t block = 0;

	(void)TH_RETRY(lookup_locked(inode, &block));
}

int th_writeback_lock(struct th_inode *inode)
{
	for (unsigned lookups = 0;; lookups++) {
		int err;

		pthread_rwlock_wrlock(&inode->lock);
		err = th_writeback_inode(inode, lookups < LOOKUPS_MAX ? TH_WRITEBACK_NOWAIT : TH_WRITEBACK_ANY);
		if (err != -EINPROGRESS)
			return err;
		pthread_rwlock_unlock(&inode->lock);
		th_nowait_again(err); /* waits for the node */
		lookup_extents(inode);
	}
}

int th_writeback_range(struct th_inode *inode, uint64_t from, uint64_t to)
{
	int err = 0;

	while (!err && from < to) {
		uint64_t end = min_u64(window_end(inode, from), to);

		err = write_one(inode, from, end, TH_WRITEBACK_ANY);
		from = end;
	}
	return err;
}

int th_writeback_inodes(struct th_inode *const *inodes, size_t count, struct th_inode **ret_missed)
{
	struct item items[TH_WRITEBACK_INODES_MAX];
	size_t nitems = 0, missed;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!th_writeback_needed(inodes[i]))
			continue;
		items[nitems] = (struct item){ .inode = inodes[i], .to = TH_EXTENT_END };
		err = item_begin(&items[nitems++], TH_WRITEBACK_ANY);
	}
	if (err || !nitems)
		return err;
	err = write_items(inodes[0]->fs, items, nitems, true, &missed);
	if (err == -EINPROGRESS)
		*ret_missed = items[missed].inode;
	return err;
}

int th_writeback_excess(struct th_inode *inode, uint64_t from, uint64_t to)
{
	struct item item = { .inode = inode, .to = TH_EXTENT_END, .skip_from = from, .skip_to = to };
	int err;

	if (item_count(&item) <= TH_WRITEBACK_PAGES_MAX)
		return 0;
	err = th_writeback_range(inode, 0, from);
	return err ? err : th_writeback_range(inode, to, TH_EXTENT_END);
}

int th_writeback_cleared(struct th_inode *inode, uint64_t from, uint64_t to, uint64_t size, bool unwrite)
{
	struct item item = {
		.inode = inode,
		.to = TH_EXTENT_END,
		.skip_from = from,
		.skip_to = to,
		.clear_from = from,
		.clear_to = to,
		.unwrite = unwrite,
	};
	uint64_t old_size = inode->attr.size;
	size_t missed;
	int err;

	inode->attr.size = size;
	err = item_begin(&item, TH_WRITEBACK_ANY);
	do {
		item.clearing = false;
		item.blocks = 0;
		item.old_size = inode->stored_size;
		item.old_blocks = inode->stored_blocks;
		if (!err)
			err = write_items(inode->fs, &item, 1, false, &missed);
	} while (!err && item.clearing);
	if (err)
		inode->attr.size = old_size;
	return err;
}
