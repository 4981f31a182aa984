/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: staging, reading through, merging. */
#include "tree/txn.h"

#include <errno.h>
#include <stdlib.h>

#include "tree/chunk.h"
#include "tree/cursor.h"

int th_txn_begin(struct th_store *store, struct th_txn **ret)
{
	struct th_txn *txn;
	int r = th_store_writable(store);

	if (r < 0)
		return r;
	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	atomic_fetch_add(&store->txns, 1);
	txn->store = store;
	if (atomic_load(&store->rolling_back)) {
		th_txn_rollback(txn);
		return -EBUSY;
	}
	*ret = txn;
	return 0;
}

static void txn_free(struct th_txn *txn)
{
	th_locker_free(txn->locker);
	th_stage_release(&txn->stage);
	for (size_t i = 0; i < txn->nloans; i++)
		th_entry_unref(txn->loans[i]);
	free(txn->loans);
	free(txn->allocs);
	th_drops_release(&txn->drops);
	th_drops_release(&txn->shares);
	atomic_fetch_sub(&txn->store->txns, 1);
	free(txn);
}

void th_txn_rollback(struct th_txn *txn)
{
	bool written = false;

	if (!txn)
		return;
	for (size_t i = 0; i < txn->nallocs; i++)
		written |= txn->allocs[i].written;
	if (written)
		th_chunk_wait_all(txn->store); /* a late write must not hit the blocks' next owner */
	for (size_t i = 0; i < txn->nallocs; i++)
		th_space_give(txn->store->space, txn->allocs[i].run.addr, txn->allocs[i].run.blocks);
	txn_free(txn);
}

static int stage(struct th_txn *txn, struct th_entry *message)
{
	if (!message)
		return -ENOMEM;
	txn->bytes += th_entry_key_size(message) + th_entry_value(message).size + 32;
	return th_stage_insert(&txn->stage, message);
}

int th_txn_put(struct th_txn *txn, struct th_slice key, struct th_slice value)
{
	uint8_t descriptor[sizeof(struct th_chunk_disk) + TH_CHUNK_RUNS_MAX * sizeof(struct th_chunk_run_disk)];
	unsigned flags = TH_ENTRY_VALUE;
	int r;

	if (key.size > TH_KEY_MAX || value.size > TH_VALUE_MAX)
		return -EINVAL;
	if (value.size > TH_INLINE_MAX) {
		r = th_chunk_value_write(txn, value, descriptor, &value.size);
		if (r < 0)
			return r;
		value.data = descriptor;
		flags |= TH_ENTRY_CHUNK;
	}
	return stage(txn, th_entry_new(flags, key, TH_SLICE_EMPTY, value));
}

int th_txn_delete(struct th_txn *txn, struct th_slice key)
{
	if (key.size > TH_KEY_MAX)
		return -EINVAL;
	txn->reserve = true;
	return stage(txn, th_entry_new(TH_ENTRY_RESET, key, TH_SLICE_EMPTY, TH_SLICE_EMPTY));
}

int th_txn_delete_range(struct th_txn *txn, struct th_range range)
{
	if (!range.to.data || range.from.size > TH_KEY_MAX || range.to.size > TH_KEY_MAX)
		return -EINVAL;
	if (th_slice_compare(range.from, range.to) >= 0)
		return 0;
	txn->reserve = true;
	return stage(txn, th_range_message(range.from, range.to, 0));
}

int th_txn_ref(struct th_txn *txn, struct th_slice key, int32_t delta)
{
	struct th_entry *message;

	if (key.size > TH_KEY_MAX)
		return -EINVAL;
	if (delta == 0)
		return 0;
	message = th_entry_new(0, key, TH_SLICE_EMPTY, TH_SLICE_EMPTY);
	if (!message)
		return -ENOMEM;
	th_entry_set_refs(message, delta);
	return stage(txn, message);
}

static int add_loan(struct th_txn *txn, struct th_entry *entry)
{
	if (txn->nloans == txn->loans_capacity) {
		size_t capacity = txn->loans_capacity ? 2 * txn->loans_capacity : 8;
		struct th_entry **loans = realloc(txn->loans, capacity * sizeof(struct th_entry *));

		if (!loans)
			return -ENOMEM;
		txn->loans = loans;
		txn->loans_capacity = capacity;
	}
	txn->loans[txn->nloans++] = entry;
	return 0;
}

int th_txn_alloc(struct th_txn *txn, size_t key_size, size_t value_size, struct th_loan *ret)
{
	struct th_slice key = { NULL, key_size }, value = { NULL, value_size };
	struct th_entry *entry;

	if (key_size > TH_KEY_MAX || value_size > TH_INLINE_MAX)
		return -EINVAL;
	entry = th_entry_new(TH_ENTRY_VALUE, TH_SLICE_EMPTY, key, value);
	if (!entry || add_loan(txn, entry) < 0) {
		if (entry)
			th_entry_unref(entry);
		return -ENOMEM;
	}
	*ret = (struct th_loan){
		.key = (void *)(uintptr_t)th_entry_key(entry),
		.value = (void *)(uintptr_t)th_entry_value(entry).data,
		.entry = entry,
	};
	return 0;
}

int th_txn_put_loan(struct th_txn *txn, struct th_loan *loan)
{
	struct th_entry *entry = loan->entry;
	size_t i = txn->nloans;

	*loan = (struct th_loan){ 0 };
	while (i > 0 && txn->loans[i - 1] != entry)
		i--;
	if (!entry || i == 0)
		return -EINVAL;
	txn->loans[i - 1] = txn->loans[--txn->nloans];
	return stage(txn, entry);
}

int th_txn_get(struct th_txn *txn, struct th_slice key, struct th_value *ret)
{
	return th_view_get(&txn->store->live_view, &txn->stage, key, ret);
}

int th_txn_cursor(struct th_txn *txn, const struct th_range *range, struct th_cursor **ret)
{
	return th_cursor_new(&txn->store->live_view, &txn->stage, range, ret);
}

void th_txn_use_reserve(struct th_txn *txn)
{
	txn->reserve = true;
}

/* Is there room for what the transaction will write, sooner or later?  Deleting may go on into the reserve. */
static int check_room(const struct th_txn *txn)
{
	struct th_space_stat stat;
	uint64_t pending, floor;

	th_space_stat(txn->store->space, &stat);
	pending = (atomic_load(&txn->store->dirty_bytes) + atomic_load(&txn->store->writing_bytes) + txn->bytes) /
		  TH_BLOCK_SIZE;
	floor = txn->reserve ? stat.reserve / 4 : stat.reserve;
	return stat.free > floor + pending ? 0 : -ENOSPC;
}

int th_txn_commit(struct th_txn *txn)
{
	struct th_store *store = txn->store;
	struct th_batch batch;
	int r;

	if (txn->stage.count == 0 && txn->nallocs == 0 && txn->drops.count == 0 && txn->shares.count == 0) {
		txn_free(txn);
		return 0;
	}
	th_commit_throttle(store);
	r = th_store_writable(store);
	if (r == 0)
		r = check_room(txn);
	if (r == -ENOSPC && th_commit_reclaim(store) == 0)
		r = check_room(txn);
	if (r < 0) {
		th_txn_rollback(txn);
		return r;
	}
	for (size_t i = 0; i < txn->stage.drops.count && r == 0; i++)
		r = th_drops_add(&txn->drops, &txn->stage.drops.runs[i]);
	batch = (struct th_batch){
		.stage = &txn->stage,
		.allocs = txn->allocs,
		.nallocs = txn->nallocs,
		.drops = txn->drops,
		.shares = txn->shares,
	};
	if (r == 0)
		r = th_merge(store, &batch, 0);
	if (r < 0)
		th_txn_rollback(txn);
	else
		txn_free(txn);
	return r;
}
