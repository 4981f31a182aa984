/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/extents.h"

#include <stdlib.h>

#include "tree/chunk.h"

size_t th_extents_pack(const struct th_extents *extents, uint8_t *to)
{
	size_t size = 0;

	for (unsigned i = 0; i < extents->count; i++) {
		const struct th_extent *extent = &extents->extents[i];
		size_t checksums = extent->run.blocks * sizeof(uint64_t);

		memcpy(to + size, &extent->run, sizeof(extent->run));
		memcpy(to + size + sizeof(extent->run), extent->checksums, checksums);
		size += sizeof(extent->run) + checksums;
	}
	return size;
}

void th_extents_unpack(struct th_slice value, struct th_extents *ret)
{
	const uint8_t *bytes = value.data;
	size_t at = 0;

	ret->count = 0;
	while (at < value.size) {
		struct th_extent *extent = &ret->extents[ret->count++];

		memcpy(&extent->run, bytes + at, sizeof(extent->run));
		at += sizeof(extent->run);
		memcpy(extent->checksums, bytes + at, extent->run.blocks * sizeof(uint64_t));
		at += extent->run.blocks * sizeof(uint64_t);
	}
}

int th_extent_write(struct th_txn *txn, struct th_random *random, uint32_t blocks, bool reserved, uint64_t *hint,
		    struct th_extent *ret)
{
	uint8_t *buffer;
	int err = th_chunk_alloc(txn, blocks, reserved, hint, &ret->run);

	if (err)
		return err;
	th_true(ret->run.blocks >= 1 && ret->run.blocks <= blocks);
	buffer = th_disk_buffer((size_t)ret->run.blocks * TH_BLOCK_SIZE);
	th_random_fill(random, buffer, (size_t)ret->run.blocks * TH_BLOCK_SIZE);
	for (uint32_t i = 0; i < ret->run.blocks; i++)
		ret->checksums[i] = th_chunk_checksum(buffer + (size_t)i * TH_BLOCK_SIZE);
	return th_chunk_write(txn, &ret->run, buffer, ret->checksums);
}

void th_extent_read(struct th_store *store, const struct th_extent *extent, uint32_t skip, uint32_t blocks)
{
	uint8_t *buffer = th_disk_buffer((size_t)blocks * TH_BLOCK_SIZE);

	th_ok(th_chunk_read(store, extent->run.addr + skip, blocks, extent->checksums + skip, buffer));
	for (uint32_t i = 0; i < blocks; i++)
		th_true(th_chunk_checksum(buffer + (size_t)i * TH_BLOCK_SIZE) == extent->checksums[skip + i]);
	free(buffer);
}

void th_extent_cut(struct th_extent *extent, uint32_t from, uint32_t to)
{
	memmove(extent->checksums, extent->checksums + from, (to - from) * sizeof(uint64_t));
	extent->run.addr += from;
	extent->run.blocks = to - from;
}

void th_extents_read(struct th_store *store, struct th_slice value)
{
	struct th_extents extents;

	th_extents_unpack(value, &extents);
	for (unsigned i = 0; i < extents.count; i++)
		th_extent_read(store, &extents.extents[i], 0, extents.extents[i].run.blocks);
}

static bool has_runs(struct th_slice key)
{
	return key.size > 4 && memcmp(key.data, "file", 4) == 0;
}

int th_extents_runs(struct th_slice key, struct th_slice value, int (*each)(const struct th_run *run, void *arg),
		    void *arg)
{
	struct th_extents extents;
	int err = 0;

	if (!has_runs(key))
		return 0;
	th_extents_unpack(value, &extents);
	for (unsigned i = 0; i < extents.count && !err; i++)
		err = each(&extents.extents[i].run, arg);
	return err;
}

const struct th_check_options th_extents_check = { .runs = th_extents_runs, .read_data = true };

void th_extents_verify(struct th_store *store, const struct th_model *model)
{
	const struct th_model_entry *entry;
	size_t at = 0;

	while ((entry = th_model_next(model, &at)))
		if (has_runs(entry->key))
			th_extents_read(store, entry->value);
}

void th_extents_commit(struct th_fixture *fixture)
{
	th_ok(th_store_checkpoint(fixture->store));
	th_verify_check(fixture->store, &th_extents_check);
}

void th_extents_drop(struct th_fixture *fixture, const char *key)
{
	struct th_extents file;
	struct th_value value;
	struct th_txn *txn;

	th_ok(th_get(th_view_live(fixture->store), th_slice_of(key), &value));
	th_extents_unpack((struct th_slice){ value.data, value.size }, &file);
	th_value_release(&value);
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < file.count; i++)
		th_ok(th_chunk_drop(txn, &file.extents[i].run));
	th_ok(th_txn_delete(txn, th_slice_of(key)));
	th_ok(th_txn_commit(txn));
}

void th_extents_put(struct th_txn *txn, struct th_random *random, const char *key)
{
	struct th_extents file = { .count = 1 };
	uint8_t value[sizeof(file)];
	uint64_t hint = 0;

	th_ok(th_extent_write(txn, random, 8, false, &hint, &file.extents[0]));
	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, th_extents_pack(&file, value) }));
}

void th_extents_put_stray(struct th_fixture *fixture, struct th_random *random, const char *key, const char *name)
{
	struct th_txn *txn;

	th_ok(th_txn_begin(fixture->store, &txn));
	th_extents_put(txn, random, key);
	th_ok(th_snapshot_create(fixture->store, name, NULL));
	th_ok(th_txn_commit(txn));
}
