/* SPDX-License-Identifier: Apache-2.0 */
/* Throttling: delays near the limit of dirty memory, the limit itself, and room on the disk. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/checkpoint/throttle.h"
#include "tree/chunk.h"
#include "tree/state/state.h"

static uint64_t pace_at(struct th_store *store, size_t dirty, size_t merged, size_t speed)
{
	atomic_store(&store->dirty_bytes, dirty);
	atomic_store(&store->merged_bytes, merged);
	atomic_store(&store->checkpoint_speed, speed);
	return th_checkpoint_pace_us(store);
}

/* In proportion to the bytes that the last transaction made dirty, and to the time the disk needs for them. */
START_TEST(delay_grows_towards_the_limit)
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
	ck_assert_uint_eq(pace_at(store, hard, 100000, 100), 0); /* the thread waits instead */
	ck_assert_uint_eq(pace_at(store, hard - 1, 100000, 0), 0); /* the speed is not known */
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

#define TXN_BYTES ((size_t)1 << 20)

/* Except for the transaction that reaches the limit. */
START_TEST(dirty_memory_is_bounded)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .cache_bytes = 16 << 20 };
	static const uint8_t value[2000];
	struct th_fixture fixture;
	struct th_store *store;
	unsigned number = 0;

	th_fixture_init(&fixture, 256, &options);
	store = fixture.store;
	for (unsigned i = 0; i < 40; i++) {
		struct th_txn *txn;

		th_ok(th_txn_begin(store, &txn));
		for (size_t size = 0; size < TXN_BYTES; size += sizeof(value), number++) {
			char key[16]; /* in order, so that few other nodes become dirty */

			snprintf(key, sizeof(key), "%010u", number);
			th_ok(th_txn_put(txn, th_slice_of(key), (struct th_slice){ value, sizeof(value) }));
		}
		th_ok(th_txn_commit(txn));
		ck_assert_uint_le(atomic_load(&store->dirty_bytes) + atomic_load(&store->writing_bytes),
				  store->dirty_hard + 4 * TXN_BYTES);
	}
	th_fixture_release(&fixture);
}
END_TEST

START_TEST(room_keeps_the_reserves)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000 };
	struct th_fixture fixture;
	struct th_store_info info;
	uint64_t usable;

	th_fixture_init(&fixture, 64, &options);
	th_ok(th_store_checkpoint(fixture.store));
	th_store_info(fixture.store, &info);
	ck_assert_uint_gt(info.blocks_emergency, 0);
	usable = (info.blocks_free - info.blocks_emergency - 1) * info.block_size;
	th_ok(th_store_room_now(fixture.store, usable - info.block_size, TH_ROOM_NORMAL));
	th_expect(th_store_room_now(fixture.store, usable + info.block_size, TH_ROOM_NORMAL), -ENOSPC);
	th_ok(th_store_room_now(fixture.store, usable + info.block_size, TH_ROOM_FREEING)); /* a deletion */
	th_expect(th_store_room_now(fixture.store, info.blocks_free * info.block_size, TH_ROOM_FREEING), -ENOSPC);
	th_ok(th_chunk_reserve(fixture.store, 100));
	th_expect(th_store_room_now(fixture.store, usable - 50 * info.block_size, TH_ROOM_NORMAL), -ENOSPC);
	th_ok(th_store_room_now(fixture.store, usable - 102 * info.block_size, TH_ROOM_NORMAL));
	th_chunk_unreserve(fixture.store, 100);
	th_ok(th_store_room_now(fixture.store, usable - info.block_size, TH_ROOM_NORMAL));
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		delay_grows_towards_the_limit,
		dirty_memory_is_bounded,
		room_keeps_the_reserves,
	};

	return th_tests_run("throttle", tests, sizeof(tests) / sizeof(tests[0]));
}
