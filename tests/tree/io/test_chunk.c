/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks: data outside the tree, shared, cut, kept by snapshots, after crashes, and on a full image. */
#include "tests/tree/extents.h"
#include "tree/chunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES 60
#define SNAPSHOTS_MAX 10

/* Compares every file of a view, and its data, with the model. */
static void view_read(struct th_store *store, struct th_view *view, const struct th_model *model)
{
	th_verify_scan(view, model, NULL);
	th_extents_verify(store, model);
}

/* --- random operations --- */

struct kept {
	struct th_snapshot info;
	struct th_model *model;
};

struct depot {
	struct th_fixture fixture;
	struct th_random random;
	struct th_model *live;
	struct kept kept[SNAPSHOTS_MAX];
	size_t nkept;
	uint64_t hint;
	unsigned named;
	uint8_t value[sizeof(struct th_extents)];
};

static struct th_slice pick_file(struct depot *depot, char *name)
{
	snprintf(name, 16, "file %u", th_random_below(&depot->random, FILES));
	return th_slice_of(name);
}

static void get_file(const struct th_model *model, struct th_slice key, struct th_extents *file)
{
	const struct th_model_entry *entry = th_model_get(model, key);

	file->count = 0;
	if (entry)
		th_extents_unpack(entry->value, file);
}

static void put_file(struct depot *depot, struct th_txn *txn, struct th_model *model, struct th_slice key,
		     const struct th_extents *file)
{
	struct th_slice value = { depot->value, th_extents_pack(file, depot->value) };

	if (!file->count) {
		th_ok(th_txn_delete(txn, key));
		th_model_delete(model, key);
		return;
	}
	th_ok(th_txn_put(txn, key, value));
	th_model_put(model, key, value);
}

static void drop_file(struct th_txn *txn, struct th_extents *file)
{
	while (file->count)
		th_ok(th_chunk_drop(txn, &file->extents[--file->count].run));
}

static void file_write(struct depot *depot, struct th_txn *txn, struct th_extents *file)
{
	static const uint32_t sizes[] = { 1, 2, 7, 64, TH_RUN_MAX };
	uint32_t blocks = sizes[th_random_below(&depot->random, 5)];

	if (file->count == TH_EXTENTS_MAX)
		drop_file(txn, file);
	th_ok(th_extent_write(txn, &depot->random, blocks, false, &depot->hint, &file->extents[file->count]));
	file->count++;
}

/* Keeps only a part of one extent, as an overwrite in a file does. */
static void file_slice(struct depot *depot, struct th_txn *txn, struct th_extents *file)
{
	struct th_extent *extent = &file->extents[th_random_below(&depot->random, file->count)];
	uint32_t from = th_random_below(&depot->random, extent->run.blocks);
	uint32_t to = th_random_between(&depot->random, from + 1, extent->run.blocks);
	struct th_run head = { extent->run.addr, extent->run.birth, from };
	struct th_run tail = { extent->run.addr + to, extent->run.birth, extent->run.blocks - to };

	if (head.blocks)
		th_ok(th_chunk_drop(txn, &head));
	if (tail.blocks)
		th_ok(th_chunk_drop(txn, &tail));
	th_extent_cut(extent, from, to);
}

/* Adds an extent of any file, of the live tree or of a snapshot, to this one. */
static void file_share(struct depot *depot, struct th_txn *txn, const struct th_model *model, struct th_extents *file)
{
	const struct th_model *source = model;
	struct th_extent *extent;
	struct th_extents other;
	char name[16];
	uint32_t from, to;

	if (depot->nkept && th_random_percent(&depot->random, 60))
		source = depot->kept[th_random_below(&depot->random, (uint32_t)depot->nkept)].model;
	get_file(source, pick_file(depot, name), &other);
	if (!other.count || file->count == TH_EXTENTS_MAX)
		return;
	extent = &other.extents[th_random_below(&depot->random, other.count)];
	from = th_random_below(&depot->random, extent->run.blocks);
	to = th_random_between(&depot->random, from + 1, extent->run.blocks);
	th_extent_cut(extent, from, to);
	th_ok(th_chunk_share(txn, &extent->run, &file->extents[file->count].run));
	ck_assert_uint_eq(file->extents[file->count].run.addr, extent->run.addr);
	ck_assert_uint_eq(file->extents[file->count].run.blocks, extent->run.blocks);
	memcpy(file->extents[file->count].checksums, extent->checksums, extent->run.blocks * sizeof(uint64_t));
	file->count++;
}

static void change_file(struct depot *depot, struct th_txn *txn, struct th_model *model)
{
	uint32_t what = th_random_below(&depot->random, 100);
	struct th_extents file;
	char name[16];
	struct th_slice key = pick_file(depot, name);

	get_file(model, key, &file);
	if (what < 40)
		file_write(depot, txn, &file);
	else if (what < 60 && file.count)
		file_slice(depot, txn, &file);
	else if (what < 85)
		file_share(depot, txn, model, &file);
	else
		drop_file(txn, &file);
	put_file(depot, txn, model, key, &file);
}

static void step_txn(struct depot *depot)
{
	struct th_model *model = th_model_copy(depot->live);
	unsigned count = th_random_between(&depot->random, 1, 8);
	struct th_txn *txn;

	th_ok(th_txn_begin(depot->fixture.store, &txn));
	while (count--)
		change_file(depot, txn, model);
	if (th_random_percent(&depot->random, 20)) {
		th_txn_rollback(txn);
		th_model_unref(model);
		return;
	}
	th_ok(th_txn_commit(txn));
	th_model_unref(depot->live);
	depot->live = model;
}

static void step_snapshot(struct depot *depot)
{
	struct kept *kept;
	char name[16];

	if (depot->nkept == SNAPSHOTS_MAX || (depot->nkept && th_random_percent(&depot->random, 40))) {
		kept = &depot->kept[th_random_below(&depot->random, (uint32_t)depot->nkept)];
		th_ok(th_snapshot_delete(depot->fixture.store, kept->info.name));
		th_model_unref(kept->model);
		*kept = depot->kept[--depot->nkept];
		return;
	}
	kept = &depot->kept[depot->nkept++];
	snprintf(name, sizeof(name), "kept %u", depot->named++);
	th_ok(th_snapshot_create(depot->fixture.store, name, &kept->info));
	kept->model = th_model_hold(depot->live);
}

static void depot_verify(struct depot *depot)
{
	struct th_view *view;

	view_read(depot->fixture.store, th_view_live(depot->fixture.store), depot->live);
	for (size_t i = 0; i < depot->nkept; i++) {
		th_ok(th_view_snapshot(depot->fixture.store, depot->kept[i].info.id, &view));
		view_read(depot->fixture.store, view, depot->kept[i].model);
		th_view_close(view);
	}
	th_ok(th_store_checkpoint(depot->fixture.store));
	th_verify_check(depot->fixture.store, &th_extents_check);
}

static void depot_crash(struct depot *depot)
{
	struct th_disk *image;
	struct th_fixture crashed;

	th_ok(th_store_sync(depot->fixture.store));
	th_ok(th_disk_fault_crash_image(depot->fixture.disk, th_disk_fault_events(depot->fixture.disk),
					th_random_next(&depot->random), &image));
	th_fixture_adopt(&crashed, image, &depot->fixture.options);
	th_fixture_release(&depot->fixture);
	depot->fixture = crashed;
	th_fixture_open(&depot->fixture);
	depot->hint = 0;
}

static void depot_step(struct depot *depot)
{
	uint32_t what = th_random_below(&depot->random, 100);

	if (what < 75)
		step_txn(depot);
	else if (what < 90)
		step_snapshot(depot);
	else if (what < 95)
		th_ok(th_store_sync(depot->fixture.store));
	else
		th_ok(th_store_checkpoint(depot->fixture.store));
}

static void empty_depot(struct depot *depot)
{
	const struct th_model_entry *entry;
	struct th_extents file;
	struct th_txn *txn;
	size_t at = 0;

	th_ok(th_txn_begin(depot->fixture.store, &txn));
	while ((entry = th_model_next(depot->live, &at))) {
		th_extents_unpack(entry->value, &file);
		drop_file(txn, &file);
		th_ok(th_txn_delete(txn, entry->key));
	}
	th_ok(th_txn_commit(txn));
	while (depot->nkept) {
		th_ok(th_snapshot_delete(depot->fixture.store, depot->kept[--depot->nkept].info.name));
		th_model_unref(depot->kept[depot->nkept].model);
	}
}

static uint64_t blocks_left(struct th_store *store)
{
	struct th_store_info info;

	for (int i = 0; i < 4; i++)
		th_ok(th_store_checkpoint(store));
	th_store_info(store, &info);
	return info.blocks_free + info.blocks_waiting;
}

static void one_depot(uint64_t seed, unsigned rounds, bool crashes)
{
	struct th_store_options options = { .cache_bytes = 1 << 20,
					    .checkpoint_interval_ms = seed % 2 ? 5 : 3600 * 1000 };
	struct depot *depot = calloc(1, sizeof(*depot));
	uint64_t before, after;

	ck_assert_ptr_nonnull(depot);
	depot->random.state = seed;
	depot->live = th_model_new();
	th_fixture_init(&depot->fixture, 512, &options);
	before = blocks_left(depot->fixture.store);
	while (rounds--) {
		for (int i = 0; i < 60; i++)
			depot_step(depot);
		depot_verify(depot);
		if (crashes)
			depot_crash(depot);
		else if (th_random_percent(&depot->random, 30))
			th_fixture_reopen(&depot->fixture);
		depot_verify(depot);
	}
	empty_depot(depot);
	after = blocks_left(depot->fixture.store);
	ck_assert_msg(after + 256 >= before, "%llu blocks were free at first, %llu are now", (unsigned long long)before,
		      (unsigned long long)after);
	th_verify_check(depot->fixture.store, &th_extents_check);
	th_model_unref(depot->live);
	th_fixture_release(&depot->fixture);
	free(depot);
}

START_TEST(random_files_match_the_model)
{
	uint64_t seed = th_test_seed("random_files_match_the_model");

	for (unsigned i = 0; i < th_test_rounds(2); i++)
		one_depot(seed + i, 5, false);
}
END_TEST

START_TEST(random_files_match_the_model_after_crashes)
{
	uint64_t seed = th_test_seed("random_files_match_the_model_after_crashes");

	for (unsigned i = 0; i < th_test_rounds(2); i++)
		one_depot(seed + i, 5, true);
}
END_TEST

/* --- single operations --- */

static void put_extent(struct th_txn *txn, const char *key, const struct th_extent *extent)
{
	struct th_extents file = { .count = 1, .extents = { *extent } };
	uint8_t space[sizeof(file)];

	th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ space, th_extents_pack(&file, space) }));
}

START_TEST(runs_are_checked_written_and_read)
{
	struct th_random random = { .state = 1 };
	struct th_fixture fixture;
	struct th_extent extent, gone;
	struct th_txn *txn;
	uint64_t hint = 0, wrong;
	void *buffer;

	th_fixture_init(&fixture, 16, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_chunk_alloc(txn, 0, false, &hint, &extent.run), -EINVAL);
	th_expect(th_chunk_alloc(txn, TH_RUN_MAX + 1, false, &hint, &extent.run), -EINVAL);
	th_ok(th_extent_write(txn, &random, 16, false, &hint, &extent));
	ck_assert_uint_eq(extent.run.blocks, 16); /* an empty image has room in one piece */
	th_extent_read(fixture.store, &extent, 0, 16); /* even before the commit */
	put_extent(txn, "file key", &extent);
	th_ok(th_txn_commit(txn));
	th_extent_read(fixture.store, &extent, 5, 3);
	th_fixture_reopen(&fixture);
	th_extent_read(fixture.store, &extent, 0, 16);
	wrong = extent.checksums[0] ^ 1;
	buffer = th_disk_buffer(TH_BLOCK_SIZE);
	th_expect(th_chunk_read(fixture.store, extent.run.addr, 1, &wrong, buffer), -EBADMSG);
	free(buffer);
	th_ok(th_txn_begin(fixture.store, &txn)); /* allocated, written and dropped in one transaction */
	th_ok(th_extent_write(txn, &random, 16, false, &hint, &gone));
	th_ok(th_chunk_drop(txn, &gone.run));
	th_ok(th_txn_commit(txn));
	th_ok(th_txn_begin(fixture.store, &txn)); /* rolled back */
	th_ok(th_extent_write(txn, &random, 16, false, &hint, &gone));
	th_txn_rollback(txn);
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(buffers_are_reused)
{
	struct th_fixture fixture;
	struct th_extent extent;
	struct th_txn *txn;
	uint64_t hint = 0;
	void *first = NULL;

	th_fixture_init(&fixture, 16, NULL);
	for (int i = 0; i < 3; i++) {
		uint8_t *buffer = th_chunk_buffer(fixture.store, TH_RUN_MAX);

		ck_assert_ptr_nonnull(buffer);
		ck_assert(!first || buffer == first);
		first = buffer;
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_chunk_alloc(txn, TH_RUN_MAX, false, &hint, &extent.run));
		memset(buffer, i, TH_RUN_MAX * TH_BLOCK_SIZE);
		for (uint32_t j = 0; j < extent.run.blocks; j++)
			extent.checksums[j] = th_chunk_checksum(buffer + j * TH_BLOCK_SIZE);
		th_ok(th_chunk_write(txn, &extent.run, buffer, extent.checksums));
		put_extent(txn, "file key", &extent);
		th_ok(th_txn_commit(txn));
		th_ok(th_store_sync(fixture.store));
		th_extent_read(fixture.store, &extent, 0, extent.run.blocks);
	}
	free(th_chunk_buffer(fixture.store, 1));
	th_fixture_release(&fixture);
}
END_TEST

/* A run that only a snapshot refers to is shared back into the live tree; then the snapshot is deleted. */
START_TEST(a_run_can_be_shared_from_a_snapshot)
{
	struct th_random random = { .state = 2 };
	struct th_snapshot snapshot;
	struct th_fixture fixture;
	struct th_extent extent, second;
	struct th_txn *txn;
	uint64_t hint = 0;

	th_fixture_init(&fixture, 16, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_extent_write(txn, &random, 32, false, &hint, &extent));
	put_extent(txn, "file first", &extent);
	th_ok(th_txn_commit(txn));
	th_ok(th_snapshot_create(fixture.store, "snapshot", &snapshot));
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_chunk_drop(txn, &extent.run));
	th_ok(th_txn_delete(txn, th_slice_of("file first")));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	second = extent;
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_chunk_share(txn, &extent.run, &second.run));
	put_extent(txn, "file second", &second);
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_reopen(&fixture);
	th_ok(th_snapshot_delete(fixture.store, "snapshot"));
	for (int i = 0; i < 4; i++) { /* freed blocks are reused */
		th_ok(th_store_checkpoint(fixture.store));
		th_ok(th_txn_begin(fixture.store, &txn));
		while (th_extent_write(txn, &random, 64, false, &hint, &extent) == 0)
			;
		th_txn_rollback(txn);
	}
	th_extent_read(fixture.store, &second, 0, 32);
	th_verify_check(fixture.store, &th_extents_check);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_chunk_drop(txn, &second.run));
	th_ok(th_txn_delete(txn, th_slice_of("file second")));
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(shared_blocks_are_freed_with_the_last_reference)
{
	struct th_random random = { .state = 3 };
	struct th_extent extents[20];
	struct th_fixture fixture;
	struct th_store_info info;
	struct th_txn *txn;
	uint64_t hint = 0, before;
	char key[24];

	th_fixture_init(&fixture, 16, NULL);
	before = blocks_left(fixture.store);
	for (int i = 0; i < 20; i++) {
		th_ok(th_txn_begin(fixture.store, &txn));
		if (i) {
			extents[i] = extents[0];
			th_ok(th_chunk_share(txn, &extents[i - 1].run, &extents[i].run));
		} else {
			th_ok(th_extent_write(txn, &random, 100, false, &hint, &extents[0]));
		}
		snprintf(key, sizeof(key), "file %02d", i);
		put_extent(txn, key, &extents[i]);
		th_ok(th_txn_commit(txn));
	}
	th_ok(th_store_checkpoint(fixture.store)); /* shares are counted then */
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.shared_blocks, extents[0].run.blocks);
	th_fixture_reopen(&fixture);
	for (int i = 0; i < 20; i++) {
		th_extent_read(fixture.store, &extents[i], 0, extents[i].run.blocks);
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_chunk_drop(txn, &extents[i].run));
		snprintf(key, sizeof(key), "file %02d", i);
		th_ok(th_txn_delete(txn, th_slice_of(key)));
		th_ok(th_txn_commit(txn));
		th_ok(th_store_checkpoint(fixture.store));
		th_verify_check(fixture.store, &th_extents_check);
	}
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.shared_blocks, 0);
	ck_assert_uint_ge(blocks_left(fixture.store) + 64, before);
	th_fixture_release(&fixture);
}
END_TEST

/* --- a full image --- */

START_TEST(reserved_blocks_can_be_allocated)
{
	struct th_random random = { .state = 4 };
	struct th_fixture fixture;
	struct th_store_info info;
	struct th_extent extent;
	struct th_txn *txn;
	uint32_t reserved = 0;
	uint64_t hint = 0;

	th_fixture_init(&fixture, 16, NULL);
	while (th_chunk_reserve(fixture.store, 10) == 0)
		reserved += 10;
	ck_assert_uint_gt(reserved, 2000); /* most of the image's 4096 blocks */
	th_expect(th_chunk_reserve(fixture.store, 10), -ENOSPC);
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.blocks_reserved, reserved);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_expect(th_chunk_alloc(txn, 64, false, &hint, &extent.run) == 0 && extent.run.blocks > 10, 0);
	th_ok(th_extent_write(txn, &random, 50, true, &hint, &extent)); /* reserved blocks can be allocated */
	put_extent(txn, "file key", &extent);
	th_txn_rollback(txn);
	th_store_info(fixture.store, &info);
	th_chunk_unreserve(fixture.store, (uint32_t)info.blocks_reserved);
	th_ok(th_chunk_reserve(fixture.store, reserved - 100));
	th_chunk_unreserve(fixture.store, reserved - 100);
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.blocks_reserved, 0);
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
}
END_TEST

/* Adds one file, of one run of at most `blocks` blocks. */
static int fill_some(struct th_fixture *fixture, struct th_random *random, struct th_model *model, unsigned number,
		     uint32_t blocks)
{
	struct th_extents file = { .count = 1 };
	uint8_t space[sizeof(file)];
	struct th_slice value = { space, 0 };
	struct th_txn *txn;
	uint64_t hint = 0;
	char key[16];
	int err = th_txn_begin(fixture->store, &txn);

	if (err)
		return err;
	snprintf(key, sizeof(key), "file %05u", number);
	err = th_extent_write(txn, random, blocks, false, &hint, &file.extents[0]);
	if (!err) {
		value.size = th_extents_pack(&file, space);
		err = th_txn_put(txn, th_slice_of(key), value);
	}
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	err = th_txn_commit(txn);
	if (!err)
		th_model_put(model, th_slice_of(key), value);
	return err;
}

/* Adds files until there is no space.  Returns their number. */
static unsigned fill_image(struct th_fixture *fixture, struct th_random *random, struct th_model *model)
{
	unsigned count = 0;
	int err;

	while (!(err = fill_some(fixture, random, model, count, 8)))
		count++;
	th_expect(err, -ENOSPC);
	return count;
}

static void empty_image(struct th_fixture *fixture, struct th_model *model, unsigned keep)
{
	const struct th_model_entry *entry;
	size_t at = 0;

	while ((entry = th_model_next(model, &at))) {
		struct th_extents file;
		struct th_txn *txn;

		if (keep && at % keep == 0)
			continue;
		th_extents_unpack(entry->value, &file);
		th_ok(th_txn_begin(fixture->store, &txn));
		th_ok(th_chunk_drop(txn, &file.extents[0].run));
		th_ok(th_txn_delete(txn, entry->key));
		th_ok(th_txn_commit(txn));
		th_model_delete(model, entry->key);
		at--;
	}
}

START_TEST(a_full_image_can_be_emptied_and_filled_again)
{
	struct th_random random = { .state = 5 };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	uint64_t before;

	th_fixture_init(&fixture, 16, NULL);
	before = blocks_left(fixture.store);
	for (int round = 0; round < 4; round++) {
		unsigned count = fill_image(&fixture, &random, model);

		ck_assert_uint_gt(count, round ? 50 : 200);
		view_read(fixture.store, th_view_live(fixture.store), model);
		th_ok(th_store_checkpoint(fixture.store));
		th_verify_check(fixture.store, &th_extents_check);
		th_fixture_reopen(&fixture);
		view_read(fixture.store, th_view_live(fixture.store), model);
		empty_image(&fixture, model, round % 2 ? 5 : 0);
		blocks_left(fixture.store);
		view_read(fixture.store, th_view_live(fixture.store), model);
		empty_image(&fixture, model, 0);
		ck_assert_uint_ge(blocks_left(fixture.store) + 64, before);
		th_verify_check(fixture.store, &th_extents_check);
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* One checkpoint frees blocks, the next changes nothing, and then the blocks are reused: a log that names them must be
 * replayed. */
START_TEST(reused_blocks_are_replayed)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
	struct th_random random = { .state = 7 };
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_snapshot snapshot;
	struct th_disk *image;

	th_fixture_init(&fixture, 16, &options);
	th_ok(th_snapshot_create(fixture.store, "0", &snapshot));
	for (unsigned round = 0; round < 8; round++) {
		char from[16], to[16];

		fill_image(&fixture, &random, model);
		th_ok(th_store_checkpoint(fixture.store));
		empty_image(&fixture, model, 0);
		th_ok(th_store_checkpoint(fixture.store));
		for (unsigned i = 0; i < round % 4; i++) {
			snprintf(from, sizeof(from), "%u", i);
			snprintf(to, sizeof(to), "%u", i + 1);
			th_ok(th_snapshot_rename(fixture.store, from, to));
		}
		for (unsigned i = 0; i < 20; i++)
			fill_some(&fixture, &random, model, i, 100);
		th_ok(th_store_sync(fixture.store));
		th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), round, &image));
		th_fixture_adopt(&crashed, image, &options);
		th_fixture_open(&crashed);
		view_read(crashed.store, th_view_live(crashed.store), model);
		th_ok(th_store_checkpoint(crashed.store));
		th_verify_check(crashed.store, &th_extents_check);
		th_fixture_release(&crashed);
		empty_image(&fixture, model, 0);
		snprintf(from, sizeof(from), "%u", round % 4);
		if (round % 4)
			th_ok(th_snapshot_rename(fixture.store, from, "0"));
		blocks_left(fixture.store);
	}
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* When snapshots hold all space, overwriting fails until one is deleted. */
START_TEST(deleting_a_snapshot_makes_room)
{
	struct th_random random = { .state = 6 };
	struct th_model *model = th_model_new(), *first;
	struct th_snapshot snapshot;
	struct th_fixture fixture;
	struct th_view *view;

	th_fixture_init(&fixture, 16, NULL);
	fill_image(&fixture, &random, model);
	first = th_model_copy(model);
	th_ok(th_snapshot_create(fixture.store, "full", &snapshot));
	empty_image(&fixture, model, 0);
	ck_assert_uint_lt(fill_image(&fixture, &random, model), 100);
	th_ok(th_view_snapshot(fixture.store, snapshot.id, &view));
	view_read(fixture.store, view, first);
	th_view_close(view);
	empty_image(&fixture, model, 0);
	th_ok(th_snapshot_delete(fixture.store, "full"));
	blocks_left(fixture.store);
	ck_assert_uint_gt(fill_image(&fixture, &random, model), 200);
	view_read(fixture.store, th_view_live(fixture.store), model);
	th_ok(th_store_checkpoint(fixture.store));
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
	th_model_unref(model);
	th_model_unref(first);
}
END_TEST

/* When keys take all space, refused transactions leave no trace, and deleting works. */
START_TEST(a_refused_put_leaves_no_trace)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;
	uint8_t value[2000];
	unsigned count = 0;
	uint64_t before;
	int err = 0;
	char key[16];

	th_fixture_init(&fixture, 16, NULL);
	before = blocks_left(fixture.store);
	while (!err) {
		th_ok(th_txn_begin(fixture.store, &txn));
		snprintf(key, sizeof(key), "%06u", count * 7919 % 1000000);
		th_value_make(value, sizeof(value), th_slice_of(key), 0);
		err = th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) });
		if (err)
			th_txn_rollback(txn);
		else
			err = th_txn_commit(txn);
		if (!err)
			th_model_put(model, th_slice_of(key), (struct th_slice){ value, sizeof(value) });
		ck_assert_uint_lt(count++, 20000);
	}
	th_expect(err, -ENOSPC);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_ok(th_store_sync(fixture.store));
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_delete_range(txn, (struct th_range){ th_slice_of(""), th_slice_of("~") }));
	th_ok(th_txn_commit(txn));
	ck_assert_uint_ge(blocks_left(fixture.store) + 256, before);
	th_verify_check(fixture.store, &th_extents_check);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { runs_are_checked_written_and_read,
				       buffers_are_reused,
				       a_run_can_be_shared_from_a_snapshot,
				       shared_blocks_are_freed_with_the_last_reference,
				       reserved_blocks_can_be_allocated,
				       a_full_image_can_be_emptied_and_filled_again,
				       reused_blocks_are_replayed,
				       deleting_a_snapshot_makes_room,
				       a_refused_put_leaves_no_trace,
				       random_files_match_the_model,
				       random_files_match_the_model_after_crashes };

	return th_tests_run("chunk", tests, sizeof(tests) / sizeof(tests[0]));
}
