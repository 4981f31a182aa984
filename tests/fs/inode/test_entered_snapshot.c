/* SPDX-License-Identifier: Apache-2.0 */
/* Entered snapshots: shared by pair of snapshot and directory, and readable after deletion until the last put. */
#include "fs/inode/entered_snapshot.h"

#include <check.h>
#include <errno.h>

#include "fs/format/key.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static uint64_t one, two;

static void setup(void)
{
	struct th_snapshot snapshot;

	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", &snapshot), 0);
	one = snapshot.id;
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "two", &snapshot), 0);
	two = snapshot.id;
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static struct th_entered_snapshot *enter(uint64_t snapshot, uint64_t root)
{
	struct th_entered_snapshot *entered;

	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, snapshot, root, &entered), 0);
	ck_assert_uint_ne(entered->number, 0);
	return entered;
}

START_TEST(same_pair_is_shared_and_others_have_other_numbers)
{
	struct th_entered_snapshot *a = enter(one, TH_ROOT_ID), *again = enter(one, TH_ROOT_ID);
	struct th_entered_snapshot *b = enter(two, TH_ROOT_ID), *c = enter(one, 2);

	ck_assert_ptr_eq(a, again);
	ck_assert_uint_eq(a->refs, 2);
	ck_assert_uint_ne(a->number, b->number);
	ck_assert_uint_ne(a->number, c->number);
	ck_assert_uint_ne(b->number, c->number);
	ck_assert_ptr_eq(th_entered_snapshot_ref(scene.fs, a), a);
	ck_assert_uint_eq(a->refs, 3);
	for (unsigned i = 0; i < 3; i++)
		th_entered_snapshot_put(scene.fs, a);
	th_entered_snapshot_put(scene.fs, b);
	th_entered_snapshot_put(scene.fs, c);
	ck_assert_ptr_null(scene.fs->snapshots);
}
END_TEST

START_TEST(missing_snapshot_is_enoent)
{
	struct th_entered_snapshot *entered;

	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, 999, TH_ROOT_ID, &entered), -ENOENT);
	ck_assert_ptr_null(scene.fs->snapshots);
}
END_TEST

START_TEST(deleted_snapshot_stays_readable_until_the_last_put)
{
	struct th_entered_snapshot *a = enter(one, TH_ROOT_ID), *b = enter(one, 2), *c = enter(two, TH_ROOT_ID);
	struct th_fs_key key = th_fs_key_inode(TH_ROOT_ID);
	struct th_value value;

	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "one"), 0);
	ck_assert(a->deleted && b->deleted && !c->deleted);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), a->number);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, a->number), b->number);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, b->number), 0);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(th_get(a->view, th_fs_key_slice(&key), &value), 0);
	th_value_release(&value);
	th_entered_snapshot_put(scene.fs, a);
	th_entered_snapshot_put(scene.fs, b);
	th_entered_snapshot_put(scene.fs, c);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), 0);
}
END_TEST

START_TEST(numbers_in_use_are_skipped_when_they_wrap_around)
{
	struct th_entered_snapshot *a = enter(one, 1), *b = enter(one, 2), *c;

	ck_assert_uint_eq(a->number, 1);
	ck_assert_uint_eq(b->number, 2);
	scene.fs->next_number = TH_SNAPDIR_SNAPSHOT - 1;
	c = enter(one, 3);
	ck_assert_uint_eq(c->number, TH_SNAPDIR_SNAPSHOT - 1);
	th_entered_snapshot_put(scene.fs, a);
	a = enter(one, 4);
	ck_assert_uint_eq(a->number, 1);
	th_entered_snapshot_put(scene.fs, c);
	c = enter(one, 5);
	ck_assert_uint_eq(c->number, 3);
	th_entered_snapshot_put(scene.fs, a);
	th_entered_snapshot_put(scene.fs, b);
	th_entered_snapshot_put(scene.fs, c);
}
END_TEST

START_TEST(base_of_the_mount_has_number_0)
{
	scene.options.snapshot = "one";
	th_scene_reopen(&scene);
	ck_assert_ptr_nonnull(scene.fs->base);
	ck_assert_uint_eq(scene.fs->base->number, 0);
	ck_assert_uint_eq(scene.fs->base->id, one);
	struct th_entered_snapshot *entered = enter(one, TH_ROOT_ID);

	ck_assert_ptr_ne(entered, scene.fs->base);
	th_entered_snapshot_put(scene.fs, entered);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entered_snapshot");
	TCase *tcase = tcase_create("entered snapshots");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, same_pair_is_shared_and_others_have_other_numbers);
	tcase_add_test(tcase, missing_snapshot_is_enoent);
	tcase_add_test(tcase, deleted_snapshot_stays_readable_until_the_last_put);
	tcase_add_test(tcase, numbers_in_use_are_skipped_when_they_wrap_around);
	tcase_add_test(tcase, base_of_the_mount_has_number_0);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
