/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap compared with one byte per block. */
#include "journal/space/space_map.h"
#include "tests/journal/suite.h"

static struct th_space_map map;
static uint8_t *model;
static uint64_t blocks;

static uint64_t model_run(uint64_t addr, uint64_t limit)
{
	uint64_t end = addr;

	while (end < blocks && end - addr < limit && model[end] == model[addr])
		end++;
	return end - addr;
}

static bool model_find(uint64_t from, uint64_t to, uint32_t least, uint64_t *ret)
{
	for (uint64_t addr = from; addr < to; addr += model_run(addr, blocks)) {
		if (!model[addr] && model_run(addr, blocks) >= least) {
			*ret = addr;
			return true;
		}
	}
	return false;
}

static void check_find(struct th_random *random)
{
	uint64_t from = th_random_below(random, (uint32_t)blocks),
		 to = from + th_random_below(random, (uint32_t)blocks);
	uint64_t found = 0, expected = 0;
	uint32_t least = 1 + th_random_below(random, 1u << th_random_below(random, 17));
	bool is, should;

	if (th_random_percent(random, 30))
		from = 0;
	if (to > blocks)
		to = blocks;
	is = th_space_map_find(&map, from, to, least, &found);
	should = model_find(from, to, least, &expected);
	th_check(is == should);
	th_check(!is || found == expected);
}

static void check_used(struct th_random *random)
{
	uint64_t from = th_random_below(random, (uint32_t)blocks), addr, length, at = from;
	bool found = th_space_map_next_used(&map, from, &addr, &length);

	while (at < blocks && !model[at])
		at++;
	th_check(found == (at < blocks));
	th_check(!found || (addr == at && length == model_run(at, blocks)));
}

static void check_run(struct th_random *random)
{
	uint64_t addr = th_random_below(random, (uint32_t)blocks), limit = 1 + th_random_below(random, 70000);
	bool used;

	th_check(th_space_map_run(&map, addr, limit, &used) == model_run(addr, limit));
	th_check(used == model[addr]);
	if (limit <= blocks - addr) {
		bool all = model_run(addr, limit) == limit;

		th_check(th_space_map_all(&map, addr, limit, true) == (all && model[addr]));
		th_check(th_space_map_all(&map, addr, limit, false) == (all && !model[addr]));
	}
}

static void change(struct th_random *random)
{
	uint64_t addr = th_random_below(random, (uint32_t)blocks);
	uint64_t length = 1 + th_random_below(random, 1u << th_random_below(random, 17));
	bool used = th_random_percent(random, 50);
	uint64_t count = 0;

	if (length > blocks - addr)
		length = blocks - addr;
	th_ok(th_space_map_set(&map, addr, length, used));
	memset(model + addr, used, length);
	for (uint64_t i = 0; i < blocks; i++)
		count += model[i];
	th_check(map.used == count);
}

START_TEST(random_changes_match_a_byte_per_block)
{
	static const uint64_t sizes[] = { 1, 63, 64, 65, 5000, 32768, 32769, 3 * 32768 - 1, 4 * 32768 + 100 };
	struct th_random random = { th_test_seed("random_changes_match_a_byte_per_block") };

	blocks = sizes[_i];
	model = calloc(blocks, 1);
	th_ok(th_space_map_init(&map, blocks));
	for (unsigned round = 0; round < th_test_rounds(600); round++) {
		change(&random);
		for (int i = 0; i < 4; i++) {
			check_run(&random);
			check_find(&random);
			check_used(&random);
		}
	}
	th_space_map_release(&map);
	free(model);
}
END_TEST

START_TEST(empty_and_outside_runs_are_not_inside)
{
	ck_assert_int_eq(th_space_map_init(&map, 0), -EINVAL);
	th_ok(th_space_map_init(&map, 100));
	ck_assert(th_space_map_inside(&map, 0, 100));
	ck_assert(th_space_map_inside(&map, 99, 1));
	ck_assert(!th_space_map_inside(&map, 99, 2));
	ck_assert(!th_space_map_inside(&map, 100, 1));
	ck_assert(!th_space_map_inside(&map, 0, 0));
	ck_assert(!th_space_map_inside(&map, UINT64_MAX, 1));
	ck_assert(!th_space_map_inside(&map, 1, UINT64_MAX));
	th_space_map_release(&map);
}
END_TEST

/* From any size to any larger one, with the last blocks used or free, all blocks used or few. */
START_TEST(blocks_that_a_map_grows_by_are_free)
{
	static const uint64_t sizes[] = { 100, 32767, 32768, 32769, 100000 };
	uint64_t from = sizes[_i % 5], found;

	for (int full = 0; full < 3; full++) {
		for (int i = _i % 5; i < 5; i++) {
			uint64_t first = full == 0 ? 0 : full == 1 ? 10 : from - 1;

			th_ok(th_space_map_init(&map, from));
			th_ok(th_space_map_set(&map, first, from - first, true));
			ck_assert(!th_space_map_find(&map, 10, from, 1000000, &found));
			th_ok(th_space_map_grow(&map, sizes[i]));
			ck_assert_uint_eq(map.blocks, sizes[i]);
			ck_assert_uint_eq(map.used, from - first);
			ck_assert(th_space_map_all(&map, first, from - first, true));
			if (i > _i % 5) {
				ck_assert(th_space_map_all(&map, from, sizes[i] - from, false));
				ck_assert(th_space_map_find(&map, from, sizes[i], (uint32_t)(sizes[i] - from), &found));
				ck_assert_uint_eq(found, from);
				th_ok(th_space_map_set(&map, from, sizes[i] - from, true));
				ck_assert_uint_eq(map.used, sizes[i] - first);
			}
			ck_assert_int_eq(th_space_map_grow(&map, sizes[i] - 1), -EINVAL);
			th_space_map_release(&map);
		}
	}
}
END_TEST

static size_t groups_with_memory(void)
{
	size_t count = 0;

	for (size_t i = 0; i < map.ntables; i++) {
		for (size_t j = 0; map.tables[i] && j < TH_SPACE_TABLE_GROUPS; j++)
			count += map.tables[i]->groups[j] != NULL;
	}
	return count;
}

/* A sparse image may claim 8 EiB: only the parts with used blocks take memory, and searches skip the others. */
START_TEST(memory_is_that_of_the_used_parts)
{
	static const uint64_t places[] = { 0, 1u << 22, UINT64_C(1) << 33, (UINT64_C(1) << 51) - 7 };
	const size_t count = sizeof(places) / sizeof(places[0]);
	uint64_t addr, length, end = 0;
	bool used;

	th_ok(th_space_map_init(&map, (UINT64_C(1) << 51) - 1));
	for (size_t i = 0; i < count; i++)
		th_ok(th_space_map_set(&map, places[i], 5, true));
	ck_assert_uint_eq(map.used, 5 * count);
	ck_assert_uint_eq(groups_with_memory(), count);
	for (size_t i = 0; i < count; i++) {
		ck_assert(th_space_map_next_used(&map, end, &addr, &length));
		ck_assert_uint_eq(addr, places[i]);
		ck_assert_uint_eq(length, 5);
		ck_assert(addr == 0 || th_space_map_run(&map, end, UINT64_MAX, &used) == addr - end);
		end = addr + length;
		ck_assert(th_space_map_find(&map, addr, map.blocks, 1, &addr));
		ck_assert_uint_eq(addr, end);
	}
	ck_assert(!th_space_map_next_used(&map, end, &addr, &length));
	ck_assert(th_space_map_find(&map, 0, map.blocks, UINT32_MAX, &addr));
	ck_assert_uint_eq(addr, places[1] + 5);
	th_ok(th_space_map_set(&map, 0, 1u << 30, false)); /* frees what is free already */
	ck_assert_uint_eq(groups_with_memory(), count);
	th_ok(th_space_map_grow(&map, UINT64_C(1) << 51));
	ck_assert_uint_eq(th_space_map_run(&map, end, UINT64_MAX, &used), 2);
	th_space_map_release(&map);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space_map");
	TCase *tcase = tcase_create("space_map");

	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, random_changes_match_a_byte_per_block, 0, 9);
	tcase_add_loop_test(tcase, blocks_that_a_map_grows_by_are_free, 0, 5);
	tcase_add_test(tcase, memory_is_that_of_the_used_parts);
	tcase_add_test(tcase, empty_and_outside_runs_are_not_inside);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
