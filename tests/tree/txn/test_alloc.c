/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of a transaction: within their limits, written once, and freed with the transaction. */
#include "tests/tree/fixture.h"

#include <stdlib.h>

#include "tree/chunk.h"
#include "tree/io/chunk.h"
#include "tree/txn/alloc.h"

static struct th_fixture fixture;

static struct th_txn *begin(void)
{
	struct th_txn *txn;

	th_fixture_init(&fixture, 64, NULL);
	th_ok(th_txn_begin(fixture.store, &txn));
	return txn;
}

static void end(void)
{
	th_verify_check(fixture.store, NULL);
	th_fixture_release(&fixture);
}

START_TEST(runs_have_limits)
{
	struct th_txn *txn = begin();
	struct th_run run, bad[] = { { 0, 0, 1 }, { UINT64_MAX, 0, 1 }, { 0, 0, 0 }, { 64 * 256 - 1, 0, 2 } };
	uint64_t hint = 0;

	th_expect(th_chunk_alloc(txn, 0, false, &hint, &run), -EINVAL);
	th_expect(th_chunk_alloc(txn, TH_RUN_MAX + 1, false, &hint, &run), -EINVAL);
	for (unsigned i = 0; i < 4; i++) {
		th_expect(th_chunk_drop(txn, &bad[i]), -EINVAL);
		th_expect(th_chunk_share(txn, &bad[i], &run), -EINVAL);
	}
	ck_assert_uint_eq(txn->drops.count + txn->shares.count, 0);
	th_txn_rollback(txn);
	end();
}
END_TEST

START_TEST(a_run_is_written_once_by_its_transaction)
{
	struct th_txn *txn = begin();
	struct th_run run, other;
	uint64_t hint = 0, checksum;
	uint8_t *buffer = th_disk_buffer(2 * TH_BLOCK_SIZE);

	memset(buffer, 1, 2 * TH_BLOCK_SIZE);
	checksum = th_chunk_checksum(buffer);
	th_ok(th_chunk_alloc(txn, 1, false, &hint, &run));
	other = run;
	other.addr++;
	th_expect(th_chunk_write(txn, &other, buffer, &checksum), -EINVAL);
	th_expect(th_chunk_write(txn, &run, buffer + 8, &checksum), -EINVAL);
	th_ok(th_chunk_write(txn, &run, buffer, &checksum)); /* takes the buffer over */
	buffer = th_disk_buffer(TH_BLOCK_SIZE);
	th_expect(th_chunk_write(txn, &run, buffer, &checksum), -EINVAL);
	th_ok(th_chunk_read(fixture.store, run.addr, 1, &checksum, buffer));
	ck_assert_uint_eq(buffer[TH_BLOCK_SIZE - 1], 1);
	free(buffer);
	th_txn_rollback(txn);
	end();
}
END_TEST

START_TEST(a_large_value_is_read_by_its_descriptor)
{
	struct th_txn *txn = begin();
	size_t size = 3 * TH_RUN_MAX * TH_BLOCK_SIZE / 2 + 77, descriptor_size;
	uint8_t *value = malloc(size), descriptor[TH_LARGE_VALUE_DISK_MAX];
	struct th_large_value large;
	uint32_t found_size;
	void *found;

	ck_assert_ptr_nonnull(value);
	th_value_make(value, size, th_slice_of("key"), 1);
	th_ok(th_alloc_value(txn, (struct th_slice){ value, size }, descriptor, &descriptor_size));
	th_ok(th_large_value_unpack((struct th_slice){ descriptor, descriptor_size }, &large));
	ck_assert_uint_eq(large.size, size);
	ck_assert_uint_eq(large.runs, txn->nallocs);
	th_ok(th_chunk_value_read(fixture.store, (struct th_slice){ descriptor, descriptor_size }, &found,
				  &found_size));
	ck_assert_uint_eq(found_size, size);
	ck_assert_mem_eq(found, value, size);
	free(found);
	free(value);
	th_txn_rollback(txn);
	end();
}
END_TEST

/* Reserves blocks one by one until there are none.  Returns their number. */
static uint32_t reserve_all(bool emergency)
{
	uint32_t count = 0;

	while (!th_chunk_reserve_now(fixture.store, 1, emergency))
		count++;
	return count;
}

START_TEST(half_of_the_emergency_reserve_can_be_reserved)
{
	struct th_txn *txn = begin();
	struct th_store_info info;
	uint32_t usual, more;
	struct th_run run;
	uint64_t hint = 0;

	usual = reserve_all(false);
	more = reserve_all(true);
	th_store_info(fixture.store, &info);
	ck_assert_uint_eq(info.blocks_reserved, usual + more);
	/* One block in 32 stays free for the metadata of the data. */
	ck_assert_uint_le(usual + usual / 32, info.blocks_free + info.blocks_waiting - info.blocks_emergency);
	ck_assert_uint_ge(usual + usual / 32 + 1, info.blocks_free - info.blocks_emergency);
	ck_assert_uint_eq(usual + more, info.blocks_free - info.blocks_emergency / 2);
	th_expect(th_chunk_reserve_now(fixture.store, 1, true), -ENOSPC);
	th_ok(th_chunk_alloc(txn, 1, true, &hint, &run));
	th_txn_rollback(txn);
	th_chunk_unreserve(fixture.store, usual + more - 1);
	end();
}
END_TEST

START_TEST(a_run_of_a_snapshot_is_not_freed_by_dropping_it)
{
	struct th_txn *txn = begin();
	struct th_run old, young;
	uint64_t hint = 0;

	th_ok(th_chunk_alloc(txn, 1, false, &hint, &old));
	ck_assert(th_chunk_frees(fixture.store, &old));
	th_txn_rollback(txn);
	th_ok(th_snapshot_create(fixture.store, "s", NULL));
	ck_assert(!th_chunk_frees(fixture.store, &old));
	th_ok(th_txn_begin(fixture.store, &txn));
	th_ok(th_chunk_alloc(txn, 1, false, &hint, &young));
	ck_assert(th_chunk_frees(fixture.store, &young));
	th_txn_rollback(txn);
	th_ok(th_snapshot_delete(fixture.store, "s"));
	th_ok(th_chunk_make_room(fixture.store));
	ck_assert(th_chunk_frees(fixture.store, &old));
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { runs_have_limits, a_run_is_written_once_by_its_transaction,
				       a_large_value_is_read_by_its_descriptor,
				       half_of_the_emergency_reserve_can_be_reserved,
				       a_run_of_a_snapshot_is_not_freed_by_dropping_it };

	return th_tests_run("alloc", tests, sizeof(tests) / sizeof(tests[0]));
}
