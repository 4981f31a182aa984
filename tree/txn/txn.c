/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: writing to their layers, reading through them, savepoints, and the commit. */
#include "tree/txn/txn.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "tree/btree/push_down.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/checkpoint/throttle.h"
#include "tree/io/chunk.h"
#include "tree/node/message.h"
#include "tree/node/nowait.h"
#include "tree/state/state.h"
#include "tree/txn/alloc.h"
#include "tree/txn/apply.h"
#include "tree/txn/bulk_commit.h"
#include "tree/view/cursor.h"

int th_txn_begin(struct th_store *store, struct th_txn **ret)
{
	return th_txn_begin_in(&store->live_view, ret);
}

int th_txn_begin_in(struct th_view *view, struct th_txn **ret)
{
	struct th_store *store = view->store;
	struct th_txn *txn;
	int err = th_view_is_live(view) ? th_store_writable(store) : -EINVAL;

	if (err)
		return err;
	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	atomic_fetch_add(&store->txns, 1);
	txn->store = txn->layers.store = store;
	txn->view = view;
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
	th_layers_release(&txn->layers);
	for (size_t i = 0; i < txn->nloans; i++)
		th_entry_unref(txn->loans[i]);
	free(txn->loans);
	free(txn->savepoint);
	free(txn->allocs);
	th_drops_release(&txn->drops);
	th_drops_release(&txn->shares);
	atomic_fetch_sub(&txn->store->txns, 1);
	free(txn);
}

/* Frees the runs allocated since there were `count`. */
static void free_runs(struct th_txn *txn, size_t count)
{
	bool written = false;

	for (size_t i = count; i < txn->nallocs; i++)
		written |= txn->allocs[i].written;
	if (written)
		th_chunk_wait_all(txn->store); /* a late write must not reach blocks that were allocated again */
	for (size_t i = count; i < txn->nallocs; i++)
		th_space_give(txn->store->space, txn->allocs[i].run.addr, txn->allocs[i].run.blocks);
	txn->nallocs = count;
}

void th_txn_rollback(struct th_txn *txn)
{
	if (!txn)
		return;
	free_runs(txn, 0);
	txn_free(txn);
}

/* Adds a message, and takes over the reference to it.  NULL: the caller had no memory for it. */
static int add(struct th_txn *txn, struct th_entry *message)
{
	return message ? th_layers_insert(&txn->layers, message) : -ENOMEM;
}

/* Puts a value that is stored off-tree. */
static int put_large(struct th_txn *txn, struct th_slice key, struct th_slice value)
{
	uint8_t descriptor[TH_LARGE_VALUE_DISK_MAX];
	size_t before = txn->nallocs;
	int err = th_alloc_value(txn, value, descriptor, &value.size);

	value.data = descriptor;
	if (!err)
		err = add(txn, th_message_put_large(txn->view->prefix, key, value));
	if (err && err != -ENOMEM) /* after -ENOMEM the message may have been added */
		free_runs(txn, before);
	return err;
}

int th_txn_put(struct th_txn *txn, struct th_slice key, struct th_slice value)
{
	if (key.size > th_view_key_max(txn->view) || value.size > TH_VALUE_MAX)
		return -EINVAL;
	if (value.size > TH_INLINE_MAX)
		return put_large(txn, key, value);
	return add(txn, th_message_put(txn->view->prefix, key, value));
}

int th_txn_delete(struct th_txn *txn, struct th_slice key)
{
	if (key.size > th_view_key_max(txn->view))
		return -EINVAL;
	txn->layers.emergency = true;
	return add(txn, th_message_delete(txn->view->prefix, key));
}

int th_txn_delete_range(struct th_txn *txn, struct th_range range)
{
	struct th_span span;
	int err = th_view_span(txn->view, &range, &span);

	if (err || th_span_is_empty(&span))
		return err;
	if (span.open)
		th_key_set_last(&span.to);
	txn->layers.emergency = true;
	return add(txn, th_message_delete_range(th_key_slice(&span.from), th_key_slice(&span.to), 0));
}

int th_txn_ref(struct th_txn *txn, struct th_slice key, int32_t delta)
{
	if (key.size > th_view_key_max(txn->view))
		return -EINVAL;
	if (delta == 0)
		return 0;
	return add(txn, th_message_add_refs(txn->view->prefix, key, delta));
}

static int add_loan(struct th_txn *txn, struct th_entry *entry)
{
	if (th_grow(txn->loans, txn->loans_capacity, txn->nloans + 1))
		return -ENOMEM;
	txn->loans[txn->nloans++] = entry;
	return 0;
}

int th_txn_alloc(struct th_txn *txn, size_t key_size, size_t value_size, struct th_loan *ret)
{
	struct th_slice key = { NULL, key_size }, value = { NULL, value_size };
	struct th_entry *entry;

	if (key_size > th_view_key_max(txn->view) || value_size > TH_INLINE_MAX)
		return -EINVAL;
	entry = th_message_put(txn->view->prefix, key, value);
	if (!entry || add_loan(txn, entry)) {
		if (entry)
			th_entry_unref(entry);
		return -ENOMEM;
	}
	*ret = (struct th_loan){
		.key = (uint8_t *)(uintptr_t)th_entry_key(entry) + txn->view->prefix.size,
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
	return add(txn, entry);
}

int th_txn_get(struct th_txn *txn, struct th_slice key, struct th_value *ret)
{
	return th_view_get(txn->view, &txn->layers, key, ret);
}

int th_txn_cursor(struct th_txn *txn, const struct th_range *range, struct th_cursor **ret)
{
	return th_cursor_new(txn->view, &txn->layers, range, ret);
}

void th_txn_use_emergency(struct th_txn *txn)
{
	txn->layers.emergency = true;
}

/* --- savepoints --- */

static void set_floor(struct th_txn *txn)
{
	txn->layers.floor = txn->savepoints > 0 ? txn->savepoint[txn->savepoints - 1].layers : 0;
}

int th_txn_save(struct th_txn *txn, unsigned *ret)
{
	if (txn->savepoints == TH_SAVEPOINTS_MAX)
		return -EOVERFLOW;
	if (!txn->savepoint)
		txn->savepoint = calloc(TH_SAVEPOINTS_MAX, sizeof(*txn->savepoint));
	if (!txn->savepoint)
		return -ENOMEM;
	txn->savepoint[txn->savepoints] = (struct th_savepoint){
		.layers = txn->layers.count,
		.allocs = txn->nallocs,
		.drops = txn->drops.count,
		.shares = txn->shares.count,
	};
	*ret = txn->savepoints++;
	set_floor(txn);
	return 0;
}

int th_txn_restore(struct th_txn *txn, unsigned savepoint)
{
	const struct th_savepoint *to;

	if (savepoint >= txn->savepoints)
		return -EINVAL;
	to = &txn->savepoint[savepoint];
	th_layers_cut(&txn->layers, to->layers);
	free_runs(txn, to->allocs);
	txn->drops.count = to->drops;
	txn->shares.count = to->shares;
	txn->savepoints = savepoint + 1;
	set_floor(txn);
	return 0;
}

int th_txn_release(struct th_txn *txn, unsigned savepoint)
{
	if (savepoint >= txn->savepoints)
		return -EINVAL;
	txn->savepoints = savepoint;
	set_floor(txn);
	return th_layers_fold(&txn->layers);
}

/* --- the end --- */

static bool is_empty(const struct th_txn *txn)
{
	return txn->layers.count == 0 && txn->nallocs == 0 && txn->drops.count == 0 && txn->shares.count == 0;
}

/* Applies a transaction that is all in memory.  After -ENOSPC it is unchanged. */
static int apply(struct th_txn *txn)
{
	static const struct th_memtable none;
	const struct th_memtable *memtable;
	size_t drops = txn->drops.count;
	struct th_batch batch;
	int err;

	txn->layers.floor = 0;
	err = th_layers_fold(&txn->layers);
	if (err)
		return err;
	memtable = th_layers_memtable(&txn->layers);
	err = memtable ? th_drops_append(&txn->drops, &memtable->drops) : 0;
	batch = (struct th_batch){
		.memtable = memtable ? memtable : &none,
		.allocs = txn->allocs,
		.nallocs = txn->nallocs,
		.drops = txn->drops,
		.shares = txn->shares,
		.emergency = txn->layers.emergency,
	};
	if (!err)
		err = th_apply(txn->store, &batch, 0);
	if (err && batch.noted)
		txn->nallocs = 0; /* visible entries may name the runs: a rollback keeps them */
	if (err)
		txn->drops.count = drops;
	return err;
}

static int merge(struct th_txn *txn)
{
	return th_layers_spilled(&txn->layers) ? th_bulk_commit(txn) : apply(txn);
}

/* May a transaction that does not fit by its worst case need far less?  One that is merged in portions may. */
static bool may_need_less(const struct th_txn *txn)
{
	const struct th_layers *layers = &txn->layers;
	enum th_room room = layers->emergency ? TH_ROOM_FREEING : TH_ROOM_NORMAL;

	return layers->bytes > TH_PORTION_LEAST && !th_layers_spilled(layers) &&
	       th_store_room_now(txn->store, layers->bytes, room) == 0;
}

/* Without room for the worst case of a merge, makes room and retries.  A bulk commit needs room only for the nodes that
 * it does change, and can be undone: the last resort of transactions whose worst case is far from what they need. */
static int commit(struct th_txn *txn)
{
	struct th_store *store = txn->store;
	int err;

	th_checkpoint_throttle(store);
	err = th_store_writable(store);
	if (!err)
		err = merge(txn);
	if (err != -ENOSPC)
		return err;
	err = th_checkpoint_reclaim(store, UINT64_MAX);
	if (!err)
		err = merge(txn);
	if (err == -ENOSPC && may_need_less(txn))
		err = th_bulk_commit(txn);
	return err;
}

int th_txn_commit(struct th_txn *txn)
{
	bool nowait;
	int err;

	if (is_empty(txn)) {
		txn_free(txn);
		return 0;
	}
	nowait = th_nowait_suspend(); /* a half-applied transaction cannot be undone, so it waits for nodes */
	err = commit(txn);
	th_nowait_resume(nowait);
	if (err)
		th_txn_rollback(txn);
	else
		txn_free(txn);
	return err;
}
