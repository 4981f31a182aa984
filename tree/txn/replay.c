/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: transactions out of the intent log, after a crash.
 *
 * A record may have reached the disk without the data that its transactions refer to, since one flush covers both.
 * Replay therefore checks the data of the last record (every earlier one was flushed before its successor was written)
 * against the digests in it.
 */
#include "tree/txn/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal/base/checksum.h"
#include "tree/checkpoint/log_format.h"
#include "tree/checkpoint/log_queue.h"
#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/state/state.h"
#include "tree/txn/apply.h"

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

static int read_messages(struct replay *p, struct th_memtable *memtable, uint32_t count)
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
		err = th_memtable_insert(memtable, message);
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
	struct th_memtable memtable = { 0 };
	struct th_batch batch = { .memtable = &memtable };
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
		err = read_messages(p, &memtable, th_get_le32(header.messages));
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
	th_memtable_release(&memtable);
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
