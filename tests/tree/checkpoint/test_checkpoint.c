/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: when they write, their steps, quiesce, and failures. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/checkpoint/checkpoint.h"
#include "tree/view/view.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

struct hook {
	struct th_fixture fixture;
	_Atomic unsigned calls;
};

static int commit_one(void *arg)
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

START_TEST(quiesce_commits_into_the_checkpoint)
{
	struct hook hook = { 0 };
	struct th_store_options hooked = { .quiesce = commit_one, .arg = &hook, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_model *model = th_model_new();
	struct th_snapshot snapshot;
	struct th_view *view;

	th_fixture_init(&hook.fixture, 16, &hooked);
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

static _Atomic int quiet; /* calls of quiesce without one of resume */
static _Atomic unsigned quiesced;

static int count_quiesce(void *arg)
{
	(void)arg;
	quiet++;
	quiesced++;
	return 0;
}

static void count_resume(void *arg)
{
	(void)arg;
	quiet--;
}

/* A step runs while the callers go on. */
static int expect_resumed(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	(void)store;
	(void)state;
	*(int *)arg = quiet;
	return 0;
}

START_TEST(callers_resume_as_soon_as_the_tree_is_frozen)
{
	struct th_store_options counting = { .quiesce = count_quiesce,
					     .resume = count_resume,
					     .checkpoint_interval_ms = 3600 * 1000 };
	struct th_fixture fixture;
	unsigned before;
	int during = -1;

	th_fixture_init(&fixture, 16, &counting);
	before = quiesced;
	th_ok(th_checkpoint(fixture.store, expect_resumed, &during, 0));
	ck_assert_int_eq(during, 0);
	ck_assert_uint_eq(quiesced, before + 1);
	th_ok(th_store_checkpoint(fixture.store)); /* nothing to write */
	ck_assert_uint_eq(quiesced, before + 2);
	th_ok(th_checkpoint(fixture.store, NULL, NULL, TH_CHECKPOINT_AS_IS | TH_CHECKPOINT_FORCE));
	ck_assert_uint_eq(quiesced, before + 2);
	ck_assert_int_eq(quiet, 0);
	th_fixture_release(&fixture);
	ck_assert_int_eq(quiet, 0);
}
END_TEST

static int refuse(void *arg)
{
	++*(unsigned *)arg;
	return -ECANCELED;
}

/* The checkpoint succeeds all the same. */
START_TEST(error_of_quiesce_is_returned)
{
	unsigned calls = 0;
	struct th_store_options refusing = { .quiesce = refuse, .arg = &calls, .checkpoint_interval_ms = 3600 * 1000 };
	struct th_fixture fixture, crashed;
	struct th_model *model = th_model_new();

	th_fixture_init(&fixture, 16, &refusing);
	th_fixture_put(&fixture, "key", "value");
	th_model_put(model, th_slice_of("key"), th_slice_of("value"));
	th_expect(th_store_checkpoint(fixture.store), -ECANCELED);
	ck_assert_uint_eq(calls, 1);
	th_fixture_crash(&fixture, &crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	crashed.store->options.quiesce = NULL;
	th_fixture_release(&crashed);
	fixture.store->options.quiesce = NULL;
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

START_TEST(an_unchanged_store_writes_no_generation)
{
	struct th_store_info before, after;
	struct th_fixture fixture;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "value");
	while (th_store_reclaim(fixture.store) == 0)
		;
	th_ok(th_store_checkpoint(fixture.store));
	th_store_info(fixture.store, &before);
	th_ok(th_store_checkpoint(fixture.store));
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.generation, before.generation);
	th_ok(th_checkpoint(fixture.store, NULL, NULL, TH_CHECKPOINT_FORCE));
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.generation, before.generation + 1);
	th_fixture_release(&fixture);
}
END_TEST

/* The log is not needed for it. */
START_TEST(a_checkpoint_survives_a_crash)
{
	struct th_model *model = th_model_new();
	struct th_fixture fixture, crashed;
	struct th_store_info info;

	th_fixture_init(&fixture, 16, &options);
	for (unsigned i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key %u", i);
		th_fixture_put(&fixture, key, "value");
		th_model_put(model, th_slice_of(key), th_slice_of("value"));
	}
	th_ok(th_store_checkpoint(fixture.store));
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.log_records, 0);
	ck_assert_uint_eq(info.dirty_bytes, 0);
	th_fixture_crash(&fixture, &crashed);
	th_verify_scan(th_view_live(crashed.store), model, NULL);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* --- steps --- */

static int step_with_result(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	ck_assert_uint_eq(state->generation, store->super.generation + 1);
	ck_assert_uint_eq(state->sequence, store->seq);
	ck_assert_ptr_null(state->new_root);
	return *(int *)arg;
}

/* A disk that carries out a save only when a thread waits for it. */
struct lazy_disk {
	struct th_disk disk;
	struct th_disk *below;
	pthread_mutex_t lock;
	struct lazy_save {
		uint64_t addr;
		const struct iovec *iov;
		int iovcnt;
		struct th_future *future;
	} saves[256]; /* lock */
	size_t count; /* lock */
};

static void lazy_write(struct lazy_disk *disk, const struct lazy_save *save)
{
	uint64_t addr = save->addr;
	int err = 0;

	for (int i = 0; i < save->iovcnt && !err; i++) {
		uint32_t blocks = (uint32_t)(save->iov[i].iov_len / TH_BLOCK_SIZE);

		err = th_disk_write(disk->below, addr, blocks, save->iov[i].iov_base);
		addr += blocks;
	}
	th_future_complete(save->future, err);
}

static void lazy_write_all(struct lazy_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	while (disk->count) {
		struct lazy_save save = disk->saves[--disk->count];

		pthread_mutex_unlock(&disk->lock);
		lazy_write(disk, &save);
		pthread_mutex_lock(&disk->lock);
	}
	pthread_mutex_unlock(&disk->lock);
}

static void lazy_drive(struct th_future *future)
{
	lazy_write_all(future->owner);
}

static void lazy_save(struct th_disk *base, uint64_t addr, const struct iovec *iov, int iovcnt,
		      struct th_future *future)
{
	struct lazy_disk *disk = (struct lazy_disk *)base;

	th_future_init(future, lazy_drive, disk);
	future->attend = lazy_drive;
	pthread_mutex_lock(&disk->lock);
	th_true(disk->count < sizeof(disk->saves) / sizeof(disk->saves[0]));
	disk->saves[disk->count++] = (struct lazy_save){ addr, iov, iovcnt, future };
	pthread_mutex_unlock(&disk->lock);
}

static void lazy_get(struct th_disk *base, uint64_t addr, uint32_t blocks, void *buf, struct th_future *future)
{
	th_disk_get(((struct lazy_disk *)base)->below, addr, blocks, buf, future);
}

static void lazy_flush(struct th_disk *base, struct th_future *future)
{
	lazy_write_all((struct lazy_disk *)base);
	th_disk_flush(((struct lazy_disk *)base)->below, future);
}

static void lazy_reap(struct th_disk *base, struct th_future *future)
{
	lazy_write_all((struct lazy_disk *)base);
	th_disk_reap(((struct lazy_disk *)base)->below, future);
}

static void lazy_close(struct th_disk *base)
{
	struct lazy_disk *disk = (struct lazy_disk *)base;

	th_disk_close(disk->below);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static struct th_disk *lazy_disk_new(uint64_t blocks)
{
	static const struct th_disk_ops ops = {
		.get = lazy_get,
		.save = lazy_save,
		.flush = lazy_flush,
		.reap = lazy_reap,
		.close = lazy_close,
	};
	struct lazy_disk *disk = calloc(1, sizeof(*disk));

	ck_assert_ptr_nonnull(disk);
	disk->disk = (struct th_disk){ .ops = &ops, .blocks = blocks, .name = "lazy" };
	pthread_mutex_init(&disk->lock, NULL);
	th_ok(th_disk_memory_new(blocks, &disk->below));
	return &disk->disk;
}

/* Reads the tree of the checkpoint under way, as a thread does that has found it in the catalogue. */
static int read_frozen_tree(struct th_store *store, struct th_checkpoint_state *state, void *arg)
{
	struct th_view *view = th_view_new(store);

	ck_assert_ptr_nonnull(view);
	th_ok(th_root_load(store, &state->live_root, &view->root));
	th_verify_scan(view, arg, NULL);
	th_view_close(view);
	return 0;
}

/* A snapshot or head that the step enters in the catalogue is visible at once. */
START_TEST(a_step_can_read_the_nodes_of_its_checkpoint)
{
	struct th_fixture fixture = { .disk = NULL };
	struct th_model *model = th_model_new();
	struct th_disk *disk = lazy_disk_new(4096);

	th_ok(th_store_format(disk, NULL));
	th_ok(th_store_open(disk, &options, &fixture.store));
	for (unsigned i = 0; i < 3000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key %u", i);
		th_fixture_put(&fixture, key, "a value");
		th_model_put(model, th_slice_of(key), th_slice_of("a value"));
	}
	th_ok(th_checkpoint(fixture.store, read_frozen_tree, model, 0));
	th_fixture_close(&fixture);
	th_model_unref(model);
}
END_TEST

static void count_line(void *arg, const char *line)
{
	(void)line;
	++*(unsigned *)arg;
}

START_TEST(error_of_a_step_makes_the_store_refuse_writes)
{
	unsigned lines = 0;
	struct th_store_options counting = { .report = count_line,
					     .arg = &lines,
					     .checkpoint_interval_ms = 3600 * 1000 };
	int result = 0;
	struct th_fixture fixture, crashed;
	struct th_txn *txn;

	th_fixture_init(&fixture, 16, &counting);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_checkpoint(fixture.store, step_with_result, &result, 0));
	result = -ENOMEM;
	th_expect(th_checkpoint(fixture.store, step_with_result, &result, 0), -ENOMEM);
	ck_assert_uint_eq(lines, 1);
	th_expect(th_txn_begin(fixture.store, &txn), -EROFS);
	th_expect(th_store_checkpoint(fixture.store), -EROFS);
	ck_assert_uint_eq(lines, 1); /* it is reported once */
	th_expect(th_store_close(fixture.store), -EROFS);
	fixture.store = NULL;
	fixture.options.report = NULL;
	th_fixture_open(&fixture); /* the last generation is intact */
	th_fixture_put(&fixture, "key", "later");
	th_fixture_crash(&fixture, &crashed);
	th_verify_check(crashed.store, NULL);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

/* --- exclusive work --- */

static int expect_clean(struct th_store *store, void *arg)
{
	struct th_store_info info;

	th_store_info(store, &info);
	ck_assert_uint_eq(info.dirty_bytes, 0);
	ck_assert_uint_eq(store->super.sequence, store->seq);
	return *(int *)arg;
}

START_TEST(exclusive_work_sees_a_clean_tree)
{
	struct th_fixture fixture;
	int result = 0;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "value");
	th_ok(th_checkpoint_exclusive(fixture.store, expect_clean, &result));
	th_fixture_put(&fixture, "key", "other");
	result = -ENOSPC;
	th_expect(th_checkpoint_exclusive(fixture.store, expect_clean, &result), -ENOSPC);
	th_fixture_put(&fixture, "key", "third"); /* the store goes on */
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		quiesce_commits_into_the_checkpoint,
		callers_resume_as_soon_as_the_tree_is_frozen,
		error_of_quiesce_is_returned,
		an_unchanged_store_writes_no_generation,
		a_checkpoint_survives_a_crash,
		error_of_a_step_makes_the_store_refuse_writes,
		a_step_can_read_the_nodes_of_its_checkpoint,
		exclusive_work_sees_a_clean_tree,
	};

	return th_tests_run("checkpoint", tests, sizeof(tests) / sizeof(tests[0]));
}
