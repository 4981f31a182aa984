/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a store: its memory budget, and refusing writes after a failure. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/node/node_heap.h"
#include "tree/state/state.h"

#define BUDGET ((size_t)16 << 20)
#define BEYOND ((size_t)4 << 20) /* transactions, referenced nodes, growth before the cache evicts */
#define BUDGET_TXNS 120
#define BUDGET_RECORDS 1000 /* in a transaction */
#define BUDGET_KEYS (1u << 17) /* the store is many times the budget */
#define BUDGET_READERS 2
/* A cache counts its nodes a little too high if the heap is malloc's. */
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

/* Dirty nodes count, too. */
static void check_budget(struct th_store *store)
{
	struct th_heap_stat memory;
	struct th_store_info info;

	th_store_info(store, &info);
	th_heap_stat(&memory);
	ck_assert_uint_le(info.dirty_bytes, BUDGET / 4 * 3); /* a transaction may exceed the half */
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

START_TEST(memory_stays_within_the_budget)
{
	struct th_store_options options = { .cache_bytes = BUDGET, .checkpoint_interval_ms = 600000 };
	struct budget budget = { .seed = th_test_seed("memory_stays_within_the_budget") };
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
	ck_assert_uint_gt(info.checkpoints, 2); /* of the checkpointer */
	budget_scan(&budget);
	th_ok(th_store_checkpoint(budget.fixture.store));
	budget_scan(&budget);
	th_fixture_release(&budget.fixture);
}
END_TEST

/* Memory that is in no cache is taken off all of them, in proportion. */
START_TEST(caches_share_the_memory_beside_them)
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

static void copy_line(void *arg, const char *line)
{
	snprintf(arg, 200, "%s", line);
}

START_TEST(first_failure_is_reported_once)
{
	char line[200] = "";
	struct th_store_options options = { .report = copy_line, .arg = line };
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_ok(th_store_writable(fixture.store));
	th_expect(th_store_fail(fixture.store, -EIO, "writing data"), -EIO);
	ck_assert_ptr_nonnull(strstr(line, "writing data failed: Input/output error"));
	line[0] = 0;
	th_expect(th_store_fail(fixture.store, -ENOMEM, "a checkpoint"), -ENOMEM);
	ck_assert_str_eq(line, "");
	ck_assert_int_eq(fixture.store->failed, EIO);
	th_expect(th_store_writable(fixture.store), -EROFS);
	th_expect(th_store_close(fixture.store), -EROFS);
	fixture.store = NULL;
	th_fixture_release(&fixture);
}
END_TEST

static void check_line(void *arg, const char *line)
{
	size_t size = strlen(arg);

	ck_assert_int_eq(strncmp(line, arg, size), 0);
	ck_assert_str_eq(
		line + size,
		": writing data failed: Input/output error; writes are refused until the store is opened again");
}

START_TEST(failure_names_the_cause_after_a_long_path)
{
	char path[4096];
	struct th_store_options options = { .report = check_line, .arg = path };
	struct th_fixture fixture;
	const char *name;

	memset(path, 'd', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	th_fixture_init(&fixture, 16, &options);
	name = fixture.store->disk->name;
	fixture.store->disk->name = path;
	th_expect(th_store_fail(fixture.store, -EIO, "writing data"), -EIO);
	fixture.store->disk->name = name;
	th_expect(th_store_close(fixture.store), -EROFS);
	fixture.store = NULL;
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		memory_stays_within_the_budget,
		caches_share_the_memory_beside_them,
		first_failure_is_reported_once,
		failure_names_the_cause_after_a_long_path,
	};

	return th_tests_run("state", tests, sizeof(tests) / sizeof(tests[0]));
}
