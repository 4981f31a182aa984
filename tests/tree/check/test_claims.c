/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of blocks: which runs can be claimed, and that data of many snapshots counts once. */
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/check/check.h"

static struct th_check check;

static void begin(void)
{
	check = (struct th_check){ .super = { .blocks = 100000 } };
}

static void end(void)
{
	free(check.claims.event);
	free(check.claims.snapshot);
}

/* Claims of one kind for a block. */
static int64_t claims_of(enum th_claim claim, uint64_t block)
{
	int64_t count = 0;

	for (size_t i = 0; i < check.claims.count; i++)
		if (check.claims.event[i].claim == claim && check.claims.event[i].at <= block)
			count += check.claims.event[i].count;
	return count;
}

START_TEST(runs_outside_the_image_are_recognized)
{
	begin();
	ck_assert(th_check_inside(&check, 1, 1));
	ck_assert(th_check_inside(&check, 1, 99999));
	ck_assert(th_check_inside(&check, 99999, 1));
	ck_assert(!th_check_inside(&check, 0, 1)); /* the first superblock */
	ck_assert(!th_check_inside(&check, 5, 0));
	ck_assert(!th_check_inside(&check, 1, 100000));
	ck_assert(!th_check_inside(&check, 100000, 1));
	ck_assert(!th_check_inside(&check, 99999, UINT64_MAX)); /* their sum would wrap around */
	ck_assert(!th_check_inside(&check, UINT64_MAX, UINT64_MAX));
	end();
}
END_TEST

START_TEST(claims_of_one_block_add_up)
{
	begin();
	th_ok(th_check_claim(&check, TH_CLAIM_LIVE_DATA, 10, 4, 1));
	th_ok(th_check_claim(&check, TH_CLAIM_LIVE_DATA, 12, 4, 3));
	th_ok(th_check_claim(&check, TH_CLAIM_USED, 12, 1, 1));
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 9), 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 10), 1);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 13), 4);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 14), 3);
	ck_assert_int_eq(claims_of(TH_CLAIM_LIVE_DATA, 16), 0);
	ck_assert_int_eq(claims_of(TH_CLAIM_USED, 12), 1);
	end();
}
END_TEST

START_TEST(data_of_snapshots_counts_once)
{
	begin();
	th_ok(th_check_claim_snapshot(&check, 50, 10));
	th_ok(th_check_claim_snapshot(&check, 10, 5));
	th_ok(th_check_claim_snapshot(&check, 15, 5)); /* touches */
	th_ok(th_check_claim_snapshot(&check, 12, 2)); /* within */
	th_ok(th_check_claim_snapshot(&check, 55, 10)); /* overlaps */
	th_ok(th_check_claim_snapshot_data(&check));
	for (uint64_t block = 0; block < 80; block++)
		ck_assert_int_eq(claims_of(TH_CLAIM_SNAPSHOT_DATA, block),
				 (block >= 10 && block < 20) || (block >= 50 && block < 65));
	ck_assert_uint_eq(check.claims.count, 4); /* two runs */
	end();
}
END_TEST

/* A thousand snapshots that share all data need no more memory than a few. */
START_TEST(shared_data_of_snapshots_needs_no_memory_for_each)
{
	begin();
	for (unsigned snapshot = 0; snapshot < 1000; snapshot++)
		for (uint64_t addr = 0; addr < 100; addr++)
			th_ok(th_check_claim_snapshot(&check, 10 + 20 * addr, 10));
	ck_assert_uint_le(check.claims.snapshot_capacity, 512);
	th_ok(th_check_claim_snapshot_data(&check));
	ck_assert_uint_eq(check.claims.count, 200);
	ck_assert_int_eq(claims_of(TH_CLAIM_SNAPSHOT_DATA, 10), 1);
	ck_assert_int_eq(claims_of(TH_CLAIM_SNAPSHOT_DATA, 20), 0);
	end();
}
END_TEST

START_TEST(snapshots_without_data_claim_nothing)
{
	begin();
	th_ok(th_check_claim_snapshot_data(&check));
	ck_assert_uint_eq(check.claims.count, 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { runs_outside_the_image_are_recognized, claims_of_one_block_add_up,
				       data_of_snapshots_counts_once, shared_data_of_snapshots_needs_no_memory_for_each,
				       snapshots_without_data_claim_nothing };

	return th_tests_run("check_claims", tests, sizeof(tests) / sizeof(tests[0]));
}
