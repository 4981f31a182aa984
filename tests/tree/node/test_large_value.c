/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of large values: packing keeps them, and malformed ones are refused. */
#include "tests/tree/nodes.h"

#include "tree/node/large_value.h"

static struct th_large_value sample(unsigned runs)
{
	struct th_large_value large = { .checksum = 42, .runs = runs };

	for (unsigned i = 0; i < runs; i++) {
		large.run[i] = (struct th_run){ 100 + 10 * i, i, i % 3 + 1 };
		large.size += large.run[i].blocks * TH_BLOCK_SIZE;
	}
	large.size -= 5;
	return large;
}

static struct th_slice pack(const struct th_large_value *large, uint8_t *space)
{
	return (struct th_slice){ space, th_large_value_pack(large, space) };
}

START_TEST(packing_keeps_a_descriptor)
{
	uint8_t space[TH_LARGE_VALUE_DISK_MAX];
	struct th_large_value large = sample(TH_LARGE_VALUE_RUNS_MAX), found;

	th_ok(th_large_value_unpack(pack(&large, space), &found));
	ck_assert_uint_eq(found.size, large.size);
	ck_assert_uint_eq(found.checksum, 42);
	ck_assert_uint_eq(found.runs, TH_LARGE_VALUE_RUNS_MAX);
	for (unsigned i = 0; i < large.runs; i++) {
		ck_assert_uint_eq(found.run[i].addr, large.run[i].addr);
		ck_assert_uint_eq(found.run[i].birth, large.run[i].birth);
		ck_assert_uint_eq(found.run[i].blocks, large.run[i].blocks);
	}
}
END_TEST

static void expect_refused(const struct th_large_value *large)
{
	uint8_t space[TH_LARGE_VALUE_DISK_MAX];
	struct th_large_value found;

	th_expect(th_large_value_unpack(pack(large, space), &found), -EUCLEAN);
}

START_TEST(malformed_descriptors_are_refused)
{
	uint8_t space[TH_LARGE_VALUE_DISK_MAX];
	struct th_large_value large = sample(2), found;
	struct th_slice packed = pack(&large, space);

	for (size_t size = 0; size < packed.size; size++)
		th_expect(th_large_value_unpack((struct th_slice){ space, size }, &found), -EUCLEAN);
	space[6] = 1; /* reserved */
	th_expect(th_large_value_unpack(packed, &found), -EUCLEAN);
	large.run[1].addr = 0;
	expect_refused(&large);
	large = sample(2);
	large.run[0].blocks = 0;
	expect_refused(&large);
	large = sample(2);
	large.size += TH_BLOCK_SIZE; /* more than its runs hold */
	expect_refused(&large);
	large = sample(1);
	large.run[0].blocks = TH_RUN_MAX + 1;
	large.size = (TH_RUN_MAX + 1) * TH_BLOCK_SIZE;
	expect_refused(&large);
	large.runs = 0;
	large.size = 0;
	expect_refused(&large);
}
END_TEST

START_TEST(a_dropped_value_adds_its_runs)
{
	uint8_t space[TH_LARGE_VALUE_DISK_MAX];
	struct th_large_value large = sample(3);
	struct th_drops drops = { 0 }, all = { 0 };

	th_ok(th_large_value_drop(pack(&large, space), &drops));
	ck_assert_uint_eq(drops.count, 3);
	ck_assert_uint_eq(drops.runs[2].addr, 120);
	th_ok(th_drops_append(&all, &drops));
	th_ok(th_drops_append(&all, &drops));
	th_ok(th_drops_append(&all, &(struct th_drops){ 0 }));
	ck_assert_uint_eq(all.count, 6);
	ck_assert_uint_eq(all.runs[5].addr, 120);
	space[0] ^= 1 << 4;
	space[1] = 0xff;
	th_expect(th_large_value_drop((struct th_slice){ space, 76 }, &drops), -EUCLEAN);
	ck_assert_uint_eq(drops.count, 3);
	th_drops_release(&drops);
	th_drops_release(&all);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { packing_keeps_a_descriptor, malformed_descriptors_are_refused,
				       a_dropped_value_adds_its_runs };

	return th_tests_run("large_value", tests, sizeof(tests) / sizeof(tests[0]));
}
