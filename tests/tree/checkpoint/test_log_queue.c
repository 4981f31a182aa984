/* SPDX-License-Identifier: Apache-2.0 */
/* The log queue: its order and bounds, and the records in it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/checkpoint/log_format.h"
#include "tree/checkpoint/log_queue.h"

static const struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };

static struct th_pending *take(struct th_store *store, uint64_t *ret_seq, int *ret_count)
{
	struct th_pending *list;

	pthread_mutex_lock(&store->sync_lock);
	list = th_log_queue_take(store, ret_seq);
	pthread_mutex_unlock(&store->sync_lock);
	*ret_count = 0;
	for (struct th_pending *pending = list; pending; pending = pending->next)
		++*ret_count;
	return list;
}

START_TEST(records_are_taken_in_order)
{
	struct th_fixture fixture;
	struct th_pending *list;
	uint64_t first, seq;
	int count;

	th_fixture_init(&fixture, 16, &options);
	first = fixture.store->seq + 1;
	for (unsigned i = 0; i < 10; i++)
		th_fixture_put(&fixture, "key", "value");
	list = take(fixture.store, &seq, &count);
	ck_assert_int_eq(count, 10);
	ck_assert_uint_eq(seq, fixture.store->seq);
	for (struct th_pending *pending = list; pending; pending = pending->next, first++) {
		struct th_log_txn_disk header;

		memcpy(&header, pending->bytes, sizeof(header));
		ck_assert_uint_eq(pending->seq, first);
		ck_assert_uint_eq(th_get_le64(header.seq), first);
		ck_assert_uint_eq(th_get_le32(header.size), pending->size);
		ck_assert_uint_eq(th_get_le32(header.messages), 1);
		ck_assert_uint_eq(th_get_le32(header.allocs), 0);
	}
	ck_assert_uint_eq(first, seq + 1);
	th_pending_free(list);
	ck_assert_ptr_null(take(fixture.store, &seq, &count));
	ck_assert_uint_eq(fixture.store->pending_bytes, 0);
	th_fixture_release(&fixture);
}
END_TEST

/* Callers commit changes last that they buffered, though these are older than others: a part of the queue would be a
 * state that never was. */
START_TEST(all_queued_transactions_are_one_log_record)
{
	const unsigned count = 2000;
	struct th_fixture fixture;
	uint64_t records, sequence;

	th_fixture_init(&fixture, 64, &options);
	for (unsigned i = 0; i < count; i++)
		th_fixture_put(&fixture, "key", "value");
	records = fixture.store->log_records;
	sequence = fixture.store->log_head.sequence;
	th_ok(th_store_sync(fixture.store));
	ck_assert_uint_eq(fixture.store->log_records, records + 1);
	ck_assert_uint_eq(fixture.store->log_head.sequence, sequence + 1);
	ck_assert_uint_eq(fixture.store->synced_seq, fixture.store->seq);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_queue_without_room_in_the_log_stays_whole)
{
	static const uint8_t value[3000];
	struct th_fixture fixture;
	struct th_txn *txn;
	size_t bytes;
	uint64_t seq;
	int count;
	char key[16];

	th_fixture_init(&fixture, 16, &options); /* its log has 1 MiB */
	th_ok(th_txn_begin(fixture.store, &txn));
	for (unsigned i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "%06u", i);
		th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
	}
	th_ok(th_txn_commit(txn));
	bytes = fixture.store->pending_bytes;
	ck_assert_ptr_null(take(fixture.store, &seq, &count));
	ck_assert_int_eq(count, 0);
	ck_assert_ptr_nonnull(fixture.store->pending);
	ck_assert_uint_eq(fixture.store->pending_bytes, bytes);
	th_ok(th_store_sync(fixture.store)); /* by a checkpoint */
	ck_assert_ptr_null(fixture.store->pending);
	ck_assert_uint_eq(fixture.store->pending_bytes, 0);
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(a_checkpoint_trims_the_queue)
{
	struct th_fixture fixture;
	uint64_t seq;
	int count;

	th_fixture_init(&fixture, 16, &options);
	th_fixture_put(&fixture, "key", "1");
	th_fixture_put(&fixture, "key", "2");
	th_log_queue_trim(fixture.store, fixture.store->seq - 1);
	ck_assert_ptr_nonnull(fixture.store->pending);
	ck_assert_uint_eq(fixture.store->pending->seq, fixture.store->seq);
	ck_assert_uint_eq(fixture.store->synced_seq, fixture.store->seq - 1);
	th_ok(th_store_checkpoint(fixture.store));
	ck_assert_ptr_null(take(fixture.store, &seq, &count));
	ck_assert_uint_eq(fixture.store->synced_seq, fixture.store->seq);
	th_fixture_release(&fixture);
}
END_TEST

/* And the next sync is a checkpoint. */
START_TEST(a_full_queue_is_dropped)
{
	struct th_store_options large = { .checkpoint_interval_ms = 3600 * 1000, .cache_bytes = (size_t)512 << 20 };
	static const uint8_t value[3000];
	struct th_fixture fixture, crashed;
	struct th_store_info before, after;
	uint64_t hash, number = 0;

	th_fixture_init(&fixture, 256, &large);
	th_store_info(fixture.store, &before);
	while (!fixture.store->overflow_seq) {
		struct th_txn *txn;

		th_ok(th_txn_begin(fixture.store, &txn));
		for (unsigned i = 0; i < 300; i++, number++)
			th_ok(th_txn_put(txn, (struct th_slice){ &number, sizeof(number) },
					 (struct th_slice){ value, sizeof(value) }));
		th_ok(th_txn_commit(txn));
		ck_assert_uint_le(fixture.store->pending_bytes, 16u << 20);
	}
	ck_assert_uint_eq(fixture.store->pending_bytes, 0);
	ck_assert_ptr_null(fixture.store->pending);
	hash = th_view_hash(th_view_live(fixture.store));
	th_ok(th_store_sync(fixture.store));
	ck_assert_uint_eq(fixture.store->overflow_seq, 0);
	th_store_info(fixture.store, &after);
	ck_assert_uint_eq(after.log_records, before.log_records);
	ck_assert_uint_gt(after.generation, before.generation);
	th_fixture_crash(&fixture, &crashed);
	ck_assert_uint_eq(th_view_hash(th_view_live(crashed.store)), hash);
	th_fixture_release(&crashed);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		records_are_taken_in_order,
		a_queue_without_room_in_the_log_stays_whole,
		all_queued_transactions_are_one_log_record,
		a_checkpoint_trims_the_queue,
		a_full_queue_is_dropped,
	};

	return th_tests_run("log_queue", tests, sizeof(tests) / sizeof(tests[0]));
}
