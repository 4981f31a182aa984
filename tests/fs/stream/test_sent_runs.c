/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stream/sent_runs.h"

#include "tests/support/random.h"
#include "tests/support/suite.h"

START_TEST(each_block_is_found_where_it_was_sent)
{
	struct th_random random = { th_test_seed("sent-runs") };
	static uint64_t inode_of[20000], block_of[20000]; /* by address; inode 0: not sent */
	struct th_sent_runs runs = { 0 };

	for (unsigned i = 0; i < 300; i++) {
		uint64_t addr = th_random_below(&random, 19000), inode = i + 1, block = th_random_below(&random, 1000);
		uint32_t blocks = th_random_between(&random, 1, 256), free_blocks = 0;

		while (free_blocks < blocks && !inode_of[addr + free_blocks])
			free_blocks++;
		if (free_blocks < blocks)
			continue;
		ck_assert_int_eq(th_sent_runs_add(&runs, addr, blocks, inode, block), 0);
		for (uint32_t k = 0; k < blocks; k++) {
			inode_of[addr + k] = inode;
			block_of[addr + k] = block + k;
		}
	}
	for (uint64_t addr = 0; addr + 256 < 20000; addr++) {
		uint64_t inode, block;
		uint32_t want = th_random_between(&random, 1, 256), same = 1;
		uint32_t found = th_sent_runs_find(&runs, addr, want, &inode, &block);

		while (same < want && inode_of[addr + same] == inode_of[addr])
			same++;
		if (inode_of[addr]) {
			ck_assert_uint_eq(found, same);
			ck_assert_uint_eq(inode, inode_of[addr]);
			ck_assert_uint_eq(block, block_of[addr]);
		} else {
			ck_assert_uint_eq(found, 0);
			ck_assert_uint_eq(block, same);
		}
	}
	th_sent_runs_release(&runs);
}
END_TEST

START_TEST(nothing_is_found_in_an_empty_table)
{
	struct th_sent_runs runs = { 0 };
	uint64_t inode, block;

	ck_assert_uint_eq(th_sent_runs_find(&runs, 5, 7, &inode, &block), 0);
	ck_assert_uint_eq(block, 7);
	th_sent_runs_release(&runs);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("sent_runs");
	TCase *tests = tcase_create("sent_runs");

	tcase_add_test(tests, each_block_is_found_where_it_was_sent);
	tcase_add_test(tests, nothing_is_found_in_an_empty_table);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return th_suite_run(suite());
}
