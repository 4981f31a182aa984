/* SPDX-License-Identifier: Apache-2.0 */
/* The radix tree of waiting pages against a plain list of block numbers. */
#include <check.h>
#include <stdlib.h>

#include "fs/data/page_tree.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define BLOCKS 400

static uint64_t pick_block(struct th_random *random)
{
	unsigned shift = th_random_below(random, 52);
	uint64_t block = th_random_next(random) & ((UINT64_C(1) << shift) - 1);

	return th_random_percent(random, 50) ? block & 255 : block;
}

/* The list's first block at or after `from`. */
static const uint64_t *list_next(const uint64_t *list, size_t count, uint64_t from)
{
	const uint64_t *next = NULL;

	for (size_t i = 0; i < count; i++)
		if (list[i] >= from && (!next || list[i] < *next))
			next = &list[i];
	return next;
}

static void compare(const struct th_page_tree *pages, const uint64_t *list, size_t count, uint64_t from)
{
	const uint64_t *expected = list_next(list, count, from);
	struct th_file_page *page;
	uint64_t block;

	ck_assert_uint_eq(pages->count, count);
	page = th_page_tree_next(pages, from, &block);
	ck_assert_int_eq(!page, !expected);
	if (page) {
		ck_assert_uint_eq(block, *expected);
		ck_assert_ptr_eq(page, th_page_tree_get(pages, block));
	}
}

START_TEST(random_operations_match_a_list)
{
	struct th_random random = { th_test_seed("pages") };
	struct th_page_tree pages = { .count = 0 };
	uint64_t list[BLOCKS];
	size_t count = 0;

	for (unsigned round = 0; round < th_test_rounds(20000); round++) {
		uint64_t block = pick_block(&random);

		if (count < BLOCKS && !th_page_tree_get(&pages, block)) {
			ck_assert_int_eq(th_page_tree_add(&pages, block, th_page_tree_alloc()), 0);
			list[count++] = block;
		} else if (count) {
			size_t i = th_random_below(&random, count);

			th_page_tree_free(th_page_tree_take(&pages, list[i]));
			ck_assert_ptr_null(th_page_tree_get(&pages, list[i]));
			list[i] = list[--count];
		}
		compare(&pages, list, count, pick_block(&random));
		if (th_random_percent(&random, 1))
			while (count)
				th_page_tree_free(th_page_tree_take(&pages, list[--count]));
	}
	while (count)
		th_page_tree_free(th_page_tree_take(&pages, list[--count]));
	ck_assert_ptr_null(pages.root);
	ck_assert_uint_eq(pages.height, 0);
}
END_TEST

START_TEST(first_and_last_block_are_found)
{
	struct th_page_tree pages = { .count = 0 };
	uint64_t block;

	ck_assert_ptr_null(th_page_tree_take(&pages, 0));
	ck_assert_int_eq(th_page_tree_add(&pages, UINT64_MAX, th_page_tree_alloc()), 0);
	ck_assert_int_eq(th_page_tree_add(&pages, 0, th_page_tree_alloc()), 0);
	ck_assert_ptr_nonnull(th_page_tree_next(&pages, 1, &block));
	ck_assert_uint_eq(block, UINT64_MAX);
	th_page_tree_free(th_page_tree_take(&pages, UINT64_MAX));
	ck_assert_ptr_null(th_page_tree_next(&pages, 1, &block));
	th_page_tree_free(th_page_tree_take(&pages, 0));
	ck_assert_ptr_null(pages.root);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pages");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, first_and_last_block_are_found);
	tcase_add_test(cases, random_operations_match_a_list);
	tcase_set_timeout(cases, 120);
	suite_add_tcase(suite, cases);
	return th_suite_run(suite);
}
