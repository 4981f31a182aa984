/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/catalogue/block_refs.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/catalogue/meta.h"
#include "tree/catalogue/meta_format.h"
#include "tree/state/state.h"
#include "tree/view/cursor.h"

struct share {
	uint64_t addr;
	uint32_t blocks, count;
};

static int put_share(struct th_store *store, const struct share *share)
{
	struct th_meta_key key = th_meta_key(TH_META_SHARE, share->addr);
	struct th_block_refs_disk value = { th_le32(share->blocks), th_le32(share->count) };

	return th_meta_put(store, (struct th_slice){ &key, sizeof(key) },
			   share->count ? (struct th_slice){ &value, sizeof(value) } : (struct th_slice){ NULL, 0 });
}

static int unpack_share(const struct th_cursor_entry *entry, struct share *ret)
{
	struct th_block_refs_disk disk;

	if (entry->key.size != sizeof(struct th_meta_key) || entry->value.size != sizeof(disk))
		return -EUCLEAN;
	memcpy(&disk, entry->value.data, sizeof(disk));
	*ret = (struct share){ th_meta_number(entry->key.data), th_get_le32(disk.blocks), th_get_le32(disk.count) };
	return ret->blocks && ret->count ? 0 : -EUCLEAN;
}

static int open_shares(struct th_view *view, struct th_store *store, struct th_cursor **ret)
{
	static const struct th_meta_key from = { .kind = TH_META_SHARE }, to = { .kind = TH_META_SHARE + 1 };
	struct th_range range = { { &from, sizeof(from) }, { &to, sizeof(to) } };

	*view = (struct th_view){ .store = store, .tree = &store->meta };
	return th_cursor_open(view, &range, ret);
}

int th_block_refs_each(struct th_store *store, th_block_refs_visit *each, void *arg)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_view view;
	struct share share;
	int end = 0, err = open_shares(&view, store, &cursor);

	if (err)
		return err;
	while (!err && (end = th_cursor_next(cursor, &entry)) == 0) {
		err = unpack_share(&entry, &share);
		if (!err)
			err = each(share.addr, share.blocks, share.count, arg);
	}
	th_cursor_close(cursor);
	if (err)
		return err;
	return end < 0 ? end : 0;
}

static int count_share(uint64_t addr, uint32_t blocks, uint32_t count, void *arg)
{
	(void)addr;
	(void)count;
	*(uint64_t *)arg += blocks;
	return 0;
}

int th_block_refs_load(struct th_store *store)
{
	uint64_t blocks = 0;
	int err = th_block_refs_each(store, count_share, &blocks);

	atomic_store(&store->shared_blocks, blocks);
	if (!th_store_lenient(store, err))
		return err;
	th_store_lose(store, TH_LOST_CATALOGUE);
	return 0;
}

/* Moves before the first shared run that may overlap blocks from addr on: the last run that begins before addr, which
 * may reach beyond it, or else the first one after. */
static int seek_overlap(struct th_cursor *cursor, uint64_t addr)
{
	struct th_meta_key key = th_meta_key(TH_META_SHARE, addr);
	struct th_cursor_entry entry;
	int end, err = th_cursor_seek(cursor, (struct th_slice){ &key, sizeof(key) });

	if (err)
		return err;
	end = th_cursor_prev(cursor, &entry);
	if (end < 0)
		return end;
	return th_cursor_seek(cursor, end ? (struct th_slice){ &key, sizeof(key) } : entry.key);
}

/* Lists the shared runs that overlap [addr, addr + blocks), in order.  The caller frees *ret, even on an error. */
static int collect(struct th_store *store, uint64_t addr, uint32_t blocks, struct share **ret, size_t *ret_count)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	struct th_view view;
	struct share share;
	size_t capacity = 0;
	int end = 0, err = open_shares(&view, store, &cursor);

	*ret = NULL;
	*ret_count = 0;
	if (err)
		return err;
	err = seek_overlap(cursor, addr);
	while (!err && (end = th_cursor_next(cursor, &entry)) == 0) {
		err = unpack_share(&entry, &share);
		if (err || share.addr >= addr + blocks)
			break;
		if (share.addr + share.blocks <= addr)
			continue;
		err = th_grow(*ret, capacity, *ret_count + 1);
		if (!err)
			(*ret)[(*ret_count)++] = share;
	}
	th_cursor_close(cursor);
	if (err)
		return err;
	return end < 0 ? end : 0;
}

int th_block_refs_inside(struct th_store *store, uint64_t addr, uint32_t blocks, th_block_refs_visit *visit, void *arg)
{
	uint64_t end = addr + blocks;
	struct share *shares;
	size_t count;
	int err = collect(store, addr, blocks, &shares, &count);

	for (size_t i = 0; i < count && !err; i++) {
		uint64_t from = shares[i].addr > addr ? shares[i].addr : addr;
		uint64_t to = shares[i].addr + shares[i].blocks < end ? shares[i].addr + shares[i].blocks : end;

		err = visit(from, (uint32_t)(to - from), shares[i].count, arg);
	}
	free(shares);
	return err;
}

/* Changes blocks that no shared run covers: they have one reference. */
static int change_gap(struct th_store *store, uint64_t from, uint64_t to, int delta, th_block_refs_free *free_part)
{
	struct share share = { from, (uint32_t)(to - from), 1 };

	if (from >= to)
		return 0;
	if (delta < 0)
		return free_part(store, from, (uint32_t)(to - from));
	store->shared_blocks += share.blocks;
	return put_share(store, &share);
}

/*
 * Changes the part of one shared run that lies in [from, to).  The parts on either side keep their count:
 *
 *      |--left--|--part--|--right--|
 */
static int change_run(struct th_store *store, const struct share *old, uint64_t from, uint64_t to, int delta)
{
	uint64_t end = old->addr + old->blocks, part_from = old->addr > from ? old->addr : from;
	uint64_t part_to = end < to ? end : to;
	struct share left = { old->addr, (uint32_t)(part_from - old->addr), old->count };
	struct share part = { part_from, (uint32_t)(part_to - part_from), old->count + (uint32_t)delta };
	struct share right = { part_to, (uint32_t)(end - part_to), old->count };
	int err = 0;

	if (part.count == 0)
		store->shared_blocks -= part.blocks;
	if (left.blocks)
		err = put_share(store, &left);
	if (!err)
		err = put_share(store, &part); /* count 0 deletes it */
	if (!err && right.blocks)
		err = put_share(store, &right);
	return err;
}

/* Adds delta, 1 or -1, to the references of the blocks. */
static int change(struct th_store *store, uint64_t addr, uint32_t blocks, int delta, th_block_refs_free *free_part)
{
	uint64_t at = addr, end = addr + blocks;
	struct share *shares = NULL;
	size_t count = 0;
	int err = collect(store, addr, blocks, &shares, &count);

	for (size_t i = 0; i < count && !err; i++) {
		uint64_t share_end = shares[i].addr + shares[i].blocks;

		err = change_gap(store, at, shares[i].addr, delta, free_part);
		if (!err)
			err = change_run(store, &shares[i], addr, end, delta);
		at = share_end < end ? share_end : end;
	}
	if (!err)
		err = change_gap(store, at, end, delta, free_part);
	free(shares);
	return err;
}

int th_block_refs_add(struct th_store *store, uint64_t addr, uint32_t blocks)
{
	return change(store, addr, blocks, 1, NULL);
}

int th_block_refs_drop(struct th_store *store, uint64_t addr, uint32_t blocks, th_block_refs_free *free_part)
{
	if (store->shared_blocks == 0)
		return free_part(store, addr, blocks);
	return change(store, addr, blocks, -1, free_part);
}
