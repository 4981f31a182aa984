/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking reads under a lock, and their retry. */
#include "fs/inode/retry.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "fs/dir/dir.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static unsigned attempts;

/* Fails with -EINPROGRESS so many times, then returns `result`. */
static int after(unsigned failures, int result)
{
	return attempts++ < failures ? -EINPROGRESS : result;
}

START_TEST(attempt_is_repeated_until_another_result)
{
	static const int results[] = { 0, 1, -EIO };

	for (unsigned i = 0; i < 3; i++) {
		attempts = 0;
		ck_assert_int_eq(TH_RETRY(after(i, results[i])), results[i]);
		ck_assert_uint_eq(attempts, i + 1);
	}
}
END_TEST

static int try_lock(struct th_inode *inode, unsigned failures)
{
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&inode->lock), EBUSY);
	return after(failures, 5);
}

START_TEST(lock_is_held_during_an_attempt_only)
{
	struct th_inode inode = { .id = 1 };

	pthread_rwlock_init(&inode.lock, NULL);
	attempts = 0;
	ck_assert_int_eq(TH_RETRY_LOCKED(&inode, try_lock(&inode, 2)), 5);
	ck_assert_uint_eq(attempts, 3);
	ck_assert_int_eq(pthread_rwlock_trywrlock(&inode.lock), 0);
	pthread_rwlock_unlock(&inode.lock);
	pthread_rwlock_destroy(&inode.lock);
}
END_TEST

#define NAMES 4000 /* several nodes, of which a mount reads only the root */

static void make_names(void)
{
	char path[16];

	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	}
}

/* One attempt, as the functions that take locks do it. */
static int find_once(const char *name)
{
	struct th_dirent entry;

	attempts++;
	return TH_NOWAIT(th_dir_find(scene.fs->root, th_scene_slice(name), &entry));
}

START_TEST(cold_read_fails_at_once_and_succeeds_after_the_retry)
{
	struct th_dirent entry;
	bool retried = false;
	char name[16];

	th_scene_open(&scene, NULL);
	make_names();
	th_scene_reopen(&scene);
	for (unsigned i = 0; i < NAMES; i += 100) {
		snprintf(name, sizeof(name), "%u", i);
		attempts = 0;
		ck_assert_int_eq(TH_RETRY(find_once(name)), 0);
		retried |= attempts > 1;
	}
	ck_assert(retried);
	ck_assert_int_eq(TH_RETRY(find_once("none")), -ENOENT);
	/* Outside of the macros reads block. */
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_dir_find(scene.fs->root, th_scene_slice("7"), &entry), 0);
	th_scene_close(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retry");
	TCase *tcase = tcase_create("retry");

	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, attempt_is_repeated_until_another_result);
	tcase_add_test(tcase, lock_is_held_during_an_attempt_only);
	tcase_add_test(tcase, cold_read_fails_at_once_and_succeeds_after_the_retry);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
