/* SPDX-License-Identifier: Apache-2.0 */
/* Sync: durable by the log, one disk flush for many threads, and errors. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/state/state.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

START_TEST(synced_transactions_survive_a_crash)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_store_info before, after;

	th_fixture_init(&fixture, 16, &options);
	th_store_info(fixture.store, &before);
	for (unsigned i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key %u", i);
		th_fixture_put(&fixture, key, "value");
		th_model_put(model, th_slice_of(key), th_slice_of("value"));
		if (i % 7 == 6)
			th_ok(th_store_sync(fixture.store));
	}
	th_ok(th_store_sync(fixture.store));
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.log_records, 3);
	ck_assert_uint_eq(after.generation, before.generation);
	th_fixture_crash(&fixture, &crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(nothing_to_sync_writes_nothing)
{
	struct th_fixture fixture;
	uint64_t events;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_store_sync(fixture.store));
	events = th_disk_fault_events(fixture.disk);
	th_ok(th_store_sync(fixture.store));
	ck_assert_uint_eq(th_disk_fault_events(fixture.disk), events);
	fixture.options.read_only = true;
	th_fixture_reopen(&fixture);
	th_expect(th_store_sync(fixture.store), -EROFS);
	th_fixture_release(&fixture);
}
END_TEST

static void ignore_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

START_TEST(failed_log_write_makes_the_store_refuse_writes)
{
	struct th_store_options quiet = { .checkpoint_interval_ms = 3600 * 1000, .report = ignore_line };
	struct th_fixture fixture;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, &quiet);
	th_fixture_put(&fixture, "key", "value");
	th_disk_fault_arm(fixture.disk, TH_FAULT_CUT, 0);
	th_expect(th_store_sync(fixture.store), -EIO);
	th_disk_fault_arm(fixture.disk, TH_FAULT_NONE, 0);
	th_expect(th_txn_begin(fixture.store, &txn), -EROFS);
	th_expect(th_store_close(fixture.store), -EROFS);
	fixture.store = NULL;
	th_fixture_release(&fixture);
}
END_TEST

struct caller {
	struct th_fixture fixture;
	unsigned quiesced, resumed;
};

static int commit_buffered(void *arg)
{
	struct caller *caller = arg;

	caller->quiesced++;
	if (caller->quiesced == 1)
		th_fixture_put(&caller->fixture, "older", "value");
	return -ENOSPC; /* no reason not to sync the rest */
}

static void resume(void *arg)
{
	((struct caller *)arg)->resumed++;
}

/* They are in the log record with changes that were committed before them, though these are newer. */
START_TEST(a_sync_takes_the_changes_that_the_caller_buffers)
{
	struct caller caller = { .quiesced = 0 };
	struct th_store_options buffering = {
		.checkpoint_interval_ms = 3600 * 1000, .quiesce = commit_buffered, .resume = resume, .arg = &caller
	};
	struct th_model *model = th_model_new();
	struct th_fixture crashed;

	th_fixture_init(&caller.fixture, 16, &buffering);
	th_fixture_put(&caller.fixture, "newer", "value");
	th_ok(th_store_sync(caller.fixture.store));
	ck_assert_uint_eq(caller.quiesced, 1);
	ck_assert_uint_eq(caller.resumed, 1);
	ck_assert_uint_eq(caller.fixture.store->log_records, 1);
	th_model_put(model, th_slice_of("newer"), th_slice_of("value"));
	th_model_put(model, th_slice_of("older"), th_slice_of("value"));
	th_fixture_crash(&caller.fixture, &crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	crashed.store->options.quiesce = NULL;
	crashed.store->options.resume = NULL;
	th_fixture_release(&crashed);
	caller.fixture.store->options.quiesce = NULL;
	th_fixture_release(&caller.fixture);
	th_model_unref(model);
}
END_TEST

#define THREADS 4
#define COMMITS 50

struct syncer {
	pthread_t thread;
	struct th_fixture *fixture;
	unsigned number;
};

static void *sync_thread(void *arg)
{
	struct syncer *syncer = arg;
	char key[16];

	snprintf(key, sizeof(key), "thread %u", syncer->number);
	for (unsigned i = 0; i < COMMITS; i++) {
		th_fixture_put(syncer->fixture, key, i + 1 == COMMITS ? "last" : "value");
		th_ok(th_store_sync(syncer->fixture->store));
	}
	return NULL;
}

/* Each returns with its own transactions durable. */
START_TEST(threads_sync_at_the_same_time)
{
	struct syncer syncers[THREADS];
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_store_info info;

	th_fixture_init(&fixture, 16, &options);
	for (unsigned i = 0; i < THREADS; i++) {
		char key[16];

		syncers[i] = (struct syncer){ .fixture = &fixture, .number = i };
		ck_assert_int_eq(pthread_create(&syncers[i].thread, NULL, sync_thread, &syncers[i]), 0);
		snprintf(key, sizeof(key), "thread %u", i);
		th_model_put(model, th_slice_of(key), th_slice_of("last"));
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(syncers[i].thread, NULL);
	th_store_info(fixture.store, &info);
	ck_assert_uint_le(info.log_records, THREADS * COMMITS);
	th_fixture_crash(&fixture, &crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		synced_transactions_survive_a_crash,
		nothing_to_sync_writes_nothing,
		failed_log_write_makes_the_store_refuse_writes,
		a_sync_takes_the_changes_that_the_caller_buffers,
		threads_sync_at_the_same_time,
	};

	return th_tests_run("sync", tests, sizeof(tests) / sizeof(tests[0]));
}
