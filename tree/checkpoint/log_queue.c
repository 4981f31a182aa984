/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/checkpoint/log_queue.h"

#include <stdlib.h>
#include <xxhash.h>

#include "tree/checkpoint/log_format.h"
#include "tree/state/state.h"

#define TH_PENDING_MAX (16u << 20) /* bytes in the queue; beyond it a sync is a checkpoint, which is then cheaper */

uint64_t th_log_identity(const struct th_super *super)
{
	return XXH3_64bits_withSeed(super->uuid, sizeof(super->uuid), super->mount_count);
}

/* --- records --- */

static int measure_message(const struct th_entry *message, void *arg)
{
	*(size_t *)arg += th_entry_packed_size(message, 0, TH_ENTRY_MESSAGE);
	return 0;
}

struct record_writer {
	uint8_t *out;
	uint32_t messages;
};

static int pack_message(const struct th_entry *message, void *arg)
{
	struct record_writer *w = arg;

	w->out += th_entry_pack(message, 0, TH_ENTRY_MESSAGE, w->out);
	w->messages++;
	return 0;
}

static uint8_t *pack_allocs(uint8_t *out, const struct th_alloc *allocs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct th_log_alloc_disk disk = {
			.addr = th_le64(allocs[i].run.addr),
			.birth = th_le64(allocs[i].run.birth),
			.blocks = th_le32(allocs[i].run.blocks),
			.written = th_le32(allocs[i].written),
			.digest = th_le64(allocs[i].digest),
		};

		memcpy(out, &disk, sizeof(disk));
		out += sizeof(disk);
	}
	return out;
}

static uint8_t *pack_runs(uint8_t *out, const struct th_drops *runs)
{
	for (size_t i = 0; i < runs->count; i++) {
		struct th_log_run_disk disk = {
			.addr = th_le64(runs->runs[i].addr),
			.birth = th_le64(runs->runs[i].birth),
			.blocks = th_le32(runs->runs[i].blocks),
		};

		memcpy(out, &disk, sizeof(disk));
		out += sizeof(disk);
	}
	return out;
}

struct th_pending *th_pending_new(const struct th_batch *batch, uint64_t seq)
{
	struct th_log_txn_disk header = {
		.seq = th_le64(seq),
		.allocs = th_le32((uint32_t)batch->nallocs),
		.drops = th_le32((uint32_t)batch->drops.count),
		.shares = th_le32((uint32_t)batch->shares.count),
	};
	struct record_writer w = { 0 };
	struct th_pending *pending;
	size_t size = sizeof(header) + batch->nallocs * sizeof(struct th_log_alloc_disk) +
		      (batch->drops.count + batch->shares.count) * sizeof(struct th_log_run_disk);

	th_memtable_each(batch->memtable, measure_message, &size);
	pending = malloc(sizeof(*pending) + size);
	if (!pending)
		return NULL;
	pending->next = NULL;
	pending->seq = seq;
	pending->size = size;
	w.out = pack_allocs(pending->bytes + sizeof(header), batch->allocs, batch->nallocs);
	w.out = pack_runs(w.out, &batch->drops);
	w.out = pack_runs(w.out, &batch->shares);
	th_memtable_each(batch->memtable, pack_message, &w);
	header.size = th_le32((uint32_t)size);
	header.messages = th_le32(w.messages);
	memcpy(pending->bytes, &header, sizeof(header));
	return pending;
}

void th_pending_free(struct th_pending *list)
{
	while (list) {
		struct th_pending *next = list->next;

		free(list);
		list = next;
	}
}

/* --- the queue --- */

static void drop_all_pending(struct th_store *store)
{
	th_pending_free(store->pending);
	store->pending = NULL;
	store->pending_end = &store->pending;
	store->pending_bytes = 0;
}

void th_log_queue_add(struct th_store *store, struct th_pending *pending)
{
	pthread_mutex_lock(&store->sync_lock);
	if (store->pending_bytes + pending->size > TH_PENDING_MAX)
		store->overflow_seq = pending->seq;
	if (store->overflow_seq) {
		store->overflow_seq = pending->seq;
		drop_all_pending(store);
		free(pending);
	} else {
		*store->pending_end = pending;
		store->pending_end = &pending->next;
		store->pending_bytes += pending->size;
		store->pending_seq = pending->seq;
	}
	pthread_mutex_unlock(&store->sync_lock);
}

void th_log_queue_trim(struct th_store *store, uint64_t seq)
{
	pthread_mutex_lock(&store->sync_lock);
	while (store->pending && store->pending->seq <= seq) {
		struct th_pending *first = store->pending;

		store->pending = first->next;
		store->pending_bytes -= first->size;
		free(first);
	}
	if (!store->pending)
		store->pending_end = &store->pending;
	if (store->overflow_seq <= seq)
		store->overflow_seq = 0;
	if (store->synced_seq < seq)
		store->synced_seq = seq;
	pthread_cond_broadcast(&store->sync_done);
	pthread_mutex_unlock(&store->sync_lock);
}

struct th_pending *th_log_queue_take(struct th_store *store, uint64_t *ret_seq)
{
	struct th_pending *list = store->pending;
	size_t room;

	if (!list || store->overflow_seq)
		return NULL;
	pthread_mutex_lock(&store->log_lock);
	room = th_log_room(store->log);
	pthread_mutex_unlock(&store->log_lock);
	if (store->pending_bytes > room)
		return NULL;
	*ret_seq = store->pending_seq;
	store->pending = NULL;
	store->pending_end = &store->pending;
	store->pending_bytes = 0;
	return list;
}
