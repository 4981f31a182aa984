/* SPDX-License-Identifier: Apache-2.0 */
/* Applying transactions to the live tree: numbers, blocks, and errors. */
#include "tree/txn/apply.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/chunk.h"

#define KEYS 4000

static void ignore_report(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .report = ignore_report };

static uint64_t sequence(struct th_fixture *fixture)
{
	struct th_store_info info;

	th_store_info(fixture->store, &info);
	return info.sequence;
}

START_TEST(each_transaction_gets_the_next_sequence_number)
{
	struct th_fixture fixture;
	struct th_view *view;
	struct th_txn *txn;
	uint64_t first;

	th_fixture_init(&fixture, 16, &options);
	first = sequence(&fixture);
	for (uint64_t i = 1; i <= 10; i++) {
		th_fixture_put(&fixture, "key", "value");
		ck_assert_uint_eq(sequence(&fixture), first + i);
	}
	th_ok(th_view_freeze(fixture.store, &view));
	ck_assert_uint_eq(view->seq, first + 10);
	th_view_close(view);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_txn_commit(txn)); /* it has no writes */
	ck_assert_uint_eq(sequence(&fixture), first + 10);
	th_fixture_release(&fixture);
}
END_TEST

/* Also when the batch has no message: a transaction may only drop a run. */
START_TEST(checkpoint_frees_runs_that_a_batch_drops)
{
	struct th_fixture fixture;
	struct th_batch batch = { .memtable = &(struct th_memtable){ 0 } };
	struct th_run run;
	struct th_txn *txn;
	uint64_t hint = 0, used;
	void *buffer;
	uint64_t sum;

	th_fixture_init(&fixture, 16, &options);
	used = th_fixture_used(&fixture);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_chunk_alloc(txn, 1, false, &hint, &run));
	buffer = th_chunk_buffer(fixture.store, 1);
	ck_assert_ptr_nonnull(buffer);
	memset(buffer, 'x', TH_BLOCK_SIZE);
	sum = th_chunk_checksum(buffer);
	th_ok(th_chunk_write(txn, &run, buffer, &sum));
	th_ok(th_txn_commit(txn));
	ck_assert_uint_eq(th_fixture_used(&fixture), used + 1);
	th_ok(th_drops_add(&batch.drops, &run));
	th_ok(th_apply(fixture.store, &batch, 0));
	th_drops_release(&batch.drops);
	ck_assert_uint_eq(th_fixture_used(&fixture), used);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

/* Inverts a bit in each child of the live tree's root on the disk; a second call repairs them. */
static void damage_children(struct th_fixture *fixture, const struct th_ptr *children, unsigned count)
{
	uint8_t *block = th_disk_buffer(TH_BLOCK_SIZE);

	ck_assert_ptr_nonnull(block);
	for (unsigned i = 0; i < count; i++) {
		th_ok(th_disk_read(fixture->disk, children[i].addr, 1, block));
		block[1000] ^= 0x10;
		th_ok(th_disk_write(fixture->disk, children[i].addr, 1, block));
	}
	free(block);
}

/* Writes random keys until that needs a node that cannot be read.  *ret: the run that the last transaction allocated.
 * Returns the error. */
static int write_until_error(struct th_fixture *fixture, struct th_random *random, struct th_run *ret)
{
	uint64_t hint = 0;
	int err = 0;

	for (unsigned i = 0; i < 200 && !err; i++) {
		struct th_txn *txn;
		char key[16];

		err = th_txn_begin(fixture->store, &txn);
		for (unsigned k = 0; k < 100 && !err; k++) {
			snprintf(key, sizeof(key), "key %06u", th_random_below(random, KEYS));
			th_ok(th_txn_put(txn, th_slice_of(key),
					 th_slice_of("a value that takes some room in overlays")));
		}
		if (!err)
			err = th_chunk_alloc(txn, 1, false, &hint, ret);
		if (!err)
			err = th_txn_commit(txn);
	}
	return err;
}

START_TEST(error_within_a_merge_makes_the_store_read_only)
{
	struct th_random random = { .state = th_test_seed("error_within_a_merge_makes_the_store_read_only") };
	struct th_fixture fixture;
	struct th_ptr children[TH_SLOTS_MAX];
	struct th_store_info info;
	struct th_txn *txn;
	struct th_run run;
	unsigned count;
	char key[16];

	th_fixture_init(&fixture, 64, &options);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "key %06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), th_slice_of("a value that takes some room in leaves")));
	}
	th_ok(th_txn_commit(txn));
	th_fixture_reopen(&fixture);
	ck_assert_uint_ge(fixture.store->live.root->level, 1);
	count = fixture.store->live.root->base.count;
	for (unsigned i = 0; i < count; i++)
		th_ok(th_node_child_ptr(fixture.store->live.root, i, &children[i]));
	damage_children(&fixture, children, count);
	th_expect(write_until_error(&fixture, &random, &run), -EBADMSG);
	th_true(th_space_in_use(fixture.store->space, run.addr, run.blocks)); /* visible entries may name it */
	damage_children(&fixture, children, count);
	th_store_info(fixture.store, &info);
	th_true(info.read_only);
	th_expect(th_txn_begin(fixture.store, &txn), -EROFS);
	th_expect(th_store_close(fixture.store), -EROFS);
	fixture.store = NULL;
	th_fixture_open(&fixture); /* as it was at the last checkpoint */
	th_verify_check(fixture.store, NULL);
	th_fixture_put(&fixture, "key", "value");
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_transaction_gets_the_next_sequence_number,
				       checkpoint_frees_runs_that_a_batch_drops,
				       error_within_a_merge_makes_the_store_read_only };

	return th_tests_run("apply", tests, sizeof(tests) / sizeof(tests[0]));
}
