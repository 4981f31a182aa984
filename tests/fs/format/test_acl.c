/* SPDX-License-Identifier: Apache-2.0 */
/* Access control lists as values: validation, and conversion between lists and modes. */
#include "fs/format/acl.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fs/acl_list.h"
#include "tests/support/random.h"
#include "tests/support/suite.h"

#define NONE TH_ACL_LIST_NO_ID

static bool valid(struct th_acl_list list)
{
	return th_acl_valid(th_acl_list_slice(&list));
}

START_TEST(valid_lists_are_accepted)
{
	ck_assert(valid(th_acl_list_minimal()));
	ck_assert(valid(th_acl_list_full(7)));
	ck_assert(valid(TH_ACL_LIST({ 1, 7, NONE }, { 4, 7, NONE }, { 16, 0, NONE }, { 32, 0, NONE })));
	ck_assert(valid(TH_ACL_LIST({ 1, 7, 0 }, { 2, 7, 0 }, { 2, 7, 1 }, { 4, 0, NONE }, { 8, 1, 5 }, { 8, 2, 4 },
				    { 16, 7, NONE }, { 32, 0, NONE })));
}
END_TEST

START_TEST(invalid_lists_are_refused)
{
	struct th_acl_list list = th_acl_list_full(7);

	for (size_t size = 0; size < list.size; size++)
		ck_assert(!th_acl_valid((struct th_slice){ list.bytes, size }));
	list.bytes[0] = 1;
	ck_assert(!valid(list));
	/* a required entry is missing */
	ck_assert(!valid(TH_ACL_LIST({ 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE })));
	/* an entry with an id, but no mask */
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 8, 6, 7 }, { 32, 0, NONE })));
	/* twice, out of order */
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 4, 4, NONE }, { 1, 6, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 2, 6, 7 }, { 16, 7, NONE }, { 32, 0, NONE })));
	/* unknown tag, unknown permission, entry without its id */
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE }, { 64, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 6, NONE }, { 3, 6, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(!valid(TH_ACL_LIST({ 1, 8, NONE }, { 4, 4, NONE }, { 32, 0, NONE })));
	ck_assert(
		!valid(TH_ACL_LIST({ 1, 6, NONE }, { 2, 6, NONE }, { 4, 4, NONE }, { 16, 7, NONE }, { 32, 0, NONE })));
}
END_TEST

/* The sanitizer sees reads out of bounds.  Values that are accepted as lists can be used as lists. */
START_TEST(random_bytes_are_read_within_bounds)
{
	struct th_random random = { th_test_seed("acl") };

	for (unsigned i = 0; i < th_test_rounds(20000); i++) {
		struct th_acl_list list = th_acl_list_full(7);
		size_t size = th_random_below(&random, (uint32_t)list.size + 1);
		uint8_t *bytes = malloc(size + 1);

		memcpy(bytes, list.bytes, size);
		for (unsigned n = th_random_below(&random, 3); n && size; n--)
			bytes[th_random_below(&random, (uint32_t)size)] = (uint8_t)th_random_next(&random);
		bytes = realloc(bytes, size ? size : 1);
		if (th_acl_valid((struct th_slice){ bytes, size }))
			ck_assert_uint_le(th_acl_inherit(bytes, size, 0777), 0777);
		free(bytes);
	}
}
END_TEST

START_TEST(list_and_mode_convert)
{
	struct th_acl_list list = th_acl_list_full(3), small = th_acl_list_minimal();

	ck_assert(!th_acl_is_minimal(th_acl_list_slice(&list)));
	ck_assert(th_acl_is_minimal(th_acl_list_slice(&small)));
	ck_assert_uint_eq(th_acl_to_mode(th_acl_list_slice(&list), S_IFREG | 04000), S_IFREG | 04734);
	ck_assert_uint_eq(th_acl_to_mode(th_acl_list_slice(&small), 0777), 0640);
	th_acl_from_mode(list.bytes, list.size, S_IFREG | 0512);
	struct th_acl_list expected =
		TH_ACL_LIST({ 1, 5, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 1, NONE }, { 32, 2, NONE });
	ck_assert_mem_eq(list.bytes, expected.bytes, expected.size);
	th_acl_from_mode(small.bytes, small.size, 0731);
	expected = TH_ACL_LIST({ 1, 7, NONE }, { 4, 3, NONE }, { 32, 1, NONE });
	ck_assert_mem_eq(small.bytes, expected.bytes, expected.size);
}
END_TEST

START_TEST(inherited_permissions_are_the_intersection)
{
	struct th_acl_list list = th_acl_list_full(6);

	ck_assert_uint_eq(th_acl_inherit(list.bytes, list.size, S_IFREG | 0666), S_IFREG | 0664);
	struct th_acl_list expected =
		TH_ACL_LIST({ 1, 6, NONE }, { 2, 6, 7 }, { 4, 5, NONE }, { 16, 6, NONE }, { 32, 4, NONE });
	ck_assert_mem_eq(list.bytes, expected.bytes, expected.size);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acl");
	TCase *values = tcase_create("values");

	tcase_set_timeout(values, 0);
	tcase_add_test(values, valid_lists_are_accepted);
	tcase_add_test(values, invalid_lists_are_refused);
	tcase_add_test(values, random_bytes_are_read_within_bounds);
	tcase_add_test(values, list_and_mode_convert);
	tcase_add_test(values, inherited_permissions_are_the_intersection);
	suite_add_tcase(suite, values);
	return th_suite_run(suite);
}
