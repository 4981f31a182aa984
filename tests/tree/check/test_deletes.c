/* SPDX-License-Identifier: Apache-2.0 */
/* Counting deletes that wait, and the records that they hide (N6). */
#include <stdio.h>

#include "tests/tree/fixture.h"
#include "tree/btree/push_down.h"
#include "tree/node/message.h"
#include "tree/state/state.h"

#define RECORDS 2000

static struct th_slice key_of(char name[16], unsigned i)
{
	snprintf(name, 16, "key %06u", i);
	return th_slice_of(name);
}

static void make_store(struct th_fixture *fixture)
{
	static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
	struct th_txn *txn;

	th_fixture_init(fixture, 32, &options);
	th_ok(th_txn_begin(fixture->store, &txn));
	for (unsigned i = 0; i < RECORDS; i++) {
		char name[16], value[100] = "value";

		th_ok(th_txn_put(txn, key_of(name, i), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
	th_ok(th_store_checkpoint(fixture->store));
}

/* Puts messages into the root, where they stay: a delete for each of `deletes` keys, and a delete of a range for each
 * of `ranges` further keys. */
static void pend_deletes(struct th_store *store, unsigned deletes, unsigned ranges)
{
	const struct th_fences all = { TH_SLICE_EMPTY, { NULL, 0 } };
	struct th_tree *live = &store->live;

	pthread_rwlock_wrlock(&live->lock);
	th_ok(th_root_writable(live));
	for (unsigned i = 0; i < deletes + ranges; i++) {
		char name[16], end[17];
		struct th_slice key = key_of(name, i);
		struct th_entry *message;

		snprintf(end, sizeof(end), "%s!", name);
		message = i < deletes ? th_message_delete(key, TH_SLICE_EMPTY)
				      : th_message_delete_range(key, th_slice_of(end), store->seq);
		ck_assert_ptr_nonnull(message);
		th_ok(th_push_down_accept(live, live->root, all, message));
	}
	th_tree_account(live, live->root);
	atomic_store(&store->dirty_bytes, live->dirty_bytes);
	pthread_rwlock_unlock(&live->lock);
	th_ok(th_store_checkpoint(store));
}

static struct th_check_result check(struct th_store *store)
{
	struct th_check_result result;

	th_ok(th_store_check(store, NULL, &result));
	ck_assert_uint_eq(result.problems, 0);
	ck_assert_uint_eq(result.records, RECORDS);
	ck_assert_uint_eq(result.dead_records, result.deletes + result.range_deletes);
	ck_assert_uint_eq(result.entries, RECORDS - result.dead_records);
	return result;
}

START_TEST(waiting_deletes_and_dead_records_are_counted)
{
	struct th_check_result result;
	struct th_fixture fixture;

	make_store(&fixture);
	result = check(fixture.store);
	ck_assert_uint_eq(result.messages, 0);
	ck_assert_uint_eq(result.deletes_weight, 0);
	ck_assert_uint_eq(result.deletes_most, th_deletes_most(RECORDS, fixture.store->live.root->level));
	pend_deletes(fixture.store, 20, 5);
	result = check(fixture.store);
	ck_assert_uint_eq(result.messages, 25);
	ck_assert_uint_eq(result.deletes, 20);
	ck_assert_uint_eq(result.range_deletes, 5);
	ck_assert_uint_eq(result.deletes_weight, 20 + 5 * TH_RANGE_DELETES);
	ck_assert_uint_le(result.deletes_weight, result.deletes_most);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(too_many_deletes_are_told_from_the_bound)
{
	struct th_check_result result;
	struct th_fixture fixture;

	make_store(&fixture);
	pend_deletes(fixture.store, 20, 80);
	result = check(fixture.store);
	ck_assert_uint_eq(result.range_deletes, 80);
	ck_assert_uint_gt(result.deletes_weight, result.deletes_most);
	th_fixture_release(&fixture);
}
END_TEST

/* A record below a newer put is replaced, not deleted. */
START_TEST(replaced_records_are_not_dead)
{
	struct th_check_result result;
	struct th_fixture fixture;
	char name[16];

	make_store(&fixture);
	key_of(name, 7);
	th_fixture_put(&fixture, name, "other");
	th_ok(th_store_checkpoint(fixture.store));
	result = check(fixture.store);
	ck_assert_uint_eq(result.messages, 1);
	ck_assert_uint_eq(result.dead_records, 0);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { waiting_deletes_and_dead_records_are_counted,
				       too_many_deletes_are_told_from_the_bound, replaced_records_are_not_dead };

	return th_tests_run("deletes", tests, sizeof(tests) / sizeof(tests[0]));
}
