/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/checksum.h"

#include "tests/journal/suite.h"

/* The format names the function, so an image can be read by other programs and on other processors. */
START_TEST(checksum_is_xxh3_without_seed)
{
	char *block = th_test_block(0x5a);

	ck_assert_uint_eq(th_checksum("", 0), UINT64_C(0x2d06800538d394c2));
	for (size_t size = 0; size <= TH_BLOCK_SIZE; size += 61)
		th_check(th_checksum(block, size) == XXH3_64bits(block, size));
	free(block);
}
END_TEST

START_TEST(checksum_depends_on_every_bit)
{
	char *block = th_test_block(0);
	uint64_t before = th_checksum(block, TH_BLOCK_SIZE);

	for (size_t bit = 0; bit < TH_BLOCK_SIZE * 8; bit++) {
		block[bit / 8] ^= (char)(1 << bit % 8);
		th_check(th_checksum(block, TH_BLOCK_SIZE) != before);
		block[bit / 8] ^= (char)(1 << bit % 8);
	}
	free(block);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checksum");
	TCase *tcase = tcase_create("checksum");

	tcase_add_test(tcase, checksum_is_xxh3_without_seed);
	tcase_add_test(tcase, checksum_depends_on_every_bit);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
