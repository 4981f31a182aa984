/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks differ, from hand-made extents of two views. */
#include "fs/diff/diff_content.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tree/chunk.h"

#define BLOCK TH_BLOCK_SIZE

static struct th_diff_content content;
static const struct th_slice none;

/* The values of one call; they must stay valid until its end only. */
struct value {
	struct th_extent_disk head;
	struct th_le64 checksums[TH_RUN_MAX];
};

static void setup(void)
{
	th_diff_content_init(&content, true);
}

static void teardown(void)
{
	th_diff_content_release(&content);
}

/* Makes a run of blocks at `addr` with the checksums first, first + 1, ... */
static struct th_slice run(struct value *value, uint64_t addr, uint16_t blocks, uint64_t first)
{
	*value = (struct value){ .head = { .kind = TH_EXTENT_RUN } };
	value->head.blocks = th_le16(blocks);
	value->head.addr = th_le64(addr);
	value->head.birth = th_le64(5);
	for (unsigned i = 0; i < blocks; i++)
		value->checksums[i] = th_le64(first + i);
	return (struct th_slice){ value, sizeof(value->head) + blocks * sizeof(value->checksums[0]) };
}

static struct th_slice unwritten(struct value *value, uint16_t blocks)
{
	run(value, 1000, blocks, 0);
	value->head.kind = TH_EXTENT_UNWRITTEN;
	return (struct th_slice){ value, sizeof(value->head) };
}

static void add(uint64_t block, struct th_slice from, struct th_slice to)
{
	const char *why;

	ck_assert_int_eq(th_diff_content_add(&content, block, from, to, &why), 0);
}

static void end(void)
{
	ck_assert_int_eq(th_diff_content_end(&content), 0);
	ck_assert(content.differs == !!content.nranges);
}

static void expect_range(size_t nth, uint64_t offset, uint64_t length)
{
	ck_assert_uint_lt(nth, content.nranges);
	ck_assert_uint_eq(content.ranges[nth].offset, offset);
	ck_assert_uint_eq(content.ranges[nth].length, length);
}

START_TEST(moved_blocks_do_not_differ)
{
	struct value from, to;

	th_diff_content_begin(&content, 10 * BLOCK);
	add(0, run(&from, 100, 4, 1), run(&to, 200, 4, 1));
	end();
	ck_assert_uint_eq(content.nranges, 0);
}
END_TEST

/* One extent in the older view, two in the newer one. */
START_TEST(extents_of_different_lengths_are_compared_block_by_block)
{
	struct value from, to;

	th_diff_content_begin(&content, 10 * BLOCK);
	add(0, run(&from, 100, 6, 1), run(&to, 200, 2, 1));
	add(2, none, run(&to, 300, 4, 50));
	end();
	ck_assert_uint_eq(content.nranges, 1);
	expect_range(0, 2 * BLOCK, 4 * BLOCK);
}
END_TEST

START_TEST(a_new_extent_over_a_hole_differs)
{
	struct value value;

	th_diff_content_begin(&content, 10 * BLOCK);
	add(3, none, run(&value, 100, 2, 1));
	end();
	expect_range(0, 3 * BLOCK, 2 * BLOCK);
	th_diff_content_begin(&content, 10 * BLOCK);
	add(3, run(&value, 100, 2, 1), none);
	end();
	expect_range(0, 3 * BLOCK, 2 * BLOCK);
}
END_TEST

START_TEST(blocks_of_zeros_do_not_differ_from_holes)
{
	static const uint8_t zeros[BLOCK];
	struct value value;
	struct th_slice slice = run(&value, 100, 1, th_chunk_checksum(zeros));

	th_diff_content_begin(&content, 10 * BLOCK);
	add(3, none, slice);
	end();
	ck_assert(!content.differs);
	th_diff_content_begin(&content, 10 * BLOCK);
	add(3, none, unwritten(&value, 5));
	end();
	ck_assert(!content.differs);
}
END_TEST

START_TEST(inline_data_is_compared_with_a_padded_block)
{
	uint8_t block[BLOCK] = "inline data";
	struct value from, to;
	struct th_slice inlined = { &from, sizeof(from.head) + 11 };

	from = (struct value){ .head = { .kind = TH_EXTENT_INLINE } };
	memcpy(from.checksums, block, 11);
	th_diff_content_begin(&content, BLOCK);
	add(0, inlined, run(&to, 100, 1, th_chunk_checksum(block)));
	end();
	ck_assert(!content.differs);
	th_diff_content_begin(&content, BLOCK);
	add(0, inlined, run(&to, 100, 1, 1));
	end();
	ck_assert(content.differs);
}
END_TEST

START_TEST(content_past_the_newer_end_is_ignored)
{
	struct value from, to;

	th_diff_content_begin(&content, 2 * BLOCK + 100);
	add(0, run(&from, 100, 10, 1), run(&to, 200, 3, 50));
	end();
	ck_assert_uint_eq(content.nranges, 1);
	expect_range(0, 0, 2 * BLOCK + 100);
}
END_TEST

START_TEST(adjacent_blocks_are_one_range)
{
	struct value from, to;

	th_diff_content_begin(&content, 100 * BLOCK);
	add(0, run(&from, 100, 2, 1), run(&to, 200, 2, 50));
	add(2, run(&from, 300, 2, 1), run(&to, 400, 2, 50));
	add(5, run(&from, 500, 1, 1), run(&to, 600, 1, 50));
	end();
	ck_assert_uint_eq(content.nranges, 2);
	expect_range(0, 0, 4 * BLOCK);
	expect_range(1, 5 * BLOCK, BLOCK);
	ck_assert(!content.rough);
}
END_TEST

START_TEST(without_ranges_only_the_difference_is_known)
{
	struct value from, to;

	th_diff_content_init(&content, false);
	th_diff_content_begin(&content, 100 * BLOCK);
	add(0, run(&from, 100, 2, 1), run(&to, 200, 2, 50));
	ck_assert_int_eq(th_diff_content_end(&content), 0);
	ck_assert(content.differs);
	ck_assert_uint_eq(content.nranges, 0);
}
END_TEST

/* Then the last range covers all of the rest. */
START_TEST(too_many_ranges_become_rough)
{
	const uint64_t count = TH_DIFF_CONTENT_RANGES_MAX + 10;
	const struct th_fs_change_range *last;
	struct value from, to;

	th_diff_content_begin(&content, 2 * count * BLOCK);
	for (uint64_t i = 0; i < count; i++)
		add(2 * i, run(&from, 100, 1, 1), run(&to, 200, 1, 50));
	end();
	ck_assert_uint_eq(content.nranges, TH_DIFF_CONTENT_RANGES_MAX);
	ck_assert(content.rough);
	last = &content.ranges[content.nranges - 1];
	ck_assert_uint_eq(last->offset + last->length, (2 * count - 1) * BLOCK);
}
END_TEST

START_TEST(malformed_extents_are_refused)
{
	static uint8_t large[TH_DIFF_CONTENT_VALUE_MAX + 1];
	const char *why = NULL;
	struct value value;

	th_diff_content_begin(&content, 100 * BLOCK);
	add(0, run(&value, 100, 4, 1), none);
	ck_assert_int_eq(th_diff_content_add(&content, 3, run(&value, 200, 1, 1), none, &why), -EUCLEAN);
	ck_assert_str_eq(why, "extents overlap");
	th_diff_content_begin(&content, 100 * BLOCK);
	ck_assert_int_eq(th_diff_content_add(&content, 3, none, (struct th_slice){ large, sizeof(large) }, &why),
			 -EUCLEAN);
	ck_assert_str_eq(why, "extent value too long");
	ck_assert_int_eq(th_diff_content_add(&content, 3, none, (struct th_slice){ large, 3 }, &why), -EUCLEAN);
	ck_assert_ptr_nonnull(why);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diff_content");
	TCase *tc = tcase_create("diff_content");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, moved_blocks_do_not_differ);
	tcase_add_test(tc, extents_of_different_lengths_are_compared_block_by_block);
	tcase_add_test(tc, a_new_extent_over_a_hole_differs);
	tcase_add_test(tc, blocks_of_zeros_do_not_differ_from_holes);
	tcase_add_test(tc, inline_data_is_compared_with_a_padded_block);
	tcase_add_test(tc, content_past_the_newer_end_is_ignored);
	tcase_add_test(tc, adjacent_blocks_are_one_range);
	tcase_add_test(tc, without_ranges_only_the_difference_is_known);
	tcase_add_test(tc, too_many_ranges_become_rough);
	tcase_add_test(tc, malformed_extents_are_refused);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
