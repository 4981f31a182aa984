/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, opening, closing, and what the door refuses. */
#include "tests/tree/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree/checkpoint/throttle.h"
#include "tree/node/node_heap.h"
#include "tree/state/state.h"

static struct th_disk *memory_disk(uint64_t blocks)
{
	struct th_disk *disk;

	th_ok(th_disk_memory_new(blocks, &disk));
	return disk;
}

START_TEST(store_empty)
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

START_TEST(store_format_refuses)
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

START_TEST(store_format_forgets)
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

/* Content survives closing; identity and counters too. */
START_TEST(store_reopen)
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

START_TEST(store_open_refuses)
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
	th_disk_close(disk); /* still ours */
	disk = memory_disk(1);
	ck_assert_int_lt(th_store_open(disk, &options, &store), 0);
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

START_TEST(store_open_short_image)
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

START_TEST(store_read_only)
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

/* A log that needs replay is replayed in memory only. */
START_TEST(store_read_only_replay)
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

START_TEST(store_counters)
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

/* before_checkpoint is called without locks, and what it merges is in the commit. */
struct hook {
	struct th_fixture fixture;
	_Atomic unsigned calls;
};

static int merge_one(void *arg)
{
	struct hook *hook = arg;
	struct th_txn *txn;
	char key[16];
	int err;

	if (!hook->fixture.store)
		return 0;
	err = th_txn_begin(hook->fixture.store, &txn);
	if (err)
		return err;
	snprintf(key, sizeof(key), "hook %u", hook->calls++);
	err = th_txn_put(txn, th_slice_of(key), th_slice_of("x"));
	if (err) {
		th_txn_rollback(txn);
		return err;
	}
	return th_txn_commit(txn);
}

START_TEST(store_before_commit)
{
	struct hook hook = { 0 };
	struct th_store_options options = { .before_checkpoint = merge_one,
					    .arg = &hook,
					    .checkpoint_interval_ms = 3600 * 1000 };
	struct th_model *model = th_model_new();
	struct th_snapshot snapshot;
	struct th_view *view;

	th_fixture_init(&hook.fixture, 16, &options);
	th_ok(th_snapshot_create(hook.fixture.store, "snapshot", &snapshot));
	ck_assert_uint_ge(hook.calls, 1);
	for (unsigned i = 0; i < hook.calls; i++) {
		char key[16];

		snprintf(key, sizeof(key), "hook %u", i);
		th_model_put(model, th_slice_of(key), th_slice_of("x"));
	}
	th_ok(th_view_snapshot(hook.fixture.store, snapshot.id, &view));
	th_verify_scan(view, model, NULL);
	th_view_close(view);
	th_ok(th_store_checkpoint(hook.fixture.store));
	ck_assert_uint_ge(hook.calls, 2);
	th_fixture_release(&hook.fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(store_background_commit)
{
	struct th_store_options options = { .checkpoint_interval_ms = 5 };
	struct th_store_info before, now;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_store_info(fixture.store, &before);
	th_fixture_put(&fixture, "key", "value");
	do
		th_store_info(fixture.store, &now);
	while (now.generation == before.generation);
	th_fixture_release(&fixture);
}
END_TEST

#define BUDGET ((size_t)16 << 20)
#define BEYOND ((size_t)4 << 20) /* transactions, nodes that are held, what came since the cache gave way */
#define BUDGET_TXNS 120
#define BUDGET_RECORDS 1000 /* in a transaction */
#define BUDGET_KEYS (1u << 17) /* the store is many times the budget */
#define BUDGET_READERS 2
/* A cache counts its nodes a little too high where the heap is malloc's. */
#define PIECES 2048
#define PIECE_BYTES 4096
#define PIECES_BYTES ((size_t)(PIECES - 64) * PIECE_BYTES)

struct budget {
	struct th_fixture fixture;
	uint64_t seed;
	_Atomic unsigned threads;
	_Atomic bool over;
};

static uint64_t budget_key(struct th_random *rng)
{
	return th_random_next(rng) % BUDGET_KEYS * UINT64_C(0x9e3779b97f4a7c15);
}

/* What is dirty is in the budget too; whoever reads or writes, the process has no more in memory. */
static void check_budget(struct th_store *store)
{
	struct th_heap_stat memory;
	struct th_store_info info;

	th_store_info(store, &info);
	th_heap_stat(&memory);
	ck_assert_uint_le(info.dirty_bytes, BUDGET / 4 * 3); /* a merge may go beyond the half */
	ck_assert_uint_le(memory.used, BUDGET + BEYOND);
	ck_assert_uint_le(memory.used + memory.idle, BUDGET + 2 * BEYOND);
}

static void *budget_reader(void *arg)
{
	struct budget *budget = arg;
	struct th_random rng = { .state = budget->seed + 1 + atomic_fetch_add(&budget->threads, 1) };

	while (!atomic_load(&budget->over)) {
		uint64_t key = budget_key(&rng);
		struct th_value value;
		int err = th_get(th_view_live(budget->fixture.store), (struct th_slice){ &key, sizeof(key) }, &value);

		if (err == -ENOENT)
			continue;
		th_ok(err);
		th_value_release(&value);
	}
	return NULL;
}

static void budget_write(struct budget *budget, struct th_random *rng)
{
	uint8_t value[500] = { 0 };
	struct th_txn *txn;

	th_ok(th_txn_begin(budget->fixture.store, &txn));
	for (unsigned j = 0; j < BUDGET_RECORDS; j++) {
		uint64_t key = budget_key(rng);

		th_ok(th_txn_put(txn, (struct th_slice){ &key, sizeof(key) },
				 (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
}

static void budget_scan(struct budget *budget)
{
	struct th_cursor_entry entry;
	struct th_cursor *cursor;
	uint64_t seen = 0;
	int err;

	th_ok(th_cursor_open(th_view_live(budget->fixture.store), NULL, &cursor));
	while ((err = th_cursor_next(cursor, &entry)) == 0)
		if (seen++ % 1000 == 0)
			check_budget(budget->fixture.store);
	ck_assert_int_gt(err, 0);
	ck_assert_uint_gt(seen, BUDGET_KEYS / 4);
	th_cursor_close(cursor);
}

START_TEST(store_budget)
{
	struct th_store_options options = { .cache_bytes = BUDGET, .checkpoint_interval_ms = 600000 };
	struct budget budget = { .seed = th_test_seed("store_budget") };
	struct th_random rng = { .state = budget.seed };
	pthread_t reader[BUDGET_READERS];
	struct th_store_info info;

	th_fixture_init(&budget.fixture, 512, &options);
	for (unsigned i = 0; i < BUDGET_READERS; i++)
		ck_assert_int_eq(pthread_create(&reader[i], NULL, budget_reader, &budget), 0);
	for (unsigned i = 0; i < BUDGET_TXNS; i++) {
		budget_write(&budget, &rng);
		check_budget(budget.fixture.store);
	}
	atomic_store(&budget.over, true);
	for (unsigned i = 0; i < BUDGET_READERS; i++)
		pthread_join(reader[i], NULL);
	th_store_info(budget.fixture.store, &info);
	ck_assert_uint_gt(info.checkpoints, 2); /* they came by themselves */
	budget_scan(&budget);
	th_ok(th_store_checkpoint(budget.fixture.store));
	budget_scan(&budget);
	th_fixture_release(&budget.fixture);
}
END_TEST

/* What no cache has is taken off all of them, in proportion. */
START_TEST(store_budgets_share)
{
	struct th_store_options small = { .cache_bytes = 8 << 20 }, large = { .cache_bytes = 24 << 20 };
	struct th_fixture a, b;
	size_t alone, beside;
	void *piece[PIECES];

	th_fixture_init(&a, 16, &small);
	for (unsigned i = 0; i < PIECES; i++)
		piece[i] = th_heap_alloc(PIECE_BYTES);
	alone = th_cache_outside(a.store->cache);
	ck_assert_uint_ge(alone, PIECES_BYTES);
	ck_assert_uint_le(alone, PIECES_BYTES + BUDGET / 2);
	th_fixture_init(&b, 16, &large);
	beside = th_cache_outside(a.store->cache);
	ck_assert_uint_ge(th_cache_outside(b.store->cache), beside * 5 / 2);
	ck_assert_uint_le(th_cache_outside(b.store->cache), beside * 7 / 2);
	ck_assert_uint_ge(beside, PIECES_BYTES / 4);
	th_fixture_release(&b);
	ck_assert_uint_ge(th_cache_outside(a.store->cache), PIECES_BYTES);
	for (unsigned i = 0; i < PIECES; i++)
		th_heap_free(piece[i]);
	ck_assert_uint_lt(th_cache_outside(a.store->cache), PIECES_BYTES);
	th_fixture_release(&a);
}
END_TEST

static uint64_t pace_at(struct th_store *store, size_t dirty, size_t merged, size_t speed)
{
	atomic_store(&store->dirty_bytes, dirty);
	atomic_store(&store->merged_bytes, merged);
	atomic_store(&store->checkpoint_speed, speed);
	return th_checkpoint_pace_us(store);
}

/* Merges are slowed down shortly before they have to stop, and according to what they do and the disk can. */
START_TEST(store_pace)
{
	struct th_fixture fixture;
	struct th_store *store;
	uint64_t last = 0;
	size_t hard, paced;

	th_fixture_init(&fixture, 16, NULL);
	store = fixture.store;
	hard = store->dirty_hard;
	paced = hard / 4 * 3;
	ck_assert_uint_eq(pace_at(store, paced, 100000, 100), 0);
	ck_assert_uint_eq(pace_at(store, hard, 100000, 100), 0); /* they stop */
	ck_assert_uint_eq(pace_at(store, hard - 1, 100000, 0), 0); /* nobody knows how long it takes */
	for (size_t dirty = paced + hard / 64; dirty < hard; dirty += hard / 64) {
		uint64_t us = pace_at(store, dirty, 100000, 100);

		ck_assert_uint_gt(us, last);
		ck_assert_uint_ge(pace_at(store, dirty, 200000, 100), us * 2);
		ck_assert_uint_le(pace_at(store, dirty, 100000, 200), us / 2);
		last = us;
	}
	ck_assert_uint_eq(pace_at(store, (paced + hard) / 2, 100000, 100), 1000);
	ck_assert_uint_eq(pace_at(store, hard - 1, 100000, 100), 100000);
	pace_at(store, 0, 0, 0);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { store_empty,
				       store_format_refuses,
				       store_format_forgets,
				       store_reopen,
				       store_open_refuses,
				       store_open_short_image,
				       store_read_only,
				       store_read_only_replay,
				       store_counters,
				       store_before_commit,
				       store_background_commit,
				       store_budget,
				       store_budgets_share,
				       store_pace };

	return th_tests_run("store", tests, sizeof(tests) / sizeof(tests[0]));
}
