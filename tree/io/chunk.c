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

#define TH_CHUNK_BYTES_MAX (32u << 20) /* bytes being written at one time; writers of more wait */
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

bool th_chunk_valid(struct th_store *store, const struct th_run *run)
{
	const struct th_super *super = &store->super;
	uint64_t from = super->log_first + super->log_blocks, mirror = super->log_mirror;
	uint64_t to = super->blocks - TH_SUPER_TAIL_BLOCKS;

	if (run->blocks == 0 || run->addr < from || run->addr >= to || run->blocks > to - run->addr)
		return false;
	return !mirror || run->addr >= mirror + super->log_blocks || run->addr + run->blocks <= mirror;
}

int th_chunk_reserve(struct th_store *store, uint32_t blocks)
{
	int err = th_space_reserve(store->space, blocks);

	if (err == -ENOSPC && !store->make_room(store, blocks))
		err = th_space_reserve(store->space, blocks);
	return err;
}

void th_chunk_unreserve(struct th_store *store, uint32_t blocks)
{
	th_space_unreserve(store->space, blocks);
}

/* --- buffers --- */

/*
 * The beginning of a free buffer.  Buffers are kept because of malloc(3): for aligned memory it looks for size plus
 * alignment and returns the rest, so that a freed piece does not fit the next request of its own size, and the heap
 * grows with nearly every request.
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

/* Keeps a buffer for later writes if it is large enough and there are not too many.  chunk_lock is held. */
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

/* Waits until a write is complete.  chunk_lock is held, and dropped while waiting. */
static void wait_chunk(struct th_store *store)
{
	th_thread_waits();
	pthread_cond_wait(&store->chunk_done, &store->chunk_lock);
}

int th_chunk_write_begin(struct th_store *store, const struct th_run *run, void *buffer)
{
	struct th_chunk_io *io = calloc(1, sizeof(*io));

	if (!io)
		return -ENOMEM;
	io->store = store;
	io->addr = run->addr;
	io->blocks = run->blocks;
	io->buffer = buffer;
	io->iov = (struct iovec){ buffer, (size_t)run->blocks * TH_BLOCK_SIZE };
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
	return 0;
}

void th_chunk_wait_all(struct th_store *store)
{
	struct th_chunk_io *io;

	if (atomic_load(&store->chunk_count) == 0)
		return;
	pthread_mutex_lock(&store->chunk_lock);
	for (io = store->chunk_writes; io; io = io->next)
		io->blocks |= UINT32_C(1) << 31; /* marks the writes to wait for */
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

/* Waits for writes under way that overlap these blocks. */
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

/* Returns the number of blocks, from the first on, that have the right checksum. */
static uint32_t verified(const void *buffer, uint32_t blocks, const uint64_t *checksums)
{
	uint32_t i = 0;

	while (i < blocks && th_chunk_checksum((const char *)buffer + (size_t)i * TH_BLOCK_SIZE) == checksums[i])
		i++;
	return i;
}

/* Copies the blocks from the readahead, if it has them and they are still right. */
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

	if (!th_chunk_valid(store, &run))
		return -EUCLEAN;
	wait_overlapping(store, addr, blocks);
	if (blocks <= TH_READAHEAD_BLOCKS / 2 && read_ahead(store, addr, blocks, checksums, buffer))
		return 0;
	err = th_disk_read(store->disk, addr, blocks, buffer);
	if (err)
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

	if (err)
		return err;
	buffer = th_disk_buffer(large.size);
	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < large.runs && !err; i++) {
		struct th_run *run = &large.run[i];

		err = th_chunk_valid(store, run) ? 0 : -EUCLEAN;
		if (!err) {
			wait_overlapping(store, run->addr, run->blocks);
			err = th_disk_read(store->disk, run->addr, run->blocks, buffer + at);
		}
		at += (size_t)run->blocks * TH_BLOCK_SIZE;
	}
	if (!err && th_checksum(buffer, large.size) != large.checksum) {
		th_store_report(store, "value at block %" PRIu64 " (%u bytes): wrong checksum", large.run[0].addr,
				large.size);
		err = -EBADMSG;
	}
	if (err) {
		free(buffer);
		return err;
	}
	*ret = buffer;
	*ret_size = large.size;
	return 0;
}

/* Writes one run of a large value, `left` bytes of which are still to go; adds it to the descriptor. */