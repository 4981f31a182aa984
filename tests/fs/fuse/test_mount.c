/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts that fail before anything is mounted: each reports the reason in one line, and leaves the image unlocked. */
#include "fs/fuse/mount.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/tools/image_fixture.h"

/* Mounts in a process of its own, which gives up descriptors and rights.  Returns its exit status and what it
 * printed. */
static int mount_elsewhere(const struct th_mount_options *mount, char *text, size_t size)
{
	FILE *file = tmpfile();
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(file);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fileno(file), STDOUT_FILENO);
		dup2(fileno(file), STDERR_FILENO);
		status = th_mount_run(mount);
		fflush(NULL);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	rewind(file);
	size = fread(text, 1, size - 1, file);
	text[size] = 0;
	fclose(file);
	return WEXITSTATUS(status);
}

/* Mounts, which must fail with one line that has this text, and leaves the image to others. */
static void expect_failure(const char *image, const char *directory, const char *options, const char *text)
{
	const struct th_mount_options mount = {
		.image = image, .directory = directory, .options = options, .foreground = true
	};
	struct th_disk *disk;
	const char *line = capture.text;

	ck_assert_int_eq(mount_elsewhere(&mount, capture.text, sizeof(capture.text)), 1);
	ck_assert_msg(strstr(line, text) != NULL, "expected '%s', found '%s'", text, line);
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	ck_assert_int_eq(th_disk_open(path, 0, &disk), 0);
	th_disk_close(disk);
}

START_TEST(the_mount_point_must_be_a_directory)
{
	expect_failure(path, "/nonexistent", NULL, "cannot mount on /nonexistent: No such file or directory");
	expect_failure(path, path, NULL, "Not a directory");
}
END_TEST

START_TEST(an_image_that_is_not_there_is_named)
{
	expect_failure("/nonexistent.img", "/tmp", NULL, "cannot mount /nonexistent.img: ");
}
END_TEST

START_TEST(a_missing_part_of_the_image_is_named)
{
	expect_failure(path, "/tmp", "subdir=none", "there is no directory none\n");
	expect_failure(path, "/tmp", "snapshot=none", "there is no snapshot none (see thunderhead snapshot list)");
	expect_failure(path, "/tmp", "branch=none", "there is no branch none (see thunderhead branch list)");
	expect_failure(path, "/tmp", "snapshot=s,subdir=d", "there is no snapshot s with directory d");
}
END_TEST

/* Longer than any line that is usual. */
START_TEST(the_message_about_a_missing_directory_is_whole)
{
	char options[3000] = "subdir=", *at = options + strlen(options);

	while (at < options + 2500)
		at += sprintf(at, "%0100d/", 0);
	strcpy(at, "end");
	expect_failure(path, "/tmp", options, "/end\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fuse_mount");
	TCase *tc = tcase_create("mount");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_mount_point_must_be_a_directory);
	tcase_add_test(tc, an_image_that_is_not_there_is_named);
	tcase_add_test(tc, a_missing_part_of_the_image_is_named);
	tcase_add_test(tc, the_message_about_a_missing_directory_is_whole);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
