/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/holds.h"

#include <check.h>

#include "tests/support/suite.h"
#include "tests/tools/capture.h"
#include "tests/tools/image_file.h"
#include "tools/command.h"

static char path[64];
static struct th_capture capture;
static struct th_target *target;
static struct th_control_snapshot *snapshots;
static struct th_control_held *holds;
static size_t nsnapshots, nholds;

/* Two snapshots: `one` with four holds, `two` without. */
static void setup(void)
{
	static const char *const tags[] = { "a", "b b", "c", "d" };
	struct th_control_snapshot snapshot = { 0 };

	th_image_file_create(path);
	ck_assert_int_eq(th_target_open(path, false, &target), 0);
	th_target_name("one", &snapshot.name);
	ck_assert_int_eq(th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, &snapshot), 0);
	snapshot = (struct th_control_snapshot){ 0 };
	th_target_name("two", &snapshot.name);
	ck_assert_int_eq(th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, &snapshot), 0);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct th_control_hold hold = { 0 };

		th_target_name("one", &hold.snapshot);
		th_target_name(tags[i], &hold.tag);
		ck_assert_int_eq(th_target_ask(target, TH_CONTROL_SNAPSHOT_HOLD, &hold), 0);
	}
	ck_assert_int_eq(th_target_snapshots(target, &snapshots, &nsnapshots), 0);
	ck_assert_int_eq(th_target_holds(target, &holds, &nholds), 0);
	ck_assert(nsnapshots == 2 && nholds == 4);
}

static void teardown(void)
{
	free(snapshots);
	free(holds);
	ck_assert_int_eq(th_target_close(target), 0);
	unlink(path);
}

START_TEST(a_tag_is_found_on_its_snapshot_only)
{
	ck_assert(th_holds_has(holds, nholds, &snapshots[0], "b b"));
	ck_assert(!th_holds_has(holds, nholds, &snapshots[0], "b"));
	ck_assert(!th_holds_has(holds, nholds, &snapshots[1], "a"));
	ck_assert(!th_holds_has(NULL, 0, &snapshots[0], "a"));
}
END_TEST

START_TEST(the_report_names_three_tags_and_counts_the_others)
{
	char expected[256];

	th_capture_begin(&capture);
	ck_assert_int_eq(th_holds_report(target, &snapshots[0], "snapshot '%s'", "one"), TH_EXIT_FAILED);
	th_capture_end(&capture);
	snprintf(expected, sizeof(expected),
		 "thunderhead: %s: snapshot 'one' is held by 'a', 'b\\0040b', 'c' and 1 more; "
		 "see thunderhead snapshot release\n",
		 path);
	ck_assert_str_eq(capture.text, expected);
}
END_TEST

START_TEST(the_list_has_the_holds_of_the_named_snapshots)
{
	char one[] = "one", two[] = "two", none[] = "none", *names[] = { one, two }, *missing[] = { none };
	unsigned lines = 0;

	th_capture_begin(&capture);
	ck_assert_int_eq(th_holds_list(target, false, 2, names), TH_EXIT_DONE);
	th_capture_end(&capture);
	for (const char *at = capture.text; *at; at++)
		lines += *at == '\n';
	ck_assert_uint_eq(lines, 4);
	ck_assert_int_eq(strncmp(capture.text, "one  a  20", 10), 0);
	th_capture_begin(&capture);
	ck_assert_int_eq(th_holds_list(target, false, 1, names + 1), TH_EXIT_DONE);
	ck_assert_str_eq(th_capture_end(&capture), "");
	th_capture_begin(&capture);
	ck_assert_int_eq(th_holds_list(target, false, 1, missing), TH_EXIT_FAILED);
	ck_assert_ptr_nonnull(strstr(th_capture_end(&capture), "there is no snapshot 'none'"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("holds");
	TCase *tc = tcase_create("holds");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_tag_is_found_on_its_snapshot_only);
	tcase_add_test(tc, the_report_names_three_tags_and_counts_the_others);
	tcase_add_test(tc, the_list_has_the_holds_of_the_named_snapshots);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
