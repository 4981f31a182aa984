/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, opening and closing a store, and the disks and calls that are refused. */
#include "tests/tree/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tree/state/state.h"

static struct th_disk *memory_disk(uint64_t blocks)
{
	struct th_disk *disk;

	th_ok(th_disk_memory_new(blocks, &disk));
	return disk;
}

START_TEST(new_store_is_empty)
{
	struct th_fixture fixture;
	struct th_model *model = th_model_new();
	struct th_store_info info;

	th_fixture_init(&fixture, 16, NULL);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_get(th_view_live(fixture.store), model, th_slice_of(""));
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.block_size, TH_BLOCK_SIZE);
	ck_assert_uint_eq(info.blocks, TH_IMAGE_MIN / TH_BLOCK_SIZE);
	ck_assert_uint_gt(info.blocks_free, info.blocks / 2);
	ck_assert_uint_eq(info.snapshots, 0);
	ck_assert(!info.read_only);
	th_verify_check(fixture.store, NULL);
	th_fixture_reopen(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(format_refuses_small_disks_and_existing_stores)
{
	struct th_format_options options = { .label = "first" };
	struct th_disk *small = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE - 1);
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE);
	struct th_store *store;
	struct th_store_info info;

	th_expect(th_store_format(small, NULL), -EINVAL);
	th_disk_close(small);
	th_ok(th_store_format(disk, &options));
	options.label = "second";
	th_expect(th_store_format(disk, &options), -EEXIST);
	options.force = true;
	th_ok(th_store_format(disk, &options));
	th_ok(th_store_open(disk, NULL, &store));
	th_store_info(store, &info);
	ck_assert_str_eq(info.label, "second");
	th_ok(th_store_close(store));
}
END_TEST

/* --- the heartbeat --- */

static struct th_store_options quiet = { .keep_disk = true, .heartbeat_ms = 20 };

/* Starts the heartbeat of another machine, as if it had the disk, too. */
static struct th_heartbeat *other_machine(struct th_disk *disk)
{
	struct th_heartbeat_host host = { .host = 1, .boot = 2, .pid = 3, .started = 4, .name = "other" };
	struct th_heartbeat *heartbeat;

	th_ok(th_heartbeat_start(disk, &host, 20, &heartbeat));
	return heartbeat;
}

START_TEST(store_of_another_machine_is_refused)
{
	struct th_format_options format = { .force = true };
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE);
	struct th_heartbeat *other;
	struct th_store *store;

	th_ok(th_store_format(disk, NULL));
	other = other_machine(disk);
	th_expect(th_store_open(disk, &quiet, &store), -EADDRINUSE);
	quiet.heartbeat_ms = TH_HEARTBEAT_OFF; /* it looks all the same */
	th_expect(th_store_open(disk, &quiet, &store), -EADDRINUSE);
	th_expect(th_store_format(disk, &format), -EADDRINUSE);
	th_ok(th_store_open(disk, &(struct th_store_options){ .keep_disk = true, .read_only = true }, &store));
	th_ok(th_store_close(store));
	th_heartbeat_stop(other, false); /* as if it had crashed */
	th_ok(th_store_open(disk, &quiet, &store));
	th_ok(th_store_close(store));
	th_disk_close(disk);
}
END_TEST

/* The tests have no second machine that waits: here the block changes at once, as after a long pause. */
START_TEST(store_that_lost_its_disk_writes_no_more)
{
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE), *lent = th_disk_lend(disk);
	struct th_heartbeat *other;
	struct th_store *store;
	struct th_txn *txn;
	uint64_t writes;

	th_ok(th_store_format(disk, NULL));
	quiet.heartbeat_ms = 20;
	th_ok(th_store_open(lent, &quiet, &store));
	th_ok(th_txn_begin(store, &txn));
	th_ok(th_txn_put(txn, th_slice_of("key"), th_slice_of("value")));
	th_ok(th_txn_commit(txn));
	th_ok(th_heartbeat_erase(disk));
	other = other_machine(disk);
	while (!th_heartbeat_is_lost(store->heartbeat))
		usleep(1000);
	writes = __atomic_load_n(&lent->writes, __ATOMIC_RELAXED);
	th_expect(th_store_sync(store), -EROFS);
	th_expect(th_txn_begin(store, &txn), -EROFS);
	ck_assert_int_lt(th_store_close(store), 0);
	ck_assert_uint_eq(lent->writes, writes);
	th_heartbeat_stop(other, true);
	th_disk_close(lent);
	th_disk_close(disk);
}
END_TEST

START_TEST(heartbeat_is_for_disks_that_may_be_shared)
{
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE);
	struct th_store *store;

	th_ok(th_store_format(disk, NULL));
	quiet.heartbeat_ms = 0;
	th_ok(th_store_open(disk, &quiet, &store));
	ck_assert_ptr_null(store->heartbeat);
	th_ok(th_store_close(store));
	disk->shared = true;
	th_ok(th_store_open(disk, &quiet, &store));
	ck_assert_ptr_nonnull(store->heartbeat);
	th_ok(th_store_close(store));
	ck_assert_ptr_null(disk->guard);
	quiet.heartbeat_ms = TH_HEARTBEAT_OFF;
	th_ok(th_store_open(disk, &quiet, &store));
	ck_assert_ptr_null(store->heartbeat);
	th_ok(th_store_close(store));
	th_disk_close(disk);
}
END_TEST

START_TEST(format_erases_the_old_store)
{
	struct th_format_options options = { .force = true };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_snapshot snapshot;
	struct th_disk *lent;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_snapshot_create(fixture.store, "snapshot", &snapshot));
	th_fixture_put(&fixture, "key", "value in the log");
	th_ok(th_store_sync(fixture.store));
	th_fixture_close(&fixture);
	lent = th_disk_lend(fixture.disk);
	th_ok(th_store_format(lent, &options));
	th_disk_close(lent);
	th_fixture_open(&fixture);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_expect(th_snapshot_find(fixture.store, "snapshot", &snapshot), -ENOENT);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(content_survives_reopening)
{
	struct th_store_info before, after;
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	char label[64];

	th_fixture_init(&fixture, 16, NULL);
	for (int i = 0; i < 10; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key %d", i);
		th_fixture_put(&fixture, key, "value");
		th_model_put(model, th_slice_of(key), th_slice_of("value"));
		th_store_info(fixture.store, &before);
		snprintf(label, sizeof(label), "%s", before.label ? before.label : "");
		th_fixture_reopen(&fixture);
		th_store_info(fixture.store, &after);
		ck_assert_mem_eq(before.uuid, after.uuid, sizeof(before.uuid));
		ck_assert_str_eq(after.label ? after.label : "", label);
		ck_assert_uint_gt(after.generation, before.generation);
		ck_assert_uint_ge(after.sequence, before.sequence);
		ck_assert_uint_eq(after.created_ns, before.created_ns);
		th_verify_scan(th_view_live(fixture.store), model, NULL);
	}
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

static void swallow(void *arg, const char *line)
{
	(void)line;
	++*(unsigned *)arg;
}

START_TEST(open_refuses_disks_without_a_store)
{
	unsigned lines = 0;
	struct th_store_options options = { .report = swallow, .arg = &lines };
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE);
	struct th_store *store = NULL;
	void *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
	memset(block, 0x5a, TH_BLOCK_SIZE);
	for (uint64_t addr = 0; addr < 16; addr++)
		th_ok(th_disk_write(disk, addr, 1, block));
	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
	ck_assert_ptr_null(store);
	free(block);
	th_disk_close(disk); /* an error leaves it to the caller */
	disk = memory_disk(1);
	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
	th_disk_close(disk);
}
END_TEST

/* Nothing that the store's options name may be called by a disk that outlives it. */
START_TEST(a_kept_disk_is_open_and_without_the_options_of_the_store)
{
	unsigned lines = 0;
	struct th_store_options options = { .keep_disk = true, .report = swallow, .arg = &lines };
	struct th_disk *disk = memory_disk(TH_IMAGE_MIN / TH_BLOCK_SIZE);
	struct th_store *store;

	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
	ck_assert_ptr_null(disk->report);
	ck_assert_ptr_null(disk->report_arg);
	th_ok(th_store_format(disk, NULL));
	for (int i = 0; i < 2; i++) {
		th_ok(th_store_open(disk, &options, &store));
		ck_assert_ptr_eq(disk->report_arg, &lines);
		th_ok(th_store_close(store));
		ck_assert_ptr_null(disk->report);
		ck_assert_ptr_null(disk->report_arg);
	}
	th_disk_close(disk);
}
END_TEST

/* Copies an image to a disk of another size. */
static struct th_disk *resized(struct th_disk *from, uint64_t blocks)
{
	struct th_disk *disk = memory_disk(blocks);
	void *block = th_disk_buffer(TH_BLOCK_SIZE);

	for (uint64_t addr = 0; addr < blocks && addr < from->blocks; addr++) {
		th_ok(th_disk_read(from, addr, 1, block));
		th_ok(th_disk_write(disk, addr, 1, block));
	}
	free(block);
	return disk;
}

START_TEST(open_refuses_a_shortened_image)
{
	unsigned lines = 0;
	struct th_store_options options = { .report = swallow, .arg = &lines };
	struct th_fixture fixture;
	struct th_store *store;
	struct th_disk *disk;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "key", "value");
	th_fixture_close(&fixture);
	disk = resized(fixture.disk, fixture.disk->blocks - 1);
	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
	th_disk_close(disk);
	disk = resized(fixture.disk, fixture.disk->blocks);
	th_ok(th_store_open(disk, &options, &store));
	th_ok(th_store_close(store));
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(read_only_store_refuses_writes)
{
	struct th_model *model = th_model_new();
	struct th_snapshot snapshot;
	struct th_fixture fixture;
	struct th_store_info info;
	struct th_view *view;
	struct th_txn *txn;
	uint64_t events;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "key", "value");
	th_model_put(model, th_slice_of("key"), th_slice_of("value"));
	th_ok(th_snapshot_create(fixture.store, "snapshot", &snapshot));
	fixture.options.read_only = true;
	th_fixture_reopen(&fixture);
	events = th_disk_fault_events(fixture.disk);
	th_store_info(fixture.store, &info);
	ck_assert(info.read_only);
	th_expect(th_txn_begin(fixture.store, &txn), -EROFS);
	th_expect(th_snapshot_create(fixture.store, "other", &snapshot), -EROFS);
	th_expect(th_snapshot_delete(fixture.store, "snapshot"), -EROFS);
	th_expect(th_snapshot_rename(fixture.store, "snapshot", "other"), -EROFS);
	th_verify_scan(th_view_live(fixture.store), model, NULL);
	th_ok(th_snapshot_find(fixture.store, "snapshot", &snapshot));
	th_ok(th_view_snapshot(fixture.store, snapshot.id, &view));
	th_verify_scan(view, model, NULL);
	th_view_close(view);
	th_verify_check(fixture.store, NULL);
	th_fixture_close(&fixture);
	ck_assert_uint_eq(th_disk_fault_events(fixture.disk), events);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(read_only_replay_writes_nothing)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_disk *image;
	uint64_t events;

	th_fixture_init(&fixture, 16, NULL);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_store_checkpoint(fixture.store));
	th_fixture_put(&fixture, "other", "logged");
	th_ok(th_store_sync(fixture.store));
	th_model_put(model, th_slice_of("key"), th_slice_of("value"));
	th_model_put(model, th_slice_of("other"), th_slice_of("logged"));
	th_ok(th_disk_fault_crash_image(fixture.disk, th_disk_fault_events(fixture.disk), 1, &image));
	th_fixture_adopt(&crashed, image, NULL);
	crashed.options.read_only = true;
	for (int i = 0; i < 2; i++) {
		th_fixture_open(&crashed);
		events = th_disk_fault_events(crashed.disk);
		th_verify_scan(th_view_live(crashed.store), model, NULL);
		th_fixture_close(&crashed);
		ck_assert_uint_eq(th_disk_fault_events(crashed.disk), events);
	}
	crashed.options.read_only = false;
	th_fixture_open(&crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(info_counts_operations)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
	struct th_store_info before, after;
	struct th_snapshot snapshot;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_store_info(fixture.store, &before);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_store_sync(fixture.store));
	th_ok(th_store_checkpoint(fixture.store));
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_snapshot_create(fixture.store, "snapshot", &snapshot));
	th_store_info(fixture.store, &after);
	ck_assert_uint_ge(after.checkpoints, before.checkpoints + 2);
	ck_assert_uint_ge(after.syncs, before.syncs + 1);
	ck_assert_uint_ge(after.merges, before.merges + 2);
	ck_assert_uint_gt(after.sequence, before.sequence);
	ck_assert_uint_eq(after.snapshots, 1);
	ck_assert_uint_eq(snapshot.generation, after.generation);
	ck_assert_uint_le(after.cache_used, after.cache_bytes);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		new_store_is_empty,
		format_refuses_small_disks_and_existing_stores,
		store_of_another_machine_is_refused,
		store_that_lost_its_disk_writes_no_more,
		heartbeat_is_for_disks_that_may_be_shared,
		format_erases_the_old_store,
		content_survives_reopening,
		a_kept_disk_is_open_and_without_the_options_of_the_store,
		open_refuses_disks_without_a_store,
		open_refuses_a_shortened_image,
		read_only_store_refuses_writes,
		read_only_replay_writes_nothing,
		info_counts_operations,
	};

	return th_tests_run("store", tests, sizeof(tests) / sizeof(tests[0]));
}
