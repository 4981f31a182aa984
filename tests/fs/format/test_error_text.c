/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of errors: of either sign, and naming the process that uses an image. */
#include "fs/format/error_text.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/support/suite.h"

START_TEST(sign_of_the_errno_does_not_matter)
{
	static const int errors[] = { EMEDIUMTYPE, EUCLEAN, EBADMSG, ENODATA, EPROTONOSUPPORT, EPFNOSUPPORT };

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		ck_assert_str_eq(th_error_text(errors[i]), th_error_text(-errors[i]));
		ck_assert_str_ne(th_error_text(errors[i]), strerror(errors[i]));
	}
	ck_assert_str_eq(th_error_text(-ENOENT), strerror(ENOENT));
}
END_TEST

START_TEST(image_in_use_names_the_process)
{
	char path[] = "/tmp/thunderhead-test-XXXXXX", text[TH_ERROR_TEXT_MAX], expected[64];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(th_error_text_image(path, -EBUSY, text), "is in use by another process");
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	snprintf(expected, sizeof(expected), "is in use by process %ld", (long)getpid());
	/* /proc/locks may be empty in a container: then the process is unknown. */
	th_error_text_image(path, EWOULDBLOCK, text);
	if (strcmp(text, "is in use by another process") != 0)
		ck_assert_str_eq(text, expected);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(other_errors_of_an_image_have_the_plain_text)
{
	char text[TH_ERROR_TEXT_MAX];

	ck_assert_str_eq(th_error_text_image("/none", -EUCLEAN, text), th_error_text(EUCLEAN));
	ck_assert_str_eq(th_error_text_image("/none", -ENOENT, text), strerror(ENOENT));
	ck_assert_str_eq(th_error_text_image("/none", -EBUSY, text), "is in use by another process");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("error_text");
	TCase *tcase = tcase_create("texts");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, sign_of_the_errno_does_not_matter);
	tcase_add_test(tcase, image_in_use_names_the_process);
	tcase_add_test(tcase, other_errors_of_an_image_have_the_plain_text);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
