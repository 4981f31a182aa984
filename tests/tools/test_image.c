/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/image.h"

#include <check.h>
#include <errno.h>

#include "tests/support/suite.h"
#include "tests/tools/image_fixture.h"

START_TEST(a_filesystem_opens_without_a_message)
{
	struct th_image_reporter reporter = { .path = path };
	struct th_fs *fs;

	th_capture_begin(&capture);
	ck_assert_int_eq(th_image_open(&reporter, true, NULL, &fs), 0);
	ck_assert_int_eq(th_fs_close(fs), 0);
	ck_assert_str_eq(th_capture_end(&capture), "");
	ck_assert_uint_eq(reporter.lines, 0);
}
END_TEST

START_TEST(an_image_in_use_is_reported_with_its_user)
{
	struct th_image_reporter reporter = { .path = path };
	struct th_fs *fs, *second;
	char expected[128];

	ck_assert_int_eq(th_image_open(&reporter, false, NULL, &fs), 0);
	th_capture_begin(&capture);
	ck_assert_int_lt(th_image_open(&reporter, false, NULL, &second), 0);
	th_capture_end(&capture);
	snprintf(expected, sizeof(expected), "thunderhead: %s: is in use by ", path);
	ck_assert_msg(!strncmp(capture.text, expected, strlen(expected)), "%s", capture.text);
	ck_assert_int_eq(th_fs_close(fs), 0);
}
END_TEST

START_TEST(a_file_that_is_not_an_image_is_refused)
{
	struct th_image_reporter reporter = { .path = path };
	struct th_store *store;
	struct th_fs *fs;

	ck_assert_int_eq(truncate(path, 0), 0);
	ck_assert_int_eq(truncate(path, TH_IMAGE_FILE_BYTES), 0);
	th_capture_begin(&capture);
	ck_assert_int_eq(th_image_open(&reporter, true, NULL, &fs), -EMEDIUMTYPE);
	ck_assert_int_eq(th_image_open_store(&reporter, true, &store), -EMEDIUMTYPE);
	ck_assert_ptr_nonnull(strstr(th_capture_end(&capture), "not a Thunderhead image"));
}
END_TEST

START_TEST(lines_are_counted_and_name_the_image_once)
{
	struct th_image_reporter reporter = { .path = "image" };

	th_capture_begin(&capture);
	th_image_report(&reporter, "is broken");
	th_image_report(&reporter, "image: is broken");
	ck_assert_str_eq(th_capture_end(&capture), "thunderhead: image: is broken\nthunderhead: image: is broken\n");
	ck_assert_uint_eq(reporter.lines, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");
	TCase *tc = tcase_create("image");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_filesystem_opens_without_a_message);
	tcase_add_test(tc, an_image_in_use_is_reported_with_its_user);
	tcase_add_test(tc, a_file_that_is_not_an_image_is_refused);
	tcase_add_test(tc, lines_are_counted_and_name_the_image_once);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
