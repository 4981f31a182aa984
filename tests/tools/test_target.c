/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/target.h"

#include <check.h>
#include <errno.h>

#include "tests/support/suite.h"
#include "tests/tools/image_fixture.h"

static struct th_target *open_target(bool read_only)
{
	struct th_target *target;

	ck_assert_int_eq(th_target_open(path, read_only, &target), 0);
	ck_assert(!th_target_mounted(target));
	ck_assert_str_eq(th_target_path(target), path);
	return target;
}

static int create(struct th_target *target, const char *name)
{
	struct th_control_snapshot request = { 0 };

	ck_assert_int_eq(th_target_name(name, &request.name), 0);
	return th_target_ask(target, TH_CONTROL_SNAPSHOT_CREATE, &request);
}

START_TEST(an_image_answers_requests)
{
	struct th_control_info info = { 0 };
	struct th_target *target = open_target(true);

	ck_assert_int_eq(th_target_ask(target, TH_CONTROL_INFO, &info), 0);
	ck_assert_uint_eq(th_get_le64(info.blocks) * th_get_le64(info.block_size), TH_IMAGE_FILE_BYTES);
	ck_assert_int_eq(create(target, "s"), -EROFS);
	ck_assert_int_eq(th_target_close(target), 0);
}
END_TEST

START_TEST(lists_longer_than_a_request_are_complete)
{
	struct th_target *target = open_target(false);
	struct th_control_snapshot *list;
	char name[32];
	size_t count;

	ck_assert_int_eq(th_target_snapshots(target, &list, &count), 0);
	ck_assert_uint_eq(count, 0);
	free(list);
	for (int i = 0; i < 2 * TH_CONTROL_LIST_MAX + 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		ck_assert_int_eq(create(target, name), 0);
		if (i == TH_CONTROL_LIST_MAX - 1 || i == TH_CONTROL_LIST_MAX) {
			ck_assert_int_eq(th_target_snapshots(target, &list, &count), 0);
			ck_assert_uint_eq(count, (size_t)i + 1);
			free(list);
		}
	}
	ck_assert_int_eq(th_target_close(target), 0);
	target = open_target(true); /* closing has made them durable */
	ck_assert_int_eq(th_target_snapshots(target, &list, &count), 0);
	ck_assert_uint_eq(count, 2 * TH_CONTROL_LIST_MAX + 1);
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "s%zu", i);
		ck_assert_str_eq(list[i].name.text, name);
	}
	free(list);
	ck_assert_int_eq(th_target_close(target), 0);
}
END_TEST

START_TEST(a_name_that_is_too_long_is_refused)
{
	char name[TH_SNAPSHOT_NAME_MAX + 2];
	struct th_control_name result;

	memset(name, 'x', sizeof(name));
	name[TH_SNAPSHOT_NAME_MAX + 1] = 0;
	ck_assert_int_eq(th_target_name(name, &result), -ENAMETOOLONG);
	name[TH_SNAPSHOT_NAME_MAX] = 0;
	ck_assert_int_eq(th_target_name(name, &result), 0);
	ck_assert_str_eq(result.text, name);
}
END_TEST

START_TEST(other_directories_and_missing_files_are_reported)
{
	struct th_target *target;

	th_capture_begin(&capture);
	ck_assert_int_lt(th_target_open("/proc", true, &target), 0);
	ck_assert_int_eq(th_target_open("/nonexistent", true, &target), -ENOENT);
	th_capture_end(&capture);
	ck_assert_ptr_nonnull(strstr(capture.text, "thunderhead: /proc: not a directory of a mounted Thunderhead"));
	ck_assert_ptr_nonnull(strstr(capture.text, "thunderhead: /nonexistent: No such file or directory"));
	ck_assert_int_eq(th_target_close(NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("target");
	TCase *tc = tcase_create("target");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_image_answers_requests);
	tcase_add_test(tc, lists_longer_than_a_request_are_complete);
	tcase_add_test(tc, a_name_that_is_too_long_is_refused);
	tcase_add_test(tc, other_directories_and_missing_files_are_reported);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
