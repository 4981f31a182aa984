/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids and inode numbers: what has a number of 32 bits, and that no two inodes have the same number. */
#include "fs/inode/inode_number.h"

#include <check.h>
#include <stdlib.h>

#include "tests/support/suite.h"
#include "tree/thunderhead.h"

/* Around each limit of the encodings. */
static const uint64_t snapshots[] = { 0,    1,     2,     63,    64,       511,      512,      4095,
				      4096, 16383, 16384, 65535, 1u << 22, 0x7ffffc, 0x7ffffd, TH_SNAPDIR_SNAPSHOT };
static const uint64_t ids[] = { 1,
				2,
				32767,
				32768,
				131071,
				131072,
				(1u << 20) - 1,
				1u << 20,
				(1u << 23) - 1,
				1u << 23,
				(1u << 31) - 1,
				1u << 31,
				UINT32_MAX,
				UINT64_C(1) << 32,
				UINT64_C(1) << 39,
				TH_ID_MAX };
static const unsigned depths[] = { 0, 1, 2, 254, TH_NODE_DEPTH_MAX };

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void expect_distinct(uint64_t *numbers, size_t count)
{
	qsort(numbers, count, sizeof(*numbers), compare);
	for (size_t i = 1; i < count; i++)
		ck_assert_uint_ne(numbers[i - 1], numbers[i]);
}

START_TEST(a_node_id_is_parsed_to_its_parts)
{
	static uint64_t nodes[COUNT(snapshots) * COUNT(ids) * COUNT(depths)];
	size_t count = 0;

	for (size_t s = 0; s < COUNT(snapshots); s++) {
		for (size_t i = 0; i < COUNT(ids); i++) {
			for (size_t d = 0; d < COUNT(depths) && (!d || ids[i] <= UINT32_MAX); d++) {
				uint64_t node = th_node_id((struct th_node_parts){ snapshots[s], depths[d], ids[i] });
				struct th_node_parts parts = th_node_id_parse(node);

				ck_assert_uint_eq(parts.snapshot, snapshots[s]);
				ck_assert_uint_eq(parts.depth, depths[d]);
				ck_assert_uint_eq(parts.id, ids[i]);
				nodes[count++] = node;
			}
		}
	}
	expect_distinct(nodes, count);
	ck_assert_uint_eq(th_node_id((struct th_node_parts){ .id = TH_ROOT_ID }), TH_ROOT_ID);
}
END_TEST

START_TEST(a_depth_that_does_not_fit_is_left_out)
{
	struct th_node_parts deep = { 7, TH_NODE_DEPTH_MAX + 1, 5 }, large = { 7, 1, UINT64_C(1) << 32 };

	ck_assert_uint_eq(th_node_id(deep), th_node_id((struct th_node_parts){ 7, 0, 5 }));
	ck_assert_uint_eq(th_node_id(large), th_node_id((struct th_node_parts){ 7, 0, UINT64_C(1) << 32 }));
}
END_TEST

START_TEST(inode_numbers_are_distinct)
{
	static uint64_t numbers[COUNT(snapshots) * COUNT(ids)];
	size_t count = 0;

	for (size_t s = 0; s < COUNT(snapshots); s++) {
		for (size_t i = 0; i < COUNT(ids); i++)
			numbers[count++] = th_inode_number(snapshots[s], ids[i], false);
	}
	expect_distinct(numbers, count);
	ck_assert_uint_ne(numbers[0], 0);
}
END_TEST

START_TEST(inode_numbers_have_32_bits_where_they_fit)
{
	ck_assert_uint_eq(th_inode_number(0, 1, false), 1);
	ck_assert_uint_eq(th_inode_number(0, (1u << 31) - 1, false), (1u << 31) - 1);
	ck_assert_uint_gt(th_inode_number(0, 1u << 31, false), UINT32_MAX);
	ck_assert_uint_le(th_inode_number(63, (1u << 23) - 1, false), UINT32_MAX);
	ck_assert_uint_le(th_inode_number(511, (1u << 20) - 1, false), UINT32_MAX);
	ck_assert_uint_le(th_inode_number(4095, (1u << 17) - 1, false), UINT32_MAX);
	ck_assert_uint_le(th_inode_number(16383, (1u << 15) - 1, false), UINT32_MAX);
	ck_assert_uint_gt(th_inode_number(16384, 1, false), UINT32_MAX);
	ck_assert_uint_gt(th_inode_number(64, 1u << 20, false), UINT32_MAX);
	ck_assert_uint_le(th_inode_number(TH_SNAPDIR_SNAPSHOT, (1u << 23) - 1, false), UINT32_MAX);
	ck_assert_uint_gt(th_inode_number(TH_SNAPDIR_SNAPSHOT, 1u << 23, false), UINT32_MAX);
}
END_TEST

START_TEST(narrow_inode_numbers_have_32_bits_always)
{
	for (size_t s = 0; s < COUNT(snapshots); s++) {
		for (size_t i = 0; i < COUNT(ids); i++) {
			uint64_t narrow = th_inode_number(snapshots[s], ids[i], true);
			uint64_t number = th_inode_number(snapshots[s], ids[i], false);

			ck_assert_uint_le(narrow, UINT32_MAX);
			if (number <= UINT32_MAX)
				ck_assert_uint_eq(narrow, number);
			else
				ck_assert_uint_ge(narrow, 1u << 31); /* none that a file of the live tree has */
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode_number");
	TCase *tcase = tcase_create("numbers");

	tcase_add_test(tcase, a_node_id_is_parsed_to_its_parts);
	tcase_add_test(tcase, a_depth_that_does_not_fit_is_left_out);
	tcase_add_test(tcase, inode_numbers_are_distinct);
	tcase_add_test(tcase, inode_numbers_have_32_bits_where_they_fit);
	tcase_add_test(tcase, narrow_inode_numbers_have_32_bits_always);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
