/* SPDX-License-Identifier: Apache-2.0 */
/* Remounting: a read-only daemon cannot become writable, which the lock on the image shows, and failures have a
 * reason. */
#include "fs/fuse/remount.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/tools/capture.h"

static char image[32], directory[32];
static int lock; /* the image, locked as by its daemon */
static struct th_capture capture;

static void setup(void)
{
	strcpy(image, "/tmp/th-remount-XXXXXX");
	lock = mkstemp(image);
	ck_assert_int_ge(lock, 0);
	strcpy(directory, "/tmp/th-remount-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void teardown(void)
{
	close(lock);
	unlink(image);
	rmdir(directory);
}

/* Returns the error; the message is in `capture`. */
static int remount(const char *options)
{
	th_capture_begin(&capture);
	int err = th_remount(image, directory, options, "the place");

	th_capture_end(&capture);
	return err;
}

START_TEST(a_read_only_mount_does_not_become_writable)
{
	const char *const writable[] = { "rw", "", "nosuid", "ro,rw", "ro,nodev,rw" };

	ck_assert_int_eq(flock(lock, LOCK_SH), 0);
	for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
		ck_assert_int_eq(remount(writable[i]), -EROFS);
		ck_assert_ptr_nonnull(strstr(capture.text, "cannot remount the place: it was mounted read-only"));
	}
}
END_TEST

/* mount(2) decides: nothing is mounted there, or the caller may not. */
static void expect_attempt(const char *options)
{
	int err = remount(options);

	ck_assert_int_eq(err, geteuid() == 0 ? -EINVAL : -EPERM);
	ck_assert_ptr_nonnull(strstr(capture.text, geteuid() == 0 ? "nothing is mounted there" : "the place"));
}

START_TEST(options_that_keep_it_read_only_are_tried)
{
	ck_assert_int_eq(flock(lock, LOCK_SH), 0);
	expect_attempt("ro");
	expect_attempt("rw,ro"); /* the last one counts */
	expect_attempt("nosuid,ro,unknown");
}
END_TEST

START_TEST(a_writable_mount_is_remounted_with_any_option)
{
	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	expect_attempt("rw");
	expect_attempt("ro");
	expect_attempt("");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fuse_remount");
	TCase *tc = tcase_create("remount");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_read_only_mount_does_not_become_writable);
	tcase_add_test(tc, options_that_keep_it_read_only_are_tried);
	tcase_add_test(tc, a_writable_mount_is_remounted_with_any_option);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
