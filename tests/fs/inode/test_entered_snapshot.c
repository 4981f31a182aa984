/* SPDX-License-Identifier: Apache-2.0 */
/* Entered snapshots: shared, and readable after deletion until the last put. */
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
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", &snapshot), 0);
	one = snapshot.id;
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "two", &snapshot), 0);
	two = snapshot.id;
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static struct th_entered_snapshot *enter(uint64_t id)
{
	struct th_entered_snapshot *entered;

	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, id, &entered), 0);
	ck_assert_uint_eq(entered->id, id);
	return entered;
}

START_TEST(a_snapshot_is_shared)
{
	struct th_entered_snapshot *a = enter(one), *again = enter(one), *b = enter(two);

	ck_assert_ptr_eq(a, again);
	ck_assert_uint_eq(a->refs, 2);
	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(th_entered_snapshot_ref(scene.fs, a), a);
	ck_assert_uint_eq(a->refs, 3);
	for (unsigned i = 0; i < 3; i++)
		th_entered_snapshot_put(scene.fs, a);
	th_entered_snapshot_put(scene.fs, b);
	ck_assert_ptr_null(scene.fs->snapshots);
}
END_TEST

START_TEST(missing_snapshot_is_enoent)
{
	struct th_entered_snapshot *entered;

	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, 999, &entered), -ENOENT);
	ck_assert_ptr_null(scene.fs->snapshots);
	/* Its node ids would be those of other inodes. */
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, TH_SNAPDIR_SNAPSHOT, &entered), -EUCLEAN);
}
END_TEST

START_TEST(the_time_of_creation_is_kept)
{
	struct th_entered_snapshot *a = enter(one);
	struct th_snapshot info;

	ck_assert_int_eq(th_snapshot_find(scene.fs->store, "one", &info), 0);
	ck_assert_uint_eq(a->created_ns, info.created_ns);
	th_entered_snapshot_put(scene.fs, a);
}
END_TEST

START_TEST(deleted_snapshot_stays_readable_until_the_last_put)
{
	struct th_entered_snapshot *a = enter(one), *b = enter(two), *entered;
	struct th_fs_key key = th_fs_key_inode(TH_ROOT_ID);
	struct th_value value;

	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "one"), 0);
	ck_assert(a->deleted && !b->deleted);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), one);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, one), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "two"), 0);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, one), two);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(th_get(a->view, th_fs_key_slice(&key), &value), 0);
	th_value_release(&value);
	th_entered_snapshot_put(scene.fs, a);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), two);
	th_entered_snapshot_put(scene.fs, b);
	ck_assert_uint_eq(th_entered_snapshot_next_deleted(scene.fs, 0), 0);
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, one, &entered), -ENOENT);
}
END_TEST

START_TEST(depths_are_noted)
{
	static const unsigned noted[] = { 0, 1, 63, 64, TH_NODE_DEPTH_MAX };
	struct th_entered_snapshot *a = enter(one);
	unsigned count = 0;

	for (unsigned i = 0; i < 2 * sizeof(noted) / sizeof(noted[0]); i++)
		th_entered_snapshot_note_depth(a, noted[i / 2]);
	for (unsigned depth = 0; depth <= TH_NODE_DEPTH_MAX; depth++)
		count += th_entered_snapshot_has_depth(a, depth);
	ck_assert_uint_eq(count, sizeof(noted) / sizeof(noted[0]));
	for (unsigned i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
		ck_assert(th_entered_snapshot_has_depth(a, noted[i]));
	th_entered_snapshot_put(scene.fs, a);
}
END_TEST

START_TEST(base_of_the_mount_is_not_shared)
{
	scene.options.snapshot = "one";
	th_scene_reopen(&scene);
	ck_assert_ptr_nonnull(scene.fs->base);
	ck_assert_uint_eq(scene.fs->base->id, one);
	struct th_entered_snapshot *entered = enter(one);

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
	tcase_add_test(tcase, a_snapshot_is_shared);
	tcase_add_test(tcase, missing_snapshot_is_enoent);
	tcase_add_test(tcase, the_time_of_creation_is_kept);
	tcase_add_test(tcase, deleted_snapshot_stays_readable_until_the_last_put);
	tcase_add_test(tcase, depths_are_noted);
	tcase_add_test(tcase, base_of_the_mount_is_not_shared);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
