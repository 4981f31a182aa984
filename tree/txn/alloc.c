/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/txn/alloc.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/base/array.h"
#include "journal/base/checksum.h"
#include "tree/catalogue/lineage.h"
#include "tree/io/chunk.h"
#include "tree/state/state.h"

static int add_alloc(struct th_txn *txn, const struct th_run *run)
{
	return th_append(txn->allocs, txn->allocs_capacity, txn->nallocs, (struct th_alloc){ .run = *run });
}

int th_chunk_alloc(struct th_txn *txn, uint32_t blocks, bool reserved, uint64_t *hint, struct th_run *ret)
{
	struct th_store *store = txn->store;
	enum th_space_class class = reserved ? TH_SPACE_RESERVED : TH_SPACE_USER;
	struct th_run run;
	int err = th_store_writable(store);

	if (err)
		return err;
	if (blocks == 0 || blocks > TH_RUN_MAX)
		return -EINVAL;
	err = th_space_take(store->space, class, blocks, 1, hint, &run.addr, &run.blocks);
	if (err == -ENOSPC && !store->make_room(store, blocks))
		err = th_space_take(store->space, class, blocks, 1, hint, &run.addr, &run.blocks);
	if (err)
		return err;
	/* The generation may advance until the transaction commits.  A birth that is too early only delays reuse. */
	run.birth = th_tree_generation(&store->live);
	err = add_alloc(txn, &run);
	if (err) {
		th_space_give(store->space, run.addr, run.blocks);
		return err;
	}
	txn->layers.emergency |= reserved;
	*ret = run;
	return 0;
}

int th_chunk_reserve_now(struct th_store *store, uint32_t blocks, bool emergency)
{
	return emergency ? th_space_reserve_emergency(store->space, blocks) : th_space_reserve(store->space, blocks);
}

int th_chunk_make_room(struct th_store *store)
{
	return store->make_room(store, UINT64_MAX);
}

bool th_chunk_frees(struct th_store *store, const struct th_run *run)
{
	return run->birth > th_lineage_limit(store);
}

int th_chunk_drop(struct th_txn *txn, const struct th_run *run)
{
	if (!th_chunk_valid(txn->store, run))
		return -EINVAL;
	txn->layers.emergency = true;
	return th_drops_add(&txn->drops, run);
}

int th_chunk_share(struct th_txn *txn, const struct th_run *run, struct th_run *ret)
{
	if (!th_chunk_valid(txn->store, run))
		return -EINVAL;
	*ret = *run;
	ret->birth = th_tree_generation(&txn->store->live);
	return th_drops_add(&txn->shares, ret);
}

static struct th_alloc *find_alloc(struct th_txn *txn, const struct th_run *run)
{
	for (size_t i = txn->nallocs; i-- > 0;)
		if (txn->allocs[i].run.addr == run->addr && txn->allocs[i].run.blocks == run->blocks)
			return &txn->allocs[i];
	return NULL;
}

int th_chunk_write(struct th_txn *txn, const struct th_run *run, void *buffer, const uint64_t *checksums)
{
	struct th_alloc *alloc = find_alloc(txn, run);
	int err;

	if (!alloc || alloc->written || (uintptr_t)buffer % TH_BLOCK_SIZE)
		return -EINVAL;
	err = th_chunk_write_begin(txn->store, run, buffer);
	if (err)
		return err;
	alloc->written = true;
	alloc->digest = th_checksum(checksums, run->blocks * sizeof(*checksums));
	return 0;
}

/* --- large values --- */

/* Writes one run of a large value, of which `left` bytes remain, and adds it to the descriptor. */
static int write_run(struct th_txn *txn, struct th_large_value *large, const uint8_t *data, size_t left)
{
	size_t blocks = (left + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE, bytes;
	uint64_t checksums[TH_RUN_MAX];
	struct th_run *run = &large->run[large->runs];
	uint8_t *buffer;
	int err;

	err = th_chunk_alloc(txn, blocks < TH_RUN_MAX ? (uint32_t)blocks : TH_RUN_MAX, false, &txn->hint, run);
	if (err)
		return err;
	bytes = (size_t)run->blocks * TH_BLOCK_SIZE;
	buffer = th_disk_buffer(bytes);
	if (!buffer)
		return -ENOMEM;
	memset(buffer + bytes - TH_BLOCK_SIZE, 0, TH_BLOCK_SIZE);
	memcpy(buffer, data, left < bytes ? left : bytes);
	for (uint32_t i = 0; i < run->blocks; i++)
		checksums[i] = th_chunk_checksum(buffer + (size_t)i * TH_BLOCK_SIZE);
	err = th_chunk_write(txn, run, buffer, checksums);
	if (err)
		free(buffer);
	else
		large->runs++;
	return err;
}

int th_alloc_value(struct th_txn *txn, struct th_slice value, void *to, size_t *ret_size)
{
	struct th_large_value large = { .size = (uint32_t)value.size, .checksum = th_checksum(value.data, value.size) };
	size_t done = 0;

	while (done < value.size) {
		int err;

		if (large.runs == TH_LARGE_VALUE_RUNS_MAX)
			return -ENOSPC; /* free space is in too many pieces */
		err = write_run(txn, &large, (const uint8_t *)value.data + done, value.size - done);
		if (err)
			return err;
		done += (size_t)large.run[large.runs - 1].blocks * TH_BLOCK_SIZE;
	}
	*ret_size = th_large_value_pack(&large, to);
	return 0;
}
