/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nearest.h"

#include <check.h>

#include "tests/support/suite.h"

static const struct {
	const char *word, *hint;
} cases[] = {
	{ "snapshto", "; did you mean 'snapshot'?" }, /* exchanged */
	{ "snapsho", "; did you mean 'snapshot'?" }, /* missing */
	{ "snapshott", "; did you mean 'snapshot'?" }, /* too many */
	{ "mounr", "; did you mean 'mount'?" }, /* wrong */
	{ "dif", "; did you mean 'diff'?" },
	{ "count", "; did you mean 'mount'?" },
	{ "mkfs", "; did you mean 'mkfs'?" },
	{ "c", "" },
	{ "xy", "" },
	{ "", "" },
	{ "something", "" },
	{ "snapshotsnapshotsnapshotsnapshotsnapshot", "" },
};

START_TEST(nearest_name_is_found)
{
	static const char *const names[] = { "mkfs", "mount", "snapshot", "diff", "cp" };
	struct th_nearest nearest = { .word = cases[_i].word };
	char text[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		th_nearest_try(&nearest, names[i]);
	ck_assert_str_eq(th_nearest_hint(&nearest, text, sizeof(text)), cases[_i].hint);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nearest");
	TCase *tc = tcase_create("nearest");

	tcase_add_loop_test(tc, nearest_name_is_found, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
