/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of names is SipHash-2-4: results that the authors of SipHash publish, and the use of the whole key. */
#include "fs/format/name_hash.h"

#include <check.h>

#include "tests/support/suite.h"

/* Hashes of the first n bytes of 0, 1, 2 ... with the key 0, 1, ... 15. */
static const struct {
	size_t size;
	uint64_t hash;
} published[] = {
	{ 0, 0x726fdb47dd0e0e31 }, { 1, 0x74f839c593dc67fd },  { 7, 0xab0200f58b01d137 },  { 8, 0x93f5f5799a932462 },
	{ 9, 0x9e0082df0ba9e4b0 }, { 15, 0xa129ca6149be45e5 }, { 16, 0x3f2acc7f57c29bdb }, { 63, 0x958a324ceb064572 },
};

START_TEST(hashes_are_those_of_siphash)
{
	struct th_name_key key;
	uint8_t bytes[64];

	for (uint8_t i = 0; i < TH_NAME_KEY_BYTES; i++)
		key.bytes[i] = i;
	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++)
		ck_assert_uint_eq(th_name_hash(&key, bytes, published[i].size), published[i].hash);
}
END_TEST

START_TEST(each_byte_of_the_key_matters)
{
	struct th_name_key key = { { 0 } };
	uint64_t hash = th_name_hash(&key, "name", 4);

	for (unsigned i = 0; i < TH_NAME_KEY_BYTES; i++) {
		key.bytes[i] = 1;
		ck_assert_uint_ne(th_name_hash(&key, "name", 4), hash);
		key.bytes[i] = 0;
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("name_hash");
	TCase *tcase = tcase_create("siphash");

	tcase_add_test(tcase, hashes_are_those_of_siphash);
	tcase_add_test(tcase, each_byte_of_the_key_matters);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
