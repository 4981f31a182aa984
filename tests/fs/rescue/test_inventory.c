/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory of a tree: what is found, and by which of the places that have a name. */
#include "fs/rescue/inventory.h"

#include <check.h>
#include <dirent.h>

#include "fs/dir/dir.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

static struct th_inventory take(void)
{
	struct th_inventory inventory;

	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(th_inventory_take(scene.fs->live, &inventory), 0);
	return inventory;
}

static void drop_key(const struct th_fs_key *key)
{
	struct th_txn *txn;

	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(th_txn_begin(scene.fs->store, &txn), 0);
	ck_assert_int_eq(th_txn_delete(txn, th_fs_key_slice(key)), 0);
	ck_assert_int_eq(th_txn_commit(txn), 0);
}

START_TEST(every_inode_and_name_is_found_once)
{
	struct th_inventory inventory;
	struct th_found_name *names;
	size_t count;

	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/d/b"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/d/b", "/d/a"), 0);
	inventory = take();
	ck_assert_uint_eq(inventory.inodes_count, 3);
	ck_assert_uint_eq(inventory.names_count, 3);
	ck_assert_uint_eq(inventory.holes_count + inventory.malformed, 0);
	ck_assert_ptr_nonnull(th_inventory_inode(&inventory, TH_ROOT_ID));
	ck_assert_ptr_null(th_inventory_inode(&inventory, 1000));
	names = th_inventory_names(&inventory, th_scene_id(&scene, "/d"), &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(names[0].name, "a");
	ck_assert_str_eq(names[1].name, "b");
	ck_assert_uint_eq(names[0].id, th_scene_id(&scene, "/d/b"));
	ck_assert_uint_eq(names[0].type, DT_REG);
	th_inventory_names(&inventory, 1000, &count);
	ck_assert_uint_eq(count, 0);
	th_inventory_release(&inventory);
}
END_TEST

/* An entry of the directory is lost: the inode has the name.  The inode is lost: the entry has it. */
START_TEST(name_is_found_in_either_place)
{
	struct th_inventory inventory;
	struct th_found_name *names;
	struct th_fs_key key;
	uint64_t id;
	size_t count;

	ck_assert_int_eq(make_file("/f"), 0);
	ck_assert_int_eq(make_dir("/g"), 0);
	id = th_scene_id(&scene, "/f");
	key = th_fs_key_entry(TH_ROOT_ID, th_dir_hash(scene.fs, th_scene_slice("f")), "f", 1);
	drop_key(&key);
	key = th_fs_key_inode(th_scene_id(&scene, "/g"));
	drop_key(&key);
	inventory = take();
	names = th_inventory_names(&inventory, TH_ROOT_ID, &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(names[0].name, "f");
	ck_assert_uint_eq(names[0].id, id);
	ck_assert_str_eq(names[1].name, "g");
	ck_assert_uint_eq(names[1].type, DT_DIR);
	ck_assert_ptr_null(th_inventory_inode(&inventory, names[1].id));
	th_inventory_release(&inventory);
}
END_TEST

START_TEST(malformed_records_are_counted)
{
	struct th_inventory inventory;
	struct th_fs_key key = th_fs_key_inode(77);

	th_scene_put(&scene, &key, "x", 1);
	key = th_fs_key_entry(TH_ROOT_ID, 5, "x", 1);
	th_scene_put(&scene, &key, "x", 1);
	inventory = take();
	ck_assert_uint_eq(inventory.malformed, 2);
	ck_assert_uint_eq(inventory.inodes_count, 1);
	th_inventory_release(&inventory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inventory");
	TCase *tcase = tcase_create("inventory");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_inode_and_name_is_found_once);
	tcase_add_test(tcase, name_is_found_in_either_place);
	tcase_add_test(tcase, malformed_records_are_counted);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
