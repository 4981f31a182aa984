/* SPDX-License-Identifier: Apache-2.0 */
/* Ids are allocated upwards, and never twice. */
#include "fs/inode/inode_id.h"

#include <check.h>
#include <errno.h>

#include "fs/format/key.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static uint64_t new_id(void)
{
	uint64_t id;

	ck_assert_int_eq(th_fs_new_id(scene.fs, &id), 0);
	return id;
}

START_TEST(ids_increase_across_batches)
{
	uint64_t last = TH_ROOT_ID;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t id = new_id();

		ck_assert_uint_gt(id, last);
		last = id;
	}
}
END_TEST

START_TEST(ids_are_not_reused_after_reopening_or_a_crash)
{
	uint64_t first = new_id(), second;

	th_scene_reopen(&scene);
	second = new_id();
	ck_assert_uint_gt(second, first);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_scene_remember(&scene);
	th_scene_crash(&scene);
	ck_assert_uint_gt(new_id(), second);
}
END_TEST

START_TEST(all_ids_used_is_enospc)
{
	uint64_t id;

	scene.fs->next_id = scene.fs->reserved_id = TH_ID_MAX - 10;
	ck_assert_int_eq(th_fs_new_id(scene.fs, &id), -ENOSPC);
}
END_TEST

START_TEST(read_only_filesystem_refuses)
{
	uint64_t id;

	scene.options.read_only = true;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_fs_new_id(scene.fs, &id), -EROFS);
}
END_TEST

START_TEST(next_id_is_checked)
{
	struct th_fs_key key = th_fs_key_next_id();
	struct th_le64 values[] = { th_le64(0), th_le64(TH_ROOT_ID), th_le64(TH_ID_MAX + 1) };
	uint64_t next;

	ck_assert_int_eq(th_fs_view_next_id(scene.fs->live, &next), 0);
	ck_assert_uint_gt(next, TH_ROOT_ID);
	for (unsigned i = 0; i < 3; i++) {
		th_scene_put(&scene, &key, &values[i], sizeof(values[i]));
		ck_assert_int_eq(th_fs_view_next_id(scene.fs->live, &next), -EUCLEAN);
	}
	th_scene_put(&scene, &key, "12345", 5);
	ck_assert_int_eq(th_fs_view_next_id(scene.fs->live, &next), -EUCLEAN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inode_id");
	TCase *tcase = tcase_create("ids");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ids_increase_across_batches);
	tcase_add_test(tcase, ids_are_not_reused_after_reopening_or_a_crash);
	tcase_add_test(tcase, all_ids_used_is_enospc);
	tcase_add_test(tcase, read_only_filesystem_refuses);
	tcase_add_test(tcase, next_id_is_checked);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
