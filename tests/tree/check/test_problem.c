/* SPDX-License-Identifier: Apache-2.0 */
/* Problems that a check reports: each is counted, and keys of any bytes fit the message. */
#include <stdlib.h>

#include "tests/tree/check/check_lines.h"
#include "tests/tree/fixture.h"
#include "tree/check/check.h"

START_TEST(each_problem_is_counted_and_passed_on)
{
	struct th_check_lines lines = { 0 };
	struct th_check silent = { 0 }, check = { .options = { .problem = th_check_lines_take, .arg = &lines } };
	char name[600];

	th_check_problem(&silent, "node %d", 1);
	ck_assert_uint_eq(silent.result.problems, 1);
	th_check_problem(&check, "node %d: %s", 7, "broken");
	ck_assert_str_eq(lines.text[0], "node 7: broken");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	th_check_problem(&check, "snapshot %s", name); /* cut, and one line */
	ck_assert_uint_eq(check.result.problems, 2);
	ck_assert_uint_eq(lines.count, 2);
}
END_TEST

static const char *print(const char *bytes, size_t size)
{
	static char text[TH_CHECK_KEY_TEXT];

	return th_check_key((struct th_slice){ bytes, size }, text);
}

START_TEST(a_key_is_printable_and_unambiguous)
{
	ck_assert_str_eq(print("", 0), "");
	ck_assert_str_eq(print("name", 4), "name");
	ck_assert_str_eq(print("a b", 3), "a\\x20b");
	ck_assert_str_eq(print("\\x20", 4), "\\x5cx20");
	ck_assert_str_eq(print("\0\n\x7f\xff", 4), "\\x00\\x0a\\x7f\\xff");
}
END_TEST

/* Of every length and of either kind of byte: the text ends inside its buffer, and shows that something is missing. */
START_TEST(a_long_key_is_cut)
{
	char plain[TH_KEY_MAX], escaped[TH_KEY_MAX];

	memset(plain, 'k', sizeof(plain));
	memset(escaped, 1, sizeof(escaped));
	for (size_t size = 0; size <= TH_KEY_MAX; size++) {
		const char *text = print(plain, size);

		ck_assert_uint_lt(strlen(text), TH_CHECK_KEY_TEXT);
		ck_assert(strlen(text) == size || strcmp(text + strlen(text) - 3, "...") == 0);
		ck_assert_uint_lt(strlen(print(escaped, size)), TH_CHECK_KEY_TEXT);
	}
	ck_assert_ptr_nonnull(strstr(print(escaped, sizeof(escaped)), "..."));
}
END_TEST

START_TEST(holes_keep_their_keys)
{
	struct th_check check = { 0 };
	char from[] = "from", to[] = "to";

	th_ok(th_check_add_hole(&check, th_slice_of(from), th_slice_of(to)));
	th_ok(th_check_add_hole(&check, th_slice_of(from), (struct th_slice){ NULL, 0 }));
	from[0] = to[0] = 'X'; /* the keys are copies */
	ck_assert_uint_eq(check.holes_count, 2);
	ck_assert(!check.holes[0].open && check.holes[1].open);
	ck_assert_int_eq(th_slice_compare(th_key_slice(&check.holes[0].from), th_slice_of("from")), 0);
	ck_assert_int_eq(th_slice_compare(th_key_slice(&check.holes[0].to), th_slice_of("to")), 0);
	free(check.holes);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { each_problem_is_counted_and_passed_on, a_key_is_printable_and_unambiguous,
				       a_long_key_is_cut, holes_keep_their_keys };

	return th_tests_run("check_problem", tests, sizeof(tests) / sizeof(tests[0]));
}
