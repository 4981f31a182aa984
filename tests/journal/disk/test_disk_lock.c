/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of files.  Those of loop devices are in tests/mount/double_mount.sh, which may make such devices. */
#include "journal/disk/disk_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/journal/disk/disks.h"

START_TEST(lock_is_of_the_file_and_not_of_its_name)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	struct th_disk *disk, *second;
	char name[512];

	snprintf(name, sizeof(name), "%s.link", path);
	th_ok(_i ? symlink(path, name) : link(path, name));
	th_ok(th_disk_open(path, 0, &disk));
	ck_assert_int_eq(th_disk_open(name, 0, &second), -EBUSY);
	ck_assert_int_eq(th_disk_open(name, TH_DISK_READ_ONLY, &second), -EBUSY);
	th_disk_close(disk);
	th_ok(th_disk_open(name, 0, &second));
	th_disk_close(second);
	th_ok(unlink(name));
}
END_TEST

START_TEST(every_hold_keeps_the_lock)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	struct th_disk *disk, *second;

	th_ok(th_disk_open(path, 0, &disk));
	th_ok(th_disk_hold(disk, TH_DISK_HOLD_MOUNTED));
	ck_assert_int_eq(th_disk_open(path, 0, &second), -EBUSY);
	th_ok(th_disk_hold(disk, TH_DISK_HOLD_CLAIMED));
	ck_assert_int_eq(th_disk_open(path, 0, &second), -EBUSY);
	th_disk_close(disk);
}
END_TEST

struct waiter {
	const char *path;
	struct th_disk *disk;
	atomic_bool opened;
	int err;
};

static void *wait_for_lock(void *arg)
{
	struct waiter *waiter = arg;

	waiter->err = th_disk_open(waiter->path, TH_DISK_READ_ONLY, &waiter->disk);
	waiter->opened = true;
	return NULL;
}

/* The pause is longer than the one after which a process gives up that finds the image locked for good. */
START_TEST(disk_that_is_being_left_is_waited_for)
{
	struct waiter waiter = { .path = th_test_file(TH_BLOCK_SIZE * 8) };
	struct th_disk *disk;
	pthread_t thread;

	th_ok(th_disk_open(waiter.path, 0, &disk));
	th_ok(th_disk_hold(disk, TH_DISK_HOLD_LEAVING));
	th_ok(pthread_create(&thread, NULL, wait_for_lock, &waiter));
	usleep(600000);
	ck_assert(!waiter.opened);
	th_disk_close(disk);
	th_ok(pthread_join(thread, NULL));
	th_ok(waiter.err);
	th_disk_close(waiter.disk);
}
END_TEST

START_TEST(bottom_of_a_file_is_the_file)
{
	const char *path = th_test_file(TH_BLOCK_SIZE * 8);
	struct stat status, bottom;

	th_ok(stat(path, &status));
	th_ok(th_disk_lock_bottom(path, &bottom));
	ck_assert(status.st_ino == bottom.st_ino && status.st_dev == bottom.st_dev);
	ck_assert_int_eq(th_disk_lock_bottom("/no/such/file", &bottom), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("disk_lock");
	TCase *tc = tcase_create("files");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, lock_is_of_the_file_and_not_of_its_name, 0, 2);
	tcase_add_test(tc, every_hold_keeps_the_lock);
	tcase_add_test(tc, disk_that_is_being_left_is_waited_for);
	tcase_add_test(tc, bottom_of_a_file_is_the_file);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
