/* SPDX-License-Identifier: Apache-2.0 */
/* Spills: messages of a transaction on the image, by themselves, and as layers of a transaction. */
#include "tree/layers/spill.h"

#include <stdio.h>

#include "tests/tree/large_txn.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

#define MESSAGES 3000

static struct th_entry *message_new(unsigned number)
{
	char key[16], value[200];

	snprintf(key, sizeof(key), "key %06u", number);
	memset(value, 'a' + (char)(number % 26), sizeof(value));
	return th_message_put(TH_SLICE_EMPTY, th_slice_of(key), (struct th_slice){ value, number % sizeof(value) });
}

static struct th_spill *spill_new(struct th_store *store)
{
	struct th_spiller *spiller;
	struct th_spill *spill;

	th_ok(th_spiller_new(store, &spiller));
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct th_entry *message = message_new(i);

		ck_assert_ptr_nonnull(message);
		th_ok(th_spiller_add(message, spiller));
		th_entry_unref(message);
	}
	th_ok(th_spiller_finish(spiller, &spill));
	th_spiller_free(spiller);
	return spill;
}

/* Compares the messages of a block with numbers from `number` on.  Returns the number after them. */
static unsigned verify_block(const struct th_node *block, unsigned number)
{
	for (unsigned i = 0; i < block->overlay.count; i++, number++) {
		const struct th_entry *found = th_slab_entry(&block->overlay, i);
		struct th_entry *expected = message_new(number);
		struct th_key key;

		th_node_key(block, found, &key);
		th_true(th_model_same(th_key_slice(&key),
				      (struct th_slice){ th_entry_key(expected), th_entry_key_size(expected) }));
		th_true(th_model_same(th_entry_value(found), th_entry_value(expected)));
		th_entry_unref(expected);
	}
	return number;
}

START_TEST(spill_returns_its_messages_in_order)
{
	struct th_fixture fixture;
	struct th_spill *spill;
	struct th_node *block;
	unsigned number = 0;

	th_fixture_init(&fixture, 16, NULL);
	spill = spill_new(fixture.store);
	ck_assert_uint_gt(spill->count, 3);
	for (size_t i = 0; i < spill->count; i++) {
		struct th_entry *first = message_new(number);

		th_true(th_model_same(th_spill_first(spill, i),
				      (struct th_slice){ th_entry_key(first), th_entry_key_size(first) }));
		th_entry_unref(first);
		th_cache_forget(fixture.store->cache, spill->block[i].ptr.addr); /* so that it is read from the disk */
		th_ok(th_spill_load(spill, fixture.store->cache, i, &block));
		number = verify_block(block, number);
		th_node_unref(block);
	}
	ck_assert_uint_eq(number, MESSAGES);
	th_spill_free(spill, fixture.store);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(freed_spill_frees_its_blocks)
{
	struct th_fixture fixture;
	struct th_spiller *spiller;
	struct th_spill *spill;
	uint64_t before;

	th_fixture_init(&fixture, 16, NULL);
	before = th_large_info(fixture.store).blocks_free;
	spill = spill_new(fixture.store);
	ck_assert_uint_eq(th_large_info(fixture.store).blocks_free + spill->blocks, before);
	th_spill_free(spill, fixture.store);
	ck_assert_uint_eq(th_large_info(fixture.store).blocks_free, before);
	th_ok(th_spiller_new(fixture.store, &spiller)); /* one that is not finished */
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct th_entry *message = message_new(i);

		th_ok(th_spiller_add(message, spiller));
		th_entry_unref(message);
	}
	ck_assert_uint_lt(th_large_info(fixture.store).blocks_free, before);
	th_spiller_free(spiller);
	ck_assert_uint_eq(th_large_info(fixture.store).blocks_free, before);
	th_spill_free(NULL, fixture.store);
	th_spiller_free(NULL);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(transaction_reads_through_its_spills)
{
	struct th_random random = { .state = th_test_seed("transaction_reads_through_its_spills") };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, &th_large_options);
	th_ok(th_txn_begin(fixture.store, &txn));
	for (int i = 0; i < 5; i++) {
		th_large_write(txn, model, &random, 600);
		th_large_verify(txn, model);
	}
	ck_assert_uint_gt(th_large_info(fixture.store).spills, 16); /* so that spills were merged */
	th_txn_rollback(txn);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

/* At once after a rollback; after a commit, when the checkpoints that free blocks are made. */
START_TEST(end_of_transaction_frees_its_spills)
{
	struct th_random random = { .state = th_test_seed("end_of_transaction_frees_its_spills") };
	struct th_model *model = th_model_new();
	struct th_fixture fixture;
	struct th_txn *txn;
	uint64_t before, left;

	th_fixture_init(&fixture, 64, &th_large_options);
	before = th_large_blocks_left(fixture.store);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_large_write(txn, model, &random, 6000);
	ck_assert_uint_lt(th_large_info(fixture.store).blocks_free, before - 100);
	th_txn_rollback(txn);
	ck_assert_uint_eq(th_large_info(fixture.store).blocks_free, before);
	th_verify_check(fixture.store, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	th_large_write(txn, model, &random, 6000);
	th_ok(th_txn_commit(txn));
	th_fixture_put(&fixture, "one", "more");
	left = th_large_blocks_left(fixture.store);
	th_fixture_reopen(&fixture);
	ck_assert_uint_eq(th_large_blocks_left(fixture.store), left);
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
	th_model_unref(model);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { spill_returns_its_messages_in_order, freed_spill_frees_its_blocks,
				       transaction_reads_through_its_spills, end_of_transaction_frees_its_spills };

	return th_tests_run("spill", tests, sizeof(tests) / sizeof(tests[0]));
}
