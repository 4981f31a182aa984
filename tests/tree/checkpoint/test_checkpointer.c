/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpointer: checkpoints in the background, at intervals and when much is dirty. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/state/state.h"

START_TEST(checkpoints_happen_at_intervals)
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

/* Long before the interval is over. */
START_TEST(much_dirty_memory_wakes_it)
{
	struct th_store_options options = { .checkpoint_interval_ms = 3600 * 1000, .cache_bytes = 4 << 20 };
	static const uint8_t value[2000];
	struct th_store_info before, now;
	struct th_fixture fixture;
	struct th_txn *txn;

	th_fixture_init(&fixture, 128, &options);
	th_store_info(fixture.store, &before);
	for (unsigned number = 0; fixture.store->dirty_bytes < fixture.store->dirty_soft; number++) {
		th_ok(th_txn_begin(fixture.store, &txn));
		th_ok(th_txn_put(txn, (struct th_slice){ &number, sizeof(number) },
				 (struct th_slice){ value, sizeof(value) }));
		th_ok(th_txn_commit(txn));
		th_store_info(fixture.store, &now);
		if (now.generation != before.generation)
			break;
	}
	th_fixture_put(&fixture, "key", "wakes it");
	do
		th_store_info(fixture.store, &now);
	while (now.generation == before.generation);
	th_fixture_release(&fixture);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		checkpoints_happen_at_intervals,
		much_dirty_memory_wakes_it,
	};

	return th_tests_run("checkpointer", tests, sizeof(tests) / sizeof(tests[0]));
}
