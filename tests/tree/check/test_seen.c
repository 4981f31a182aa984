/* SPDX-License-Identifier: Apache-2.0 */
/* The table of nodes that a check has looked at: it finds each address again, however large it gets. */
#include <stdlib.h>

#include "tests/tree/fixture.h"
#include "tree/check/check.h"

static struct th_seen_set set;

static void end(void)
{
	free(set.slot);
	set = (struct th_seen_set){ 0 };
}

static struct th_seen *get(uint64_t addr)
{
	struct th_seen *seen;

	th_ok(th_seen_get(&set, addr, &seen));
	ck_assert_uint_eq(seen->addr, addr);
	return seen;
}

START_TEST(a_new_address_has_an_empty_record)
{
	struct th_seen *seen = get(77);

	ck_assert_uint_eq(seen->flags, 0);
	ck_assert_uint_eq(seen->birth, 0);
	ck_assert_uint_eq(set.count, 1);
	seen->flags = TH_SEEN_LIVE;
	ck_assert_uint_eq(get(77)->flags, TH_SEEN_LIVE);
	ck_assert_uint_eq(get(78)->flags, 0);
	ck_assert_uint_eq(set.count, 2);
	end();
}
END_TEST

/* Neighbours and multiples of a large power of two, which a weak hash would put into one chain. */
START_TEST(records_survive_growth)
{
	for (uint64_t i = 1; i <= 20000; i++) {
		get(i)->birth = i;
		get(i << 40)->birth = ~i;
	}
	ck_assert_uint_eq(set.count, 40000);
	ck_assert_uint_gt(set.capacity, set.count); /* a free slot ends each search */
	for (uint64_t i = 1; i <= 20000; i++) {
		ck_assert_uint_eq(get(i)->birth, i);
		ck_assert_uint_eq(get(i << 40)->birth, ~i);
	}
	ck_assert_uint_eq(set.count, 40000);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { a_new_address_has_an_empty_record, records_survive_growth };

	return th_tests_run("check_seen", tests, sizeof(tests) / sizeof(tests[0]));
}
