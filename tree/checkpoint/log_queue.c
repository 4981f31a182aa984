/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sync: merged transactions into the intent log, and back out of it after a crash.
 *
 * Every merge queues its record.  Whoever syncs first becomes the leader: it takes all that is queued, writes it as one
 * log record and flushes once; the others wait for it.  Data that the transactions refer to was written to its final
 * blocks; since the same flush covers both, a record may reach the disk without its data.  Replay therefore checks the
 * data of the last record (every earlier one was flushed before its successor was written) against the digests in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "journal/base/thread.h"
#include "tree/checkpoint/log_format.h"
#include "tree/store.h"

#define TH_PENDING_MAX (16u << 20)
#define TH_SYNC_PARTS 512 /* transactions in one log record */

/* --- writing records --- */

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

	th_memtable_each(batch->stage, measure_message, &size);
	pending = malloc(sizeof(*pending) + size);
	if (!pending)
		return NULL;
	pending->next = NULL;
	pending->seq = seq;
	pending->size = size;
	w.out = pack_allocs(pending->bytes + sizeof(header), batch->allocs, batch->nallocs);
	w.out = pack_runs(w.out, &batch->drops);
	w.out = pack_runs(w.out, &batch->shares);
	th_memtable_each(batch->stage, pack_message, &w);
	header.size = th_le32((uint32_t)size);
	header.messages = th_le32(w.messages);
	memcpy(pending->bytes, &header, sizeof(header));
	return pending;
}

static void free_pending(struct th_pending *list)
{
	while (list) {
		struct th_pending *next = list->next;

		free(list);
		list = next;
	}
}

static void drop_all_pending(struct th_store *store)
{
	free_pending(store->pending);
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

/* Takes what is queued, up to what fits one record.  The lock is held. */
static struct th_pending *take_pending(struct th_store *store, uint64_t *ret_seq, int *ret_count)
{
	struct th_pending *list = store->pending, **end = &store->pending;
	size_t room, size = 0;

	pthread_mutex_lock(&store->log_lock);
	room = th_log_room(store->log);
	pthread_mutex_unlock(&store->log_lock);
	for (*ret_count = 0; *end && *ret_count < TH_SYNC_PARTS && size + (*end)->size <= room; (*ret_count)++) {
		size += (*end)->size;
		*ret_seq = (*end)->seq;
		end = &(*end)->next;
	}
	store->pending = *end;
	*end = NULL;
	if (!store->pending)
		store->pending_end = &store->pending;
	store->pending_bytes -= size;
	return *ret_count > 0 ? list : NULL;
}

static int log_pending(struct th_store *store, const struct th_pending *list)
{
	struct iovec parts[TH_SYNC_PARTS];
	size_t bytes = 0;
	int n = 0, err;

	for (; list; list = list->next) {
		parts[n++] = (struct iovec){ (void *)(uintptr_t)list->bytes, list->size };
		bytes += list->size;
	}
	th_chunk_wait_all(store);
	err = th_store_writable(store);
	if (err == 0) {
		pthread_mutex_lock(&store->log_lock);
		err = th_log_append(store->log, parts, n);
		pthread_mutex_unlock(&store->log_lock);
	}
	if (err == 0)
		err = th_disk_sync(store->disk);
	if (err == 0) {
		atomic_fetch_add(&store->log_records, 1);
		atomic_fetch_add(&store->log_bytes, bytes);
	}
	return err;
}

/* Logs what is queued, as the leader.  The lock is held, and let go meanwhile. */
static int lead(struct th_store *store)
{
	struct th_pending *list;
	uint64_t seq = 0;
	int count, err;

	store->syncing = true;
	list = take_pending(store, &seq, &count);
	pthread_mutex_unlock(&store->sync_lock);
	err = list ? log_pending(store, list) : -ENOSPC;
	free_pending(list);
	if (err == -ENOSPC || err == -EFBIG)
		err = th_checkpoint(store, NULL, NULL, 0); /* makes room, and makes durable what did not fit */
	else if (err < 0)
		th_store_fail(store, err, "writing the intent log");
	else
		th_log_done(store, seq);
	pthread_mutex_lock(&store->sync_lock);
	store->syncing = false;
	pthread_cond_broadcast(&store->sync_done);
	return err;
}

void th_log_done(struct th_store *store, uint64_t seq)
{
	pthread_mutex_lock(&store->sync_lock);
	store->log_head = th_log_head(store->log);
	if (store->synced_seq < seq)
		store->synced_seq = seq;
	pthread_mutex_unlock(&store->sync_lock);
}

int th_store_sync(struct th_store *store)
{
	uint64_t target = __atomic_load_n(&store->seq, __ATOMIC_ACQUIRE);
	int err = store->read_only ? -EROFS : 0;

	atomic_fetch_add(&store->syncs, 1);
	if (err == 0 && th_reclaim_unnoted(store)) /* no record of the log tells of it */
		err = th_checkpoint(store, NULL, NULL, 0);
	pthread_mutex_lock(&store->sync_lock);
	while (err == 0 && store->synced_seq < target) {
		if (store->syncing) {
			th_thread_waits();
			pthread_cond_wait(&store->sync_done, &store->sync_lock);
			err = th_store_writable(store);
		} else if (store->overflow_seq) {
			pthread_mutex_unlock(&store->sync_lock);
			err = th_checkpoint(store, NULL, NULL, 0);
			pthread_mutex_lock(&store->sync_lock);
		} else {
			err = lead(store);
		}
	}
	pthread_mutex_unlock(&store->sync_lock);
	return err;
}

/* --- replay --- */

struct replay {
	struct th_store *store;
	const uint8_t *at, *end;
	uint64_t newest_birth;
};

/* Takes `size` bytes of the record. */
static const void *take(struct replay *p, size_t size)
{
	const uint8_t *bytes = p->at;

	if ((size_t)(p->end - p->at) < size)
		return NULL;
	p->at += size;
	return bytes;
}

/* Did the data of a logged run reach the disk? */
static bool data_is_there(struct th_store *store, const struct th_alloc *alloc)
{
	size_t blocks = alloc->run.blocks;
	uint8_t *buffer = th_disk_buffer(blocks * TH_BLOCK_SIZE);
	uint64_t *checksums = calloc(blocks, sizeof(*checksums));
	bool there = false;

	if (buffer && checksums && th_disk_read(store->disk, alloc->run.addr, alloc->run.blocks, buffer) == 0) {
		for (size_t i = 0; i < blocks; i++)
			checksums[i] = th_chunk_checksum(buffer + i * TH_BLOCK_SIZE);
		there = th_checksum(checksums, blocks * sizeof(*checksums)) == alloc->digest;
	}
	free(buffer);
	free(checksums);
	return there;
}

static int read_allocs(struct replay *p, struct th_alloc *allocs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct th_log_alloc_disk disk;
		const void *bytes = take(p, sizeof(disk));

		if (!bytes)
			return -EUCLEAN;
		memcpy(&disk, bytes, sizeof(disk));
		allocs[i] = (struct th_alloc){
			.run = { th_get_le64(disk.addr), th_get_le64(disk.birth), th_get_le32(disk.blocks) },
			.written = th_get_le32(disk.written) != 0,
			.digest = th_get_le64(disk.digest),
		};
		if (allocs[i].run.blocks == 0 || allocs[i].run.blocks > TH_RUN_MAX)
			return -EUCLEAN;
		if (allocs[i].run.birth > p->newest_birth)
			p->newest_birth = allocs[i].run.birth;
	}
	return 0;
}

static int read_runs(struct replay *p, struct th_drops *runs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct th_log_run_disk disk;
		const void *bytes = take(p, sizeof(disk));
		struct th_run run;

		if (!bytes)
			return -EUCLEAN;
		memcpy(&disk, bytes, sizeof(disk));
		run = (struct th_run){ th_get_le64(disk.addr), th_get_le64(disk.birth), th_get_le32(disk.blocks) };
		if (run.birth > p->newest_birth)
			p->newest_birth = run.birth;
		if (th_drops_add(runs, &run) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_messages(struct replay *p, struct th_memtable *stage, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t size = th_entry_packed_check(p->at, (size_t)(p->end - p->at));
		const struct th_entry *packed = take(p, size);
		struct th_entry *message;
		struct th_slice key;
		int err;

		if (size == 0 || !packed)
			return -EUCLEAN;
		key = (struct th_slice){ th_entry_key(packed), th_entry_key_size(packed) };
		message = th_entry_new(packed->flags, key, TH_SLICE_EMPTY, th_entry_value(packed));
		if (!message)
			return -ENOMEM;
		th_entry_set_refs(message, th_entry_refs(packed));
		err = th_memtable_insert(stage, message);
		if (err < 0)
			return err;
	}
	return 0;
}

static int claim_allocs(struct th_store *store, const struct th_batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->nallocs && err == 0; i++)
		err = th_space_claim(store->space, batch->allocs[i].run.addr, batch->allocs[i].run.blocks);
	return err;
}

/* Replays one transaction.  `apply` false: only looks whether its data is there; 1 if not. */
static int replay_txn(struct replay *p, bool apply)
{
	const struct th_log_txn_disk *disk = take(p, sizeof(*disk));
	struct th_memtable stage = { 0 };
	struct th_batch batch = { .stage = &stage };
	struct th_log_txn_disk header;
	struct th_alloc *allocs = NULL;
	const uint8_t *end;
	int err = -EUCLEAN;

	if (!disk)
		return -EUCLEAN;
	memcpy(&header, disk, sizeof(header));
	batch.nallocs = th_get_le32(header.allocs);
	if (th_get_le32(header.size) < sizeof(header) ||
	    th_get_le32(header.size) - sizeof(header) > (size_t)(p->end - p->at) ||
	    batch.nallocs > (size_t)(p->end - p->at) / sizeof(struct th_log_alloc_disk))
		return -EUCLEAN;
	end = p->at + th_get_le32(header.size) - sizeof(header);
	if (th_get_le64(header.seq) <= p->store->super.sequence) {
		p->at = end;
		return 0;
	}
	allocs = calloc(batch.nallocs + 1, sizeof(*allocs));
	if (!allocs)
		return -ENOMEM;
	batch.allocs = allocs;
	err = read_allocs(p, allocs, th_get_le32(header.allocs));
	if (err == 0 && !apply) {
		for (size_t i = 0; i < batch.nallocs && err == 0; i++)
			err = allocs[i].written && !data_is_there(p->store, &allocs[i]);
		p->at = end;
		goto out;
	}
	if (err == 0)
		err = read_runs(p, &batch.drops, th_get_le32(header.drops));
	if (err == 0)
		err = read_runs(p, &batch.shares, th_get_le32(header.shares));
	if (err == 0)
		err = read_messages(p, &stage, th_get_le32(header.messages));
	if (err == 0 && p->at != end)
		err = -EUCLEAN;
	if (err == 0)
		err = claim_allocs(p->store, &batch);
	if (err == 0)
		err = th_apply(p->store, &batch, th_get_le64(header.seq));
out:
	free(allocs);
	th_drops_release(&batch.drops);
	th_drops_release(&batch.shares);
	th_memtable_release(&stage);
	return err;
}

static int replay_record(const void *payload, size_t size, bool last, void *arg)
{
	struct replay *p = arg;
	int err = 0;

	p->end = (const uint8_t *)payload + size;
	for (p->at = payload; last && p->at < p->end && err == 0;)
		err = replay_txn(p, false);
	for (p->at = payload; p->at < p->end && err == 0;)
		err = replay_txn(p, true);
	return err;
}

int th_log_replay_store(struct th_store *store)
{
	struct replay p = { .store = store };
	struct th_log_position end;
	int err = th_log_replay(store->disk, store->super.log_first, store->super.log_blocks,
				th_log_identity(&store->super), store->super.log_tail, replay_record, &p, &end);

	if (err < 0) {
		th_store_report(store, "%s: the intent log cannot be replayed: %s", store->disk->name, strerror(-err));
		return err;
	}
	/* A run may have been born in a generation whose commit did not make it: no later one may be older. */
	if (store->live.gen <= p.newest_birth) {
		store->live.gen = p.newest_birth + 1;
		store->live.checkpoint_gen = p.newest_birth;
	}
	return 0;
}
