/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/copy.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/data/file.h"
#include "fs/data/file_pages.h"
#include "fs/data/writeback.h"
#include "fs/data/writeback_list.h"
#include "fs/inode/dirty_list.h"
#include "fs/inode/moment.h"
#include "tree/chunk.h"

/* Bytes that one call copies at most, and bytes that it copies without sharing, so that it returns in bounded time. */
#define COPY_MAX (UINT64_C(1) << 30)
#define COPY_BYTES_MAX (UINT64_C(16) << 20)
/* Bytes: a range of a dirty file up to this size is copied through memory.  A longer one is written back first, so that
 * it can be shared. */
#define COPY_SMALL (UINT64_C(128) << 10)
/* Bytes read and written at a time. */
#define COPY_WINDOW ((uint64_t)TH_RUN_MAX << TH_BLOCK_SHIFT)
/* Extents shared in one transaction: bounds the copies of their checksums. */
#define SHARE_EXTENTS 64

struct copy {
	struct th_inode *src, *dst;
	uint64_t src_off, dst_off, len;
	uint64_t done;
};

/* --- by bytes: the source is read and then written, as a program would, and neither lock is held in between --- */

static int copy_window(struct copy *copy, uint64_t size)
{
	struct th_file_data data;
	ssize_t written;
	bool ends;
	int err = th_file_read(copy->src, copy->src_off + copy->done, size, &data);

	if (err)
		return err;
	ends = data.size < size; /* the source was truncated */
	written = data.size ? th_file_write(copy->dst, data.data, data.size, copy->dst_off + copy->done, 0) : 0;
	th_file_data_release(&data);
	if (written < 0)
		return written;
	copy->done += written;
	if (ends)
		copy->len = copy->done;
	return 0;
}

/* Copies up to `upto` bytes, or to the end of the range. */
static int copy_bytes(struct copy *copy, uint64_t upto)
{
	int err = 0;

	while (!err && copy->done < upto && copy->done < copy->len) {
		/* All windows but the last end at a block boundary, so that no block is read as a partial
		 * one and then overwritten. */
		uint64_t size = COPY_WINDOW - (copy->dst_off + copy->done) % TH_BLOCK_SIZE;

		if (size > upto - copy->done)
			size = upto - copy->done;
		err = copy_window(copy, size < copy->len - copy->done ? size : copy->len - copy->done);
	}
	return err;
}

/* --- by sharing --- */

/* Extents of the source, copied because the transaction changes the store. */
struct share {
	struct th_extent extents[SHARE_EXTENTS];
	unsigned count;
	uint64_t end; /* source blocks before this have been collected */
};

static int share_collect(struct copy *copy, uint64_t from, uint64_t to, struct share *ret)
{
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open(copy->src->fs, th_inode_view(copy->src), copy->src->id, from, to, &extents);

	ret->count = 0;
	ret->end = to;
	if (err)
		return err;
	while (!(err = th_extents_next(&extents, &extent))) {
		uint8_t *bytes;

		if (ret->count == SHARE_EXTENTS) {
			ret->end = extent.block;
			break;
		}
		if (extent.kind != TH_EXTENT_RUN)
			continue;
		bytes = malloc(extent.size);
		err = bytes ? 0 : -ENOMEM;
		if (err)
			break;
		memcpy(bytes, extent.bytes, extent.size);
		extent.bytes = bytes;
		ret->extents[ret->count++] = extent;
	}
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

static void share_release(struct share *share)
{
	for (unsigned i = 0; i < share->count; i++)
		free((void *)share->extents[i].bytes);
}

static int share_stage(struct copy *copy, struct th_txn *txn, const struct share *share, uint64_t from, uint64_t to,
		       int64_t *blocks)
{
	uint64_t shift = (copy->dst_off >> TH_BLOCK_SHIFT) - (copy->src_off >> TH_BLOCK_SHIFT), end;
	uint64_t id = copy->dst->id;
	int err = th_extent_guard_txn(txn, id, from + shift, to + shift, TH_LOCK_WAIT);

	if (!err)
		err = th_extent_clear(copy->dst->fs, txn, id, from + shift, to + shift, UINT_MAX, &end, blocks);
	for (unsigned i = 0; i < share->count && !err; i++) {
		struct th_extent extent = share->extents[i];

		extent.block += shift;
		err = th_chunk_share(txn, &share->extents[i].run, &extent.run);
		if (!err)
			err = th_extent_add(txn, id, &extent, blocks);
	}
	return err;
}

/* Returns the blocks of metadata that a transaction with these extents needs at most, before it frees others. */
static uint32_t share_cost(const struct share *share)
{
	size_t bytes = 2 * TH_BLOCK_SIZE;

	for (unsigned i = 0; i < share->count; i++)
		bytes += 2 * share->extents[i].size;
	return bytes / TH_BLOCK_SIZE;
}

/* Shares the collected source blocks [from, to), in one transaction with the new size. */
static int share_commit(struct copy *copy, const struct share *share, uint64_t from, uint64_t to, uint64_t size,
			bool emergency)
{
	uint64_t shift = (copy->dst_off >> TH_BLOCK_SHIFT) - (copy->src_off >> TH_BLOCK_SHIFT);
	struct th_inode *dst = copy->dst;
	uint64_t old_size = dst->stored_size, old_blocks = dst->stored_blocks;
	struct th_attr attr = dst->attr;
	struct th_txn *txn;
	int64_t blocks = 0;
	int err = th_txn_begin(dst->fs->store, &txn);

	if (err)
		return err;
	if (emergency)
		th_txn_use_emergency(txn);
	err = share_stage(copy, txn, share, from, to, &blocks);
	if (size > attr.size)
		attr.size = size;
	if (size > dst->stored_size)
		dst->stored_size = size;
	dst->stored_blocks += blocks;
	if (!err)
		err = th_inode_store(txn, dst, &attr);
	if (!err) {
		err = th_txn_commit(txn);
		txn = NULL;
	}
	th_txn_rollback(txn);
	if (err) {
		dst->stored_size = old_size;
		dst->stored_blocks = old_blocks;
		return err;
	}
	th_file_pages_discard(dst, from + shift, to + shift);
	th_inode_publish(dst, &attr);
	th_file_pages_count_blocks(dst);
	if (th_writeback_needed(dst))
		th_inode_mark_dirty(dst);
	return 0;
}

/* A copy takes no space but a little metadata.  So a file can be restored from a snapshot on a full disk: the emergency
 * reserve may be used, but only the part for that. */
static int share_reserved(struct copy *copy, const struct share *share, uint64_t from, uint64_t to, uint64_t size)
{
	struct th_store *store = copy->dst->fs->store;
	uint32_t cost = share_cost(share);
	bool emergency = !th_file_pages_reserve_metadata(copy->dst->fs, cost);
	int err = share_commit(copy, share, from, to, size, emergency);

	if (emergency)
		th_chunk_unreserve(store, cost);
	return err;
}

/* Shares from copy->done, a block boundary, up to `upto` bytes, a block boundary or the end of both files. */
static int copy_share(struct copy *copy, uint64_t upto)
{
	uint64_t to = th_file_pages_blocks(copy->src_off + upto), from = (copy->src_off + copy->done) >> TH_BLOCK_SHIFT;
	struct share share;
	int err = 0;

	if (th_file_pages_maybe_inline(copy->dst))
		err = th_writeback_inode(copy->dst, TH_WRITEBACK_RUNS);
	while (!err && from < to) {
		uint64_t done;

		err = share_collect(copy, from, to, &share);
		done = (share.end << TH_BLOCK_SHIFT) - copy->src_off;
		if (done > upto)
			done = upto;
		if (!err)
			err = share_reserved(copy, &share, from, share.end, copy->dst_off + done);
		share_release(&share);
		if (!err) {
			copy->done = done;
			from = share.end;
		}
	}
	return err;
}

/* --- choosing between the two --- */

/* Does the source have dirty pages in the range? */
static bool copy_is_dirty(const struct copy *copy)
{
	uint64_t block, to = th_file_pages_blocks(copy->src_off + copy->len);

	return th_file_pages_count(copy->src) &&
	       th_page_tree_next(&copy->src->file->pages, copy->src_off >> TH_BLOCK_SHIFT, &block) && block < to;
}

/* Returns the offset in the copy up to which blocks can be shared: whole ones, and the last one of the source if it
 * becomes the last one of the destination. */
static uint64_t copy_shareable(const struct copy *copy)
{
	uint64_t end = copy->src_off + copy->len;

	if (end == copy->src->attr.size && copy->dst_off + copy->len >= copy->dst->attr.size)
		return copy->len;
	return copy->len - (end % TH_BLOCK_SIZE < copy->len ? end % TH_BLOCK_SIZE : copy->len);
}

/* Checks and clips the range.  Called again each time the locks have been dropped. */
static int copy_check(struct copy *copy)
{
	uint64_t size = copy->src->attr.size;
	int err;

	if (copy->dst->snapshot || th_fs_writable(copy->dst->fs))
		return -EROFS;
	if (copy->dst_off > INT64_MAX || copy->len > INT64_MAX - copy->dst_off)
		return -EFBIG;
	err = th_inode_check_data(copy->dst, copy->dst_off);
	if (err)
		return err;
	if (copy->src_off >= size)
		copy->len = 0;
	else if (copy->len > size - copy->src_off)
		copy->len = size - copy->src_off;
	if (copy->src == copy->dst && copy->src_off < copy->dst_off + copy->len &&
	    copy->dst_off < copy->src_off + copy->len)
		return -EINVAL;
	if (copy->len > COPY_MAX)
		copy->len = COPY_MAX;
	return 0;
}

/* Writes back the source so that it can be shared, unless the range is short.  *ret_stored: it can be shared. */
static int copy_store_source(struct copy *copy, bool *ret_stored)
{
	int err = 0;

	*ret_stored = false;
	if (copy_is_dirty(copy)) {
		if (copy->len <= COPY_SMALL)
			return 0;
		err = th_writeback_inode(copy->src, TH_WRITEBACK_ANY);
	}
	*ret_stored = !err && !th_file_pages_maybe_inline(copy->src);
	return err;
}

static int copy_share_locked(struct copy *copy)
{
	uint64_t from = copy->done, upto;
	bool stored;
	int err = copy_check(copy);

	if (err || from >= copy->len || (copy->src_off + from) % TH_BLOCK_SIZE)
		return err;
	upto = copy_shareable(copy);
	if (from >= upto)
		return 0;
	err = copy_store_source(copy, &stored);
	if (!err && stored)
		err = copy_share(copy, upto);
	if (copy->done > from)
		th_file_pages_modified(copy->dst);
	return err;
}

/* Locks both inodes; one of a snapshot never changes and needs no lock. */
static void copy_lock(const struct copy *copy)
{
	bool both = copy->src != copy->dst && !copy->src->snapshot;

	if (both && copy->src->id < copy->dst->id)
		pthread_rwlock_wrlock(&copy->src->lock);
	pthread_rwlock_wrlock(&copy->dst->lock);
	if (both && copy->src->id > copy->dst->id)
		pthread_rwlock_wrlock(&copy->src->lock);
}

static void copy_unlock(const struct copy *copy)
{
	if (copy->src != copy->dst && !copy->src->snapshot)
		pthread_rwlock_unlock(&copy->src->lock);
	pthread_rwlock_unlock(&copy->dst->lock);
}

static int with_locks(struct copy *copy, int (*step)(struct copy *copy))
{
	int err;

	th_moment_enter(copy->dst->fs);
	copy_lock(copy);
	err = step(copy);
	copy_unlock(copy);
	th_moment_leave(copy->dst->fs);
	return err;
}

static int copy_run(struct copy *copy)
{
	int err = with_locks(copy, copy_check);

	if (!err && !((copy->src_off ^ copy->dst_off) % TH_BLOCK_SIZE)) {
		err = copy_bytes(copy, -copy->src_off % TH_BLOCK_SIZE);
		if (!err)
			err = with_locks(copy, copy_share_locked);
	}
	if (!err)
		err = copy_bytes(copy, copy->done + COPY_BYTES_MAX);
	return copy->done ? 0 : err;
}

int th_file_copy_range(struct th_inode *src, uint64_t src_off, struct th_inode *dst, uint64_t dst_off, uint64_t len,
		       uint64_t *ret_copied)
{
	struct copy copy;
	unsigned tries = 0;
	int err;

	do {
		copy = (struct copy){ src, dst, src_off, dst_off, len, 0 };
		err = copy_run(&copy);
	} while (err == -ENOSPC && th_writeback_make_room(dst->fs, tries++));
	*ret_copied = copy.done;
	if (!err)
		err = th_writeback_relieve(dst->fs);
	return err;
}
