/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: transactions of the intent log, after a crash.
 *
 * One disk flush covers a record and the data that its transactions refer to, so a crash may leave the record without
 * the data.  Replay compares the data of the last record with the digests in it, and ignores the record if they differ.
 * Every earlier record was flushed before its successor was written.
 *
 * Stranded records (journal/log.h) are not replayed.  A later transaction counts on those before it: it drops runs that
 * they allocated, and changes names and counts that they made.
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
#include "tree/node/message.h"
#include "tree/state/state.h"
#include "tree/txn/apply.h"

struct replay {
	struct th_store *store;
	const uint8_t *at, *end;
	uint64_t newest_birth;
};

/* Returns the next `size` bytes of the record; NULL if it has fewer. */
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
		if (th_drops_add(runs, &run))
			return -ENOMEM;
	}
	return 0;
}

static int read_messages(struct replay *p, struct th_memtable *memtable, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t size = th_message_packed_check(p->at, (size_t)(p->end - p->at));
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
		if (err)
			return err;
	}
	return 0;
}

static int claim_allocs(struct th_store *store, const struct th_batch *batch)
{
	int err = 0;

	if (store->lost & TH_LOST_SPACE)
		return 0;
	for (size_t i = 0; i < batch->nallocs && !err; i++)
		err = th_space_claim(store->space, batch->allocs[i].run.addr, batch->allocs[i].run.blocks);
	return err;
}

/* Reads the header of the next transaction in the record.  *ret_end: where the transaction ends. */
static int read_header(struct replay *p, struct th_log_txn_disk *ret, const uint8_t **ret_end)
{
	const struct th_log_txn_disk *disk = take(p, sizeof(*disk));
	size_t left = (size_t)(p->end - p->at), size;

	if (!disk)
		return -EUCLEAN;
	memcpy(ret, disk, sizeof(*ret));
	size = th_get_le32(ret->size);
	if (size < sizeof(*ret) || size - sizeof(*ret) > left ||
	    th_get_le32(ret->allocs) > left / sizeof(struct th_log_alloc_disk))
		return -EUCLEAN;
	*ret_end = p->at + size - sizeof(*ret);
	return 0;
}

/* Reads the rest of a transaction and applies it. */
static int apply_txn(struct replay *p, struct th_batch *batch, struct th_memtable *memtable,
		     const struct th_log_txn_disk *header, const uint8_t *end)
{
	int err = read_runs(p, &batch->drops, th_get_le32(header->drops));

	if (!err)
		err = read_runs(p, &batch->shares, th_get_le32(header->shares));
	if (!err)
		err = read_messages(p, memtable, th_get_le32(header->messages));
	if (!err && p->at != end)
		err = -EUCLEAN;
	if (!err)
		err = claim_allocs(p->store, batch);
	return err ? err : th_apply(p->store, batch, th_get_le64(header->seq));
}

/* Is data of the transaction missing on the disk? */
static bool data_is_missing(struct replay *p, const struct th_batch *batch)
{
	for (size_t i = 0; i < batch->nallocs; i++)
		if (batch->allocs[i].written && !data_is_there(p->store, &batch->allocs[i]))
			return true;
	return false;
}

/* Replays one transaction, unless the checkpoint has it.  `apply` false: only checks its data.  Returns 0, 1 if data is
 * missing, or -errno. */
static int replay_txn(struct replay *p, bool apply)
{
	struct th_memtable memtable = { 0 };
	struct th_batch batch = { .memtable = &memtable };
	struct th_log_txn_disk header;
	struct th_alloc *allocs;
	const uint8_t *end;
	int ret = read_header(p, &header, &end);

	if (ret)
		return ret;
	if (th_get_le64(header.seq) <= p->store->super.sequence) {
		p->at = end;
		return 0;
	}
	batch.nallocs = th_get_le32(header.allocs);
	allocs = calloc(batch.nallocs + 1, sizeof(*allocs));
	if (!allocs)
		return -ENOMEM;
	batch.allocs = allocs;
	ret = read_allocs(p, allocs, th_get_le32(header.allocs));
	if (!ret && apply) {
		ret = apply_txn(p, &batch, &memtable, &header, end);
	} else if (!ret) {
		ret = data_is_missing(p, &batch) ? 1 : 0;
		p->at = end;
	}
	free(allocs);
	th_drops_release(&batch.drops);
	th_drops_release(&batch.shares);
	th_memtable_release(&memtable);
	return ret;
}

/* Replays a record.  Returns 1 if it is the last one and its data is missing: the log ends before it. */
static int replay_record(const void *payload, size_t size, bool last, void *arg)
{
	struct replay *p = arg;
	int ret = 0;

	p->end = (const uint8_t *)payload + size;
	for (p->at = payload; last && p->at < p->end && !ret;)
		ret = replay_txn(p, false);
	for (p->at = payload; p->at < p->end && !ret;)
		ret = replay_txn(p, true);
	return ret;
}

int th_log_replay_store(struct th_store *store)
{
	struct replay p = { .store = store };
	struct th_log_end end;
	int err = th_log_replay(store->disk, th_super_log(&store->super), th_log_identity(&store->super),
				store->super.log_tail, replay_record, &p, &end);

	if (err) {
		th_store_report(store, "%s: the intent log cannot be replayed: %s", store->disk->name, strerror(-err));
		return err;
	}
	if (end.stranded) {
		store->log_stranded = end.stranded;
		th_store_report(store,
				"%s: intent log: the record at block %" PRIu64 " is damaged, and %" PRIu64
				" whole records after it cannot be replayed without it",
				store->disk->name, store->super.log_first + end.at.block, end.stranded);
	}
	/* A run may have a birth in a generation whose checkpoint did not complete: later births must not be lower. */
	if (store->live.gen <= p.newest_birth) {
		store->live.gen = p.newest_birth + 1;
		store->live.checkpoint_gen = p.newest_birth;
	}
	return 0;
}
