/* SPDX-License-Identifier: Apache-2.0 */
/* Updates change store and memory together, or neither. */
#include "fs/inode/update.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static struct th_inode *a, *b;

static void get_both(void)
{
	a = th_scene_get(&scene, "/a");
	b = th_scene_get(&scene, "/b");
}

static void put_both(void)
{
	th_inode_put(a);
	th_inode_put(b);
}

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/a", S_IFREG | 0600), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/b", S_IFREG | 0600), 0);
	get_both();
}

static void teardown(void)
{
	put_both();
	th_scene_close(&scene);
}

static void reopen(void)
{
	put_both();
	th_scene_reopen(&scene);
	get_both();
}

/* Changes owner and name of both inodes, and ends the update with this error. */
static int change_both(int err)
{
	struct th_update update;

	pthread_rwlock_wrlock(&a->lock);
	pthread_rwlock_wrlock(&b->lock);
	ck_assert_int_eq(th_update_begin(&update, scene.fs), 0);
	th_update_attr(&update, a)->uid = 1;
	th_update_attr(&update, b)->uid = 2;
	ck_assert_ptr_eq(th_update_attr(&update, a), &update.items[0].attr);
	ck_assert_uint_eq(a->attr.uid, 0);
	ck_assert_int_eq(th_update_name(&update, a, 7, th_scene_slice("first")), 0);
	ck_assert_int_eq(th_update_name(&update, a, 8, th_scene_slice("second")), 0);
	err = th_update_end(&update, err);
	pthread_rwlock_unlock(&b->lock);
	pthread_rwlock_unlock(&a->lock);
	return err;
}

START_TEST(commit_changes_memory_and_store)
{
	ck_assert_int_eq(change_both(0), 0);
	/* The entries still have the old names: only the records of the inodes have changed. */
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(a->attr.uid, 1);
		ck_assert_uint_eq(b->attr.uid, 2);
		ck_assert_uint_eq(a->attr.parent, 8);
		ck_assert_uint_eq(a->parent, 8);
		ck_assert_uint_eq(a->attr.name_size, 6);
		ck_assert_mem_eq(a->attr.name, "second", 6);
		reopen();
	}
}
END_TEST

START_TEST(failure_changes_neither)
{
	ck_assert_int_eq(change_both(-EDOM), -EDOM);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(a->attr.uid, 0);
		ck_assert_uint_eq(b->attr.uid, 0);
		ck_assert_uint_eq(a->attr.parent, TH_ROOT_ID);
		ck_assert_uint_eq(a->attr.name_size, 1);
		reopen();
	}
}
END_TEST

START_TEST(committed_update_makes_the_inode_clean)
{
	struct th_update update;

	a->attr_dirty = true;
	ck_assert_int_eq(th_update_begin(&update, scene.fs), 0);
	th_update_attr(&update, a);
	ck_assert_int_eq(th_update_end(&update, -EIO), -EIO);
	ck_assert(a->attr_dirty);
	ck_assert_int_eq(th_update_begin(&update, scene.fs), 0);
	th_update_attr(&update, a);
	ck_assert_int_eq(th_update_end(&update, 0), 0);
	ck_assert(!a->attr_dirty);
}
END_TEST

START_TEST(name_can_be_removed)
{
	struct th_update update;

	ck_assert_int_eq(th_update_begin(&update, scene.fs), 0);
	ck_assert_int_eq(th_update_name(&update, a, 0, (struct th_slice){ "", 0 }), 0);
	ck_assert_int_eq(th_update_end(&update, 0), 0);
	ck_assert_uint_eq(a->attr.name_size, 0);
	ck_assert_ptr_null(a->attr.name);
}
END_TEST

START_TEST(read_only_filesystem_refuses)
{
	struct th_update update;

	put_both();
	scene.options.read_only = true;
	th_scene_reopen(&scene);
	get_both();
	ck_assert_int_eq(th_update_begin(&update, scene.fs), -EROFS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("update");
	TCase *tcase = tcase_create("updates");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, commit_changes_memory_and_store);
	tcase_add_test(tcase, failure_changes_neither);
	tcase_add_test(tcase, committed_update_makes_the_inode_clean);
	tcase_add_test(tcase, name_can_be_removed);
	tcase_add_test(tcase, read_only_filesystem_refuses);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
