/* SPDX-License-Identifier: Apache-2.0 */
/* The privileges of a thread, as /proc shows them: in doubt it has none. */
#include "fs/fuse/caller.h"

#include <check.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"

static bool this_thread_is_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	return data[0].effective >> CAP_SYS_ADMIN & 1;
}

static int drop_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return (int)syscall(SYS_capset, &header, data);
}

static int enter_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int stay(void)
{
	return 0;
}

static pid_t child;
static int wake; /* closed: the child ends */

/* Starts a child that has changed its privileges so.  Returns whether it could. */
static bool start_child(int (*change)(void))
{
	int ready[2], end[2];
	char byte = 1;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(end), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		close(end[1]);
		byte = change() == 0;
		_exit(write(ready[1], &byte, 1) != 1 || read(end[0], &byte, 1) != 0);
	}
	close(end[0]);
	close(ready[1]);
	wake = end[1];
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return byte;
}

static void end_child(void)
{
	int status;

	close(wake);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

START_TEST(privileges_of_a_process_are_seen)
{
	ck_assert_int_eq(th_fuse_thread_is_admin(getpid()), this_thread_is_admin());
	ck_assert(start_child(stay));
	ck_assert_int_eq(th_fuse_thread_is_admin(child), this_thread_is_admin());
	end_child();
}
END_TEST

START_TEST(process_without_capabilities_is_no_administrator)
{
	ck_assert(start_child(drop_all));
	ck_assert(!th_fuse_thread_is_admin(child));
	end_child();
}
END_TEST

/* It has all capabilities, but not over the daemon. */
START_TEST(root_of_another_user_namespace_is_no_administrator)
{
	if (start_child(enter_user_namespace)) /* else the system does not allow it */
		ck_assert(!th_fuse_thread_is_admin(child));
	end_child();
}
END_TEST

START_TEST(unknown_threads_are_no_administrators)
{
	ck_assert(!th_fuse_thread_is_admin(0));
	ck_assert(!th_fuse_thread_is_admin(-1));
	ck_assert(start_child(stay));
	end_child();
	ck_assert(!th_fuse_thread_is_admin(child));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("caller");
	TCase *tc = tcase_create("privileges");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, privileges_of_a_process_are_seen);
	tcase_add_test(tc, process_without_capabilities_is_no_administrator);
	tcase_add_test(tc, root_of_another_user_namespace_is_no_administrator);
	tcase_add_test(tc, unknown_threads_are_no_administrators);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
