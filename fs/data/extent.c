/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/extent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tree/chunk.h"

/* Blocks: the longest extent that joining makes.  Joining rewrites the older value, so its cost is limited to this.  A
 * file that grows by a block between syncs consists of extents of this length. */
#define JOIN_MAX 64
/* Extents that th_extent_clear collects before it changes them. */
#define CLEAR_BATCH 64

/* --- values --- */

static const char *extent_check_inline(const struct th_extent *extent)
{
	if (extent->block)
		return "inline data not at offset 0";
	if (extent->blocks || extent->run.addr || extent->run.birth)
		return "inline data with an address";
	if (extent->size > TH_SYMLINK_MAX)
		return "inline data too long";
	return NULL;
}

static const char *extent_check_run(const struct th_extent *extent)
{
	const struct th_run *run = &extent->run;

	if (!run->blocks || run->blocks > TH_RUN_MAX)
		return "run length out of range";
	if (!run->addr || run->addr + run->blocks < run->addr)
		return "run address out of range";
	if (extent->block >= TH_EXTENT_END || extent->block + run->blocks > TH_EXTENT_END)
		return "beyond the largest file";
	if (extent->size != (extent->kind == TH_EXTENT_RUN ? run->blocks * sizeof(struct th_le64) : 0))
		return "number of checksums does not fit the run";
	return NULL;
}

int th_extent_decode(uint64_t block, struct th_slice value, struct th_extent *ret, const char **ret_why)
{
	const struct th_extent_disk *disk = value.data;
	struct th_extent extent = { .block = block };

	*ret_why = "shorter than an extent";
	if (value.size < sizeof(*disk))
		return -EUCLEAN;
	extent.kind = disk->kind;
	extent.blocks = th_get_le16(disk->blocks);
	extent.run.addr = th_get_le64(disk->addr);
	extent.run.birth = th_get_le64(disk->birth);
	extent.run.blocks = extent.blocks;
	extent.bytes = (const uint8_t *)(disk + 1);
	extent.size = value.size - sizeof(*disk);
	if (disk->compression)
		*ret_why = "unknown compression";
	else if (th_get_le32(disk->reserved))
		*ret_why = "reserved bytes are not zero";
	else if (extent.kind == TH_EXTENT_INLINE)
		*ret_why = extent_check_inline(&extent);
	else if (extent.kind == TH_EXTENT_RUN || extent.kind == TH_EXTENT_UNWRITTEN)
		*ret_why = extent_check_run(&extent);
	else
		*ret_why = "unknown kind";
	if (*ret_why)
		return -EUCLEAN;
	if (extent.kind == TH_EXTENT_INLINE)
		extent.blocks = 1;
	*ret = extent;
	return 0;
}

void th_extent_clip(struct th_extent *extent, uint64_t from, uint64_t to)
{
	uint64_t end = extent->block + extent->blocks;
	uint64_t skip = from > extent->block ? from - extent->block : 0;

	if (extent->kind == TH_EXTENT_INLINE)
		return;
	extent->block += skip;
	extent->blocks = (end < to ? end : to) - extent->block;
	extent->run.addr += skip;
	extent->run.blocks = extent->blocks;
	if (extent->kind == TH_EXTENT_RUN) {
		extent->bytes += skip * sizeof(struct th_le64);
		extent->size = extent->blocks * sizeof(struct th_le64);
	}
}

void th_extent_checksums(const struct th_extent *extent, uint32_t nth, uint32_t count, uint64_t *ret)
{
	const struct th_le64 *packed = (const struct th_le64 *)extent->bytes;

	for (uint32_t i = 0; i < count; i++)
		ret[i] = th_get_le64(packed[nth + i]);
}

/* --- iteration --- */

struct extent_range {
	struct th_fs_key from, to;
	struct th_range range;
};

/* Sets the range of keys of extents that can touch [from, to) (X1). */
static const struct th_range *extent_range_init(struct extent_range *range, uint64_t id, uint64_t from, uint64_t to)
{
	range->from = th_fs_key_extent(id, from < TH_RUN_MAX ? 0 : from - TH_RUN_MAX + 1);
	range->to = th_fs_key_extent(id, to);
	range->range.from = th_fs_key_slice(&range->from);
	range->range.to = th_fs_key_slice(&range->to);
	return &range->range;
}

/* txn or view is NULL.  A single block is often read in a file with scattered overwrites: then an extent usually begins
 * at that block, and a lookup of its key saves a cursor. */
static int extents_open(struct th_extents *extents, struct th_view *view, struct th_txn *txn)
{
	struct th_fs_key key = th_fs_key_extent(extents->id, extents->from);
	const struct th_range *keys;
	struct extent_range range;
	int err = -ENOENT;

	if (extents->to - extents->from == 1)
		err = txn ? th_txn_get(txn, th_fs_key_slice(&key), &extents->value)
			  : th_get(view, th_fs_key_slice(&key), &extents->value);
	extents->single = !err;
	if (err != -ENOENT)
		return err;
	keys = extent_range_init(&range, extents->id, extents->from, extents->to);
	return txn ? th_txn_cursor(txn, keys, &extents->cursor) : th_cursor_open(view, keys, &extents->cursor);
}

int th_extents_open(struct th_fs *fs, struct th_view *view, uint64_t id, uint64_t from, uint64_t to,
		    struct th_extents *ret)
{
	*ret = (struct th_extents){ .fs = fs, .id = id, .from = from, .to = to };
	return extents_open(ret, view, NULL);
}

int th_extents_open_txn(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to,
			struct th_extents *ret)
{
	*ret = (struct th_extents){ .fs = fs, .id = id, .from = from, .to = to };
	return extents_open(ret, NULL, txn);
}

static int extents_decode(const struct th_extents *extents, uint64_t block, struct th_slice value,
			  struct th_extent *ret)
{
	const char *why;
	int err = th_extent_decode(block, value, ret, &why);

	if (err)
		th_fs_report(extents->fs, "inode %" PRIu64 ": extent at block %" PRIu64 ": %s", extents->id, block,
			     why);
	return err;
}

static int extents_next_entry(struct th_extents *extents, struct th_extent *ret)
{
	struct th_cursor_entry entry;
	struct th_fs_key_parts parts;
	int err = th_cursor_next(extents->cursor, &entry);

	if (!err)
		err = th_fs_key_parse(entry.key, &parts);
	return err ? err : extents_decode(extents, parts.number, entry.value, ret);
}

static int extents_next_single(struct th_extents *extents, struct th_extent *ret)
{
	struct th_slice value = { extents->value.data, extents->value.size };

	if (extents->begun)
		return 1;
	extents->begun = true;
	return extents_decode(extents, extents->from, value, ret);
}

/* Moves the cursor to the last extent that begins before `from`, as it may reach into the range. */
static int extents_begin(struct th_extents *extents)
{
	struct th_cursor_entry entry;
	struct th_fs_key key;
	int err;

	extents->begun = true;
	if (!extents->from)
		return 0;
	key = th_fs_key_extent(extents->id, extents->from);
	err = th_cursor_seek(extents->cursor, th_fs_key_slice(&key));
	if (!err)
		err = th_cursor_prev(extents->cursor, &entry);
	return err < 0 ? err : 0;
}

/* As th_extents_next, but does not clip the extent. */
static int extents_next_whole(struct th_extents *extents, struct th_extent *ret)
{
	int err;

	if (extents->single)
		return extents_next_single(extents, ret);
	err = extents->begun ? 0 : extents_begin(extents);
	while (!err) {
		err = extents_next_entry(extents, ret);
		if (!err && ret->block + ret->blocks > extents->from)
			break;
	}
	return err;
}

int th_extents_next(struct th_extents *extents, struct th_extent *ret)
{
	int err = extents_next_whole(extents, ret);

	if (!err)
		th_extent_clip(ret, extents->from, extents->to);
	return err;
}

void th_extents_close(struct th_extents *extents)
{
	if (extents->single)
		th_value_release(&extents->value);
	else
		th_cursor_close(extents->cursor);
}

/* --- changing --- */

static int extent_stage(struct th_txn *txn, uint64_t id, const struct th_extent *extent)
{
	struct th_fs_key key = th_fs_key_extent(id, extent->block);
	struct th_extent_disk disk = { .kind = extent->kind };
	struct th_loan loan;
	int err = th_txn_alloc(txn, key.size, sizeof(disk) + extent->size, &loan);

	if (err)
		return err;
	if (extent->kind != TH_EXTENT_INLINE) {
		disk.blocks = th_le16(extent->blocks);
		disk.addr = th_le64(extent->run.addr);
		disk.birth = th_le64(extent->run.birth);
	}
	memcpy(loan.key, key.bytes, key.size);
	memcpy(loan.value, &disk, sizeof(disk));
	if (extent->size)
		memcpy((uint8_t *)loan.value + sizeof(disk), extent->bytes, extent->size);
	return th_txn_put_loan(txn, &loan);
}

static int extent_unstage(struct th_txn *txn, uint64_t id, uint64_t block)
{
	struct th_fs_key key = th_fs_key_extent(id, block);

	return th_txn_delete(txn, th_fs_key_slice(&key));
}

/* An extent that is kept while the transaction changes.  Its bytes are copied only if a part of it stays. */
struct extent_held {
	struct th_extent extent;
	uint8_t *copy;
};

struct extent_batch {
	struct extent_held held[CLEAR_BATCH];
	unsigned count;
	bool more; /* there are further extents in the range */
};

static int extent_hold(struct extent_held *held, const struct th_extent *extent, uint64_t from, uint64_t to)
{
	bool whole = extent->block >= from && extent->block + extent->blocks <= to;

	held->extent = *extent;
	held->copy = NULL;
	if (whole || !extent->size)
		return 0;
	held->copy = malloc(extent->size);
	if (!held->copy)
		return -ENOMEM;
	memcpy(held->copy, extent->bytes, extent->size);
	held->extent.bytes = held->copy;
	return 0;
}

static void extent_batch_release(struct extent_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		free(batch->held[i].copy);
}

static int extent_batch_collect(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to,
				unsigned limit, struct extent_batch *ret)
{
	struct th_extents extents;
	struct th_extent extent;
	int err = th_extents_open_txn(fs, txn, id, from, to, &extents);

	ret->count = 0;
	ret->more = false;
	if (err)
		return err;
	while (!(err = extents_next_whole(&extents, &extent))) {
		ret->more = ret->count == limit;
		if (ret->more)
			break;
		err = extent_hold(&ret->held[ret->count], &extent, from, to);
		if (err)
			break;
		ret->count++;
	}
	th_extents_close(&extents);
	return err < 0 ? err : 0;
}

/* The keys that stand for blocks in range locks: for each block, that of an extent that begins there. */
struct block_keys {
	struct th_fs_key from, to;
	struct th_range range;
};

static const struct th_range *block_range(struct block_keys *keys, uint64_t id, uint64_t from, uint64_t to)
{
	keys->from = th_fs_key_extent(id, from);
	keys->to = th_fs_key_extent(id, to);
	keys->range = (struct th_range){ th_fs_key_slice(&keys->from), th_fs_key_slice(&keys->to) };
	return &keys->range;
}

int th_extent_guard(struct th_locker *locker, uint64_t id, uint64_t from, uint64_t to)
{
	struct block_keys keys;

	return th_locker_lock(locker, block_range(&keys, id, from, to), TH_LOCK_SHARED, TH_LOCK_WAIT);
}

int th_extent_guard_txn(struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, int timeout_ms)
{
	struct block_keys keys;

	return th_txn_lock(txn, block_range(&keys, id, from, to), TH_LOCK_EXCLUSIVE, timeout_ms);
}

/* Stages the parts of an extent that lie before `from` and from `to` on. */
static int extent_keep_ends(struct th_txn *txn, uint64_t id, const struct th_extent *extent, uint64_t from, uint64_t to)
{
	uint64_t end = extent->block + extent->blocks;
	struct th_extent before = *extent, after = *extent;
	int err = 0;

	if (extent->block < from) {
		th_extent_clip(&before, 0, from);
		err = extent_stage(txn, id, &before);
	}
	if (!err && end > to) {
		th_extent_clip(&after, to, end);
		err = extent_stage(txn, id, &after);
	}
	return err;
}

/* Removes [from, to) from one extent. */
static int extent_cut(struct th_txn *txn, uint64_t id, const struct th_extent *extent, uint64_t from, uint64_t to,
		      int64_t *blocks)
{
	struct th_extent gone = *extent;
	int err = 0;

	if (extent->block >= from)
		err = extent_unstage(txn, id, extent->block);
	if (err || extent->kind == TH_EXTENT_INLINE)
		return err;
	th_extent_clip(&gone, from, to);
	*blocks -= gone.blocks;
	err = th_chunk_drop(txn, &gone.run);
	return err ? err : extent_keep_ends(txn, id, extent, from, to);
}

/* Makes [from, to) of one extent unwritten. */
static int extent_unwrite(struct th_txn *txn, uint64_t id, const struct th_extent *extent, uint64_t from, uint64_t to,
			  int64_t *blocks)
{
	struct th_extent zeros = *extent;
	int err;

	(void)blocks;
	if (extent->kind != TH_EXTENT_RUN)
		return 0;
	th_extent_clip(&zeros, from, to);
	zeros.kind = TH_EXTENT_UNWRITTEN;
	zeros.bytes = NULL;
	zeros.size = 0;
	err = extent_stage(txn, id, &zeros);
	return err ? err : extent_keep_ends(txn, id, extent, from, to);
}

/* Changes the part of an extent that lies in [from, to). */
typedef int extent_change(struct th_txn *txn, uint64_t id, const struct th_extent *extent, uint64_t from, uint64_t to,
			  int64_t *blocks);

static int extents_change(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
			  uint64_t *ret_end, int64_t *blocks, extent_change *change)
{
	struct extent_batch batch = { .more = true };
	int err = 0;

	while (!err && limit && batch.more && from < to) {
		unsigned count = limit < CLEAR_BATCH ? limit : CLEAR_BATCH;
		uint64_t begin = from; /* not changed with `from`: in a forged image the extents overlap */

		err = extent_batch_collect(fs, txn, id, begin, to, count, &batch);
		for (unsigned i = 0; i < batch.count && !err; i++) {
			err = change(txn, id, &batch.held[i].extent, begin, to, blocks);
			from = batch.held[i].extent.block + batch.held[i].extent.blocks;
		}
		extent_batch_release(&batch);
		limit -= batch.count;
	}
	*ret_end = batch.more && from < to ? from : to;
	return err;
}

int th_extent_clear(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
		    uint64_t *ret_end, int64_t *blocks)
{
	return extents_change(fs, txn, id, from, to, limit, ret_end, blocks, extent_cut);
}

int th_extent_unwrite(struct th_fs *fs, struct th_txn *txn, uint64_t id, uint64_t from, uint64_t to, unsigned limit,
		      uint64_t *ret_end, int64_t *blocks)
{
	return extents_change(fs, txn, id, from, to, limit, ret_end, blocks, extent_unwrite);
}

/* Do the two form one extent? */
static bool extent_joins(const struct th_extent *left, const struct th_extent *right)
{
	return left->kind == right->kind && left->block + left->blocks == right->block &&
	       left->run.addr + left->blocks == right->run.addr && left->run.birth == right->run.birth &&
	       left->blocks + right->blocks <= JOIN_MAX;
}

/* Stages the extent as the end of the one before it.  Returns 0, 1 if they do not join, or an error. */
static int extent_join(struct th_fs *fs, struct th_txn *txn, uint64_t id, const struct th_extent *extent)
{
	uint8_t bytes[JOIN_MAX * sizeof(struct th_le64)];
	struct th_extents extents;
	struct th_extent joined;
	int err;

	if (extent->kind == TH_EXTENT_INLINE || !extent->block || extent->blocks >= JOIN_MAX)
		return 1;
	err = th_extents_open_txn(fs, txn, id, extent->block - 1, extent->block, &extents);
	if (err)
		return err;
	err = extents_next_whole(&extents, &joined);
	if (!err && !extent_joins(&joined, extent))
		err = 1;
	if (!err) {
		memcpy(bytes, joined.bytes, joined.size);
		memcpy(bytes + joined.size, extent->bytes, extent->size);
	}
	th_extents_close(&extents);
	if (err)
		return err;
	joined.bytes = bytes;
	joined.size += extent->size;
	joined.blocks += extent->blocks;
	joined.run.blocks = joined.blocks;
	return extent_stage(txn, id, &joined);
}

int th_extent_add(struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks)
{
	if (extent->kind != TH_EXTENT_INLINE)
		*blocks += extent->blocks;
	return extent_stage(txn, id, extent);
}

int th_extent_put(struct th_fs *fs, struct th_txn *txn, uint64_t id, const struct th_extent *extent, int64_t *blocks)
{
	int ret = extent_join(fs, txn, id, extent);

	if (ret == 1)
		return th_extent_add(txn, id, extent, blocks);
	if (!ret)
		*blocks += extent->blocks;
	return ret;
}

int th_extent_runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		   void *arg)
{
	struct th_fs_key_parts parts;
	struct th_extent extent;
	const char *why;
	int err = th_fs_key_parse(key, &parts);

	if (err || parts.kind != TH_FS_KEY_EXTENT)
		return 0;
	err = th_extent_decode(parts.number, value, &extent, &why);
	if (err || extent.kind == TH_EXTENT_INLINE)
		return err;
	return each(&extent.run, arg);
}
