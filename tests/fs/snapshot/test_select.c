/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/snapshot/select.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/support/suite.h"

/* The first letter is the branch, the rest the name. */
static const char *const snapshots[] = { "1a", "1b", "2x", "1a..c", "1day-1", "1c", "2day-2", "1d*", "2y", "1..z" };

#define COUNT (sizeof(snapshots) / sizeof(snapshots[0]))

static void fill(struct th_select *list)
{
	for (size_t i = 0; i < COUNT; i++)
		list[i] = (struct th_select){ .name = snapshots[i] + 1,
					      .branch = (uint64_t)snapshots[i][0],
					      .created_ns = 100 * (i + 1) };
}

/* Checks that just these are selected: a word for each. */
static void expect(const struct th_select *list, const char *words)
{
	char found[256] = "";

	for (size_t i = 0; i < COUNT; i++) {
		if (list[i].selected)
			strcat(strcat(found, *found ? " " : ""), list[i].name);
	}
	ck_assert_str_eq(found, words);
}

static const struct {
	const char *term;
	int err;
	const char *words;
} terms[] = {
	{ "a", 0, "a" },
	{ "x", 0, "x" },
	{ "A", -ENOENT, "" },
	{ "", -ENOENT, "" },
	{ "none", -ENOENT, "" },
	/* ranges */
	{ "a..b", 0, "a b" },
	{ "b..c", 0, "b a..c day-1 c" }, /* only of this branch */
	{ "x..y", 0, "x day-2 y" },
	{ "c..c", 0, "c" },
	{ "day-1..", 0, "day-1 c d* ..z" },
	{ "..b", 0, "a b" },
	{ "c..a", -ERANGE, "" },
	{ "a..x", -EXDEV, "" },
	{ "a..none", -ENOENT, "" },
	{ "none..a", -ENOENT, "" },
	{ "..none", -ENOENT, "" },
	{ "..", -ENOENT, "" },
	/* a name is a name, whatever it looks like */
	{ "a..c", 0, "a..c" },
	{ "a..c..c", 0, "a..c day-1 c" },
	{ "..z", 0, "..z" },
	{ "b....z", 0, "b a..c day-1 c d* ..z" },
	{ "d*", 0, "d*" },
	/* patterns */
	{ "day*", 0, "day-1 day-2" },
	{ "?", 0, "a b x c y" },
	{ "[xy]", 0, "x y" },
	{ "*", 0, "a b x a..c day-1 c day-2 d* y ..z" },
	{ "d[*]", 0, "d*" },
	{ "q*", -ENOENT, "" },
	{ "*..*", 0, "a..c ..z" },
};

START_TEST(term_selects)
{
	struct th_select list[COUNT];

	fill(list);
	ck_assert_int_eq(th_select_term(list, COUNT, terms[_i].term), terms[_i].err);
	expect(list, terms[_i].words);
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_int_eq(list[i].by_name, strcmp(list[i].name, terms[_i].term) == 0);
}
END_TEST

START_TEST(terms_add_up_and_age_limits_them)
{
	struct th_select list[COUNT];

	fill(list);
	ck_assert_int_eq(th_select_term(list, COUNT, "a..b"), 0);
	ck_assert_int_eq(th_select_term(list, COUNT, "day*"), 0);
	ck_assert_int_eq(th_select_term(list, COUNT, "none"), -ENOENT);
	expect(list, "a b day-1 day-2");
	th_select_older(list, COUNT, 500); /* day-1 is of just that time */
	expect(list, "a b");
	th_select_all(list, COUNT);
	th_select_older(list, COUNT, UINT64_MAX);
	expect(list, "a b x a..c day-1 c day-2 d* y ..z");
}
END_TEST

START_TEST(empty_list_has_nothing)
{
	ck_assert_int_eq(th_select_term(NULL, 0, "a"), -ENOENT);
	ck_assert_int_eq(th_select_term(NULL, 0, "*"), -ENOENT);
	ck_assert_int_eq(th_select_term(NULL, 0, "a.."), -ENOENT);
}
END_TEST

START_TEST(special_terms)
{
	ck_assert(th_select_is_special("a*") && th_select_is_special("a..b") && th_select_is_special("[a]"));
	ck_assert(!th_select_is_special("a.b") && !th_select_is_special("day-1") && !th_select_is_special(""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("select");
	TCase *tc = tcase_create("select");

	tcase_add_loop_test(tc, term_selects, 0, sizeof(terms) / sizeof(terms[0]));
	tcase_add_test(tc, terms_add_up_and_age_limits_them);
	tcase_add_test(tc, empty_list_has_nothing);
	tcase_add_test(tc, special_terms);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
