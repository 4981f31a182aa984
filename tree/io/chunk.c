/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/io/chunk.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "journal/base/thread.h"
#include "tree/chunk.h"
#include "tree/state/state.h"
#include "tree/txn/txn.h"

#define TH_CHUNK_BYTES_MAX (32u << 20) /* being written at one time; more waits */
#define TH_CHUNK_BUFFER_BYTES ((size_t)TH_RUN_MAX * TH_BLOCK_SIZE)
#define TH_CHUNK_BUFFERS_MAX (TH_CHUNK_BYTES_MAX / TH_CHUNK_BUFFER_BYTES)

/* A run being written. */
struct th_chunk_io {
	struct th_chunk_io *prev, *next;
	struct th_store *store;
	uint64_t addr;
	uint32_t blocks;
	void *buffer;
	struct iovec iov;
	struct th_future future;
};

uint64_t th_chunk_checksum(const void *block)
{
	return th_checksum(block, TH_BLOCK_SIZE);
}

/* --- runs --- */

static struct th_alloc *txn_add_alloc(struct th_txn *txn, const struct th_run *run)
{
	if (txn->nallocs == txn->allocs_capacity) {
		size_t capacity = txn->allocs_capacity ? 2 * txn->allocs_capacity : 4;
		struct th_alloc *allocs = realloc(txn->allocs, capacity * sizeof(*allocs));

		if (!allocs)
			return NULL;
		txn->allocs = allocs;
		txn->allocs_capacity = capacity;
	}
	txn->allocs[txn->nallocs] = (struct th_alloc){ .run = *run };
	return &txn->allocs[txn->nallocs++];
}

int th_chunk_alloc(struct th_txn *txn, uint32_t blocks, bool reserved, uint64_t *hint, struct th_run *ret)
{
	struct th_store *store = txn->store;
	enum th_space_class class = reserved ? TH_SPACE_RESERVED : TH_SPACE_USER;
	struct th_run run;
	int err = th_store_writable(store);

	if (err < 0)
		return err;
	if (blocks == 0 || blocks > TH_RUN_MAX)
		return -EINVAL;
	err = th_space_take(store->space, class, blocks, 1, hint, &run.addr, &run.blocks);
	if (err == -ENOSPC && store->make_room(store) == 0)
		err = th_space_take(store->space, class, blocks, 1, hint, &run.addr, &run.blocks);
	if (err < 0)
		return err;
	/* The generation can only grow until the merge, and a birth that is too early merely delays reuse. */
	run.birth = __atomic_load_n(&store->live.gen, __ATOMIC_RELAXED);
	if (!txn_add_alloc(txn, &run)) {
		th_space_give(store->space, run.addr, run.blocks);
		return -ENOMEM;
	}
	txn->layers.emergency |= reserved;
	*ret = run;
	return 0;
}

/* Lies between the superblocks and the log at the one end, and the superblocks at the other. */
static bool valid_run(struct th_store *store, const struct th_run *run)
{
	uint64_t from = store->super.log_first + store->super.log_blocks;
	uint64_t to = store->super.blocks - TH_SUPER_TAIL_BLOCKS;

	return run->blocks > 0 && run->addr >= from && run->addr < to && run->blocks <= to - run->addr;
}

int th_chunk_drop(struct th_txn *txn, const struct th_run *run)
{
	if (!valid_run(txn->store, run))
		return -EINVAL;
	txn->layers.emergency = true;
	return th_drops_add(&txn->drops, run);
}

int th_chunk_share(struct th_txn *txn, const struct th_run *run, struct th_run *ret)
{
	int err;

	if (!valid_run(txn->store, run))
		return -EINVAL;
	*ret = *run;
	ret->birth = __atomic_load_n(&txn->store->live.gen, __ATOMIC_RELAXED);
	err = th_drops_add(&txn->shares, ret);
	return err;
}

int th_chunk_reserve(struct th_store *store, uint32_t blocks)
{
	int err = th_space_reserve(store->space, blocks);

	if (err == -ENOSPC && store->make_room(store) == 0)
		err = th_space_reserve(store->space, blocks);
	return err;
}

void th_chunk_unreserve(struct th_store *store, uint32_t blocks)
{
	th_space_unreserve(store->space, blocks);
}

/* --- buffers --- */

/*
 * A free one begins with this.  They are kept because of what malloc(3) does with aligned memory: it looks for the size
 * and the alignment together and gives the rest back, so that a piece that was freed does not fit the next request of
 * its own size, and the heap grows by a piece for nearly each.
 */
struct th_chunk_buffer {
	struct th_chunk_buffer *next;
};

void *th_chunk_buffer(struct th_store *store, uint32_t blocks)
{
	struct th_chunk_buffer *buffer;

	if (blocks <= TH_RUN_MAX / 2)
		return th_disk_buffer((size_t)blocks * TH_BLOCK_SIZE);
	pthread_mutex_lock(&store->chunk_lock);
	buffer = store->chunk_buffers;
	if (buffer) {
		store->chunk_buffers = buffer->next;
		store->chunk_buffers_count--;
	}
	pthread_mutex_unlock(&store->chunk_lock);
	return buffer ? (void *)buffer : th_disk_buffer(TH_CHUNK_BUFFER_BYTES);
}

/* store->chunk_lock held. */
static bool keep_buffer(struct th_store *store, void *memory)
{
	struct th_chunk_buffer *buffer = memory;

	if (malloc_usable_size(memory) < TH_CHUNK_BUFFER_BYTES || store->chunk_buffers_count == TH_CHUNK_BUFFERS_MAX)
		return false;
	buffer->next = store->chunk_buffers;
	store->chunk_buffers = buffer;
	store->chunk_buffers_count++;
	return true;
}

void th_chunk_buffers_release(struct th_store *store)
{
	while (store->chunk_buffers) {
		struct th_chunk_buffer *buffer = store->chunk_buffers;

		store->chunk_buffers = buffer->next;
		free(buffer);
	}
}

/* --- writing --- */

static void chunk_written(struct th_future *future, void *arg)
{
	struct th_chunk_io *io = arg;
	struct th_store *store = io->store;
	bool kept;

	if (future->result < 0)
		th_store_fail(store, future->result, "writing data");
	pthread_mutex_lock(&store->chunk_lock);
	if (io->prev)
		io->prev->next = io->next;
	else
		store->chunk_writes = io->next;
	if (io->next)
		io->next->prev = io->prev;
	store->chunk_bytes -= io->iov.iov_len;
	kept = keep_buffer(store, io->buffer);
	atomic_fetch_sub(&store->chunk_count, 1);
	pthread_cond_broadcast(&store->chunk_done);
	pthread_mutex_unlock(&store->chunk_lock);
	if (!kept)
		free(io->buffer);
	free(io);
}

/* With chunk_lock: until some write is over. */
static void wait_chunk(struct th_store *store)
{
	th_thread_waits();
	pthread_cond_wait(&store->chunk_done, &store->chunk_lock);
}

static void start_write(struct th_store *store, struct th_chunk_io *io)
{
	pthread_mutex_lock(&store->chunk_lock);
	while (store->chunk_bytes > TH_CHUNK_BYTES_MAX)
		wait_chunk(store);
	io->next = store->chunk_writes;
	if (io->next)
		io->next->prev = io;
	store->chunk_writes = io;
	store->chunk_bytes += io->iov.iov_len;
	atomic_fetch_add(&store->chunk_count, 1);
	pthread_mutex_unlock(&store->chunk_lock);
	th_disk_save(store->disk, io->addr, &io->iov, 1, &io->future);
	th_future_then(&io->future, chunk_written, io);
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
	struct th_chunk_io *io;

	if (!alloc || alloc->written || (uintptr_t)buffer % TH_BLOCK_SIZE)
		return -EINVAL;
	io = calloc(1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	alloc->written = true;
	alloc->digest = th_checksum(checksums, run->blocks * sizeof(*checksums));
	io->store = txn->store;
	io->addr = run->addr;
	io->blocks = run->blocks;
	io->buffer = buffer;
	io->iov = (struct iovec){ buffer, (size_t)run->blocks * TH_BLOCK_SIZE };
	start_write(txn->store, io);
	return 0;
}

void th_chunk_wait_all(struct th_store *store)
{
	struct th_chunk_io *io;

	if (atomic_load(&store->chunk_count) == 0)
		return;
	pthread_mutex_lock(&store->chunk_lock);
	for (io = store->chunk_writes; io; io = io->next)
		io->blocks |= UINT32_C(1) << 31; /* marks what was under way when we came */
	for (;;) {
		for (io = store->chunk_writes; io && !(io->blocks >> 31); io = io->next)
			;
		if (!io)
			break;
		wait_chunk(store);
	}
	pthread_mutex_unlock(&store->chunk_lock);
}

/* --- reading --- */

static bool overlaps(const struct th_chunk_io *io, uint64_t addr, uint32_t blocks)
{
	uint32_t n = (uint32_t)(io->iov.iov_len / TH_BLOCK_SIZE);

	return addr < io->addr + n && io->addr < addr + blocks;
}

static void wait_overlapping(struct th_store *store, uint64_t addr, uint32_t blocks)
{
	struct th_chunk_io *io;

	if (atomic_load(&store->chunk_count) == 0)
		return;
	pthread_mutex_lock(&store->chunk_lock);
	for (;;) {
		for (io = store->chunk_writes; io && !overlaps(io, addr, blocks); io = io->next)
			;
		if (!io)
			break;
		wait_chunk(store);
	}
	pthread_mutex_unlock(&store->chunk_lock);
}

/* The number of blocks, from the first on, that are what they should be. */
static uint32_t verified(const void *buffer, uint32_t blocks, const uint64_t *checksums)
{
	uint32_t i = 0;

	while (i < blocks && th_chunk_checksum((const char *)buffer + (size_t)i * TH_BLOCK_SIZE) == checksums[i])
		i++;
	return i;
}

/* From what was read ahead, if that is still right. */
static bool read_ahead(struct th_store *store, uint64_t addr, uint32_t blocks, const uint64_t *checksums, void *buffer)
{
	if (!th_readahead_read(store->ahead, addr, blocks, buffer))
		return false;
	if (verified(buffer, blocks, checksums) == blocks)
		return true;
	th_readahead_forget(store->ahead, addr);
	return false;
}

int th_chunk_read(struct th_store *store, uint64_t addr, uint32_t blocks, const uint64_t *checksums, void *buffer)
{
	struct th_run run = { addr, 0, blocks };
	uint32_t right;
	int err;

	if (!valid_run(store, &run))
		return -EUCLEAN;
	wait_overlapping(store, addr, blocks);
	if (blocks <= TH_READAHEAD_BLOCKS / 2 && read_ahead(store, addr, blocks, checksums, buffer))
		return 0;
	err = th_disk_read(store->disk, addr, blocks, buffer);
	if (err < 0)
		return err;
	right = verified(buffer, blocks, checksums);
	if (right == blocks)
		return 0;
	th_store_report(store, "data block %" PRIu64 ": wrong checksum", addr + right);
	return -EBADMSG;
}

/* --- large values --- */

int th_chunk_value_read(struct th_store *store, struct th_slice descriptor, void **ret, uint32_t *ret_size)
{
	struct th_large_value large;
	uint8_t *buffer;
	size_t at = 0;
	int err = th_large_value_unpack(descriptor, &large);

	if (err < 0)
		return err;
	buffer = th_disk_buffer(large.size);
	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < large.runs && err == 0; i++) {
		struct th_run *run = &large.run[i];

		err = valid_run(store, run) ? 0 : -EUCLEAN;
		if (err == 0) {
			wait_overlapping(store, run->addr, run->blocks);
			err = th_disk_read(store->disk, run->addr, run->blocks, buffer + at);
		}
		at += (size_t)run->blocks * TH_BLOCK_SIZE;
	}
	if (err == 0 && th_checksum(buffer, large.size) != large.checksum) {
		th_store_report(store, "value at block %" PRIu64 " (%u bytes): wrong checksum", large.run[0].addr,
				large.size);
		err = -EBADMSG;
	}
	if (err < 0) {
		free(buffer);
		return err;
	}
	*ret = buffer;
	*ret_size = large.size;
	return 0;
}

/* Writes one run of a large value, `left` bytes of which are still to go; adds it to the descriptor. */
static int write_run(struct th_txn *txn, struct th_large_value *large, const uint8_t *data, size_t left)
{
	size_t blocks = (left + TH_BLOCK_SIZE - 1) / TH_BLOCK_SIZE, bytes;
	uint64_t checksums[TH_RUN_MAX];
	struct th_run *run = &large->run[large->runs];
	uint8_t *buffer;
	int err;

	err = th_chunk_alloc(txn, blocks < TH_RUN_MAX ? (uint32_t)blocks : TH_RUN_MAX, false, &txn->hint, run);
	if (err < 0)
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
	if (err < 0)
		free(buffer);
	else
		large->runs++;
	return err;
}

int th_chunk_value_write(struct th_txn *txn, struct th_slice value, void *to, size_t *ret_size)
{
	struct th_large_value large = { .size = (uint32_t)value.size, .checksum = th_checksum(value.data, value.size) };
	size_t done = 0;

	while (done < value.size) {
		int err;

		if (large.runs == TH_LARGE_VALUE_RUNS_MAX)
			return -ENOSPC; /* free space is in too many pieces */
		err = write_run(txn, &large, (const uint8_t *)value.data + done, value.size - done);
		if (err < 0)
			return err;
		done += (size_t)large.run[large.runs - 1].blocks * TH_BLOCK_SIZE;
	}
	*ret_size = th_large_value_pack(&large, to);
	return 0;
}
