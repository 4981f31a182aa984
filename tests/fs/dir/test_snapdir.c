/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual directory .snapshots: lookup, listing, and snapshots that are created, renamed and deleted in it. */
#include "fs/dir/snapdir.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0750), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/d/f", S_IFREG | 0644), 0);
	th_scene_write(&scene, "/d/f", "old");
}

static void teardown(void)
{
	th_scene_close(&scene);
}

static int snap(const char *path)
{
	struct th_slice name;
	struct th_inode *snapdir = th_scene_parent(&scene, path, &name), *inode;
	int err = th_snapdir_mkdir(snapdir, name, &inode);

	if (!err)
		th_inode_put(inode);
	th_inode_put(snapdir);
	return err;
}

static int unsnap(const char *path)
{
	struct th_slice name;
	struct th_inode *snapdir = th_scene_parent(&scene, path, &name);
	int err = th_snapdir_rmdir(snapdir, name);

	th_inode_put(snapdir);
	return err;
}

static int rename_snap(const char *directory, const char *from, const char *to, unsigned flags)
{
	struct th_inode *snapdir = th_scene_get(&scene, directory);
	int err = th_snapdir_rename(snapdir, th_scene_slice(from), th_scene_slice(to), flags);

	th_inode_put(snapdir);
	return err;
}

static int look(const char *path)
{
	struct th_inode *inode;
	int err = th_scene_find(&scene, path, &inode);

	if (!err)
		th_inode_put(inode);
	return err;
}

START_TEST(snapshot_shows_the_old_state)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	ck_assert_int_eq(snap("/.snapshots/one"), -EEXIST);
	th_scene_write(&scene, "/d/f", "new");
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/e/g", S_IFREG | 0644), 0);
	th_scene_expect(&scene, "/.snapshots/one/d/f", "old");
	/* The .snapshots of a moved directory shows its old state. */
	th_scene_expect(&scene, "/e/.snapshots/one/f", "old");
	th_scene_expect(&scene, "/e/f", "new");
	ck_assert_int_eq(look("/e/.snapshots/one/g"), -ENOENT);
	ck_assert_int_eq(look("/.snapshots/one/e"), -ENOENT);
	ck_assert_int_eq(look("/.snapshots/one/.snapshots"), -ENOENT);
	ck_assert_int_eq(look("/.snapshots/two"), -ENOENT);
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/e/.snapshots/one/f", "old");
}
END_TEST

START_TEST(entry_exists_only_if_the_snapshot_has_the_directory)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/late", S_IFDIR | 0755), 0);
	ck_assert_int_eq(snap("/.snapshots/two"), 0);
	ck_assert_int_eq(look("/late/.snapshots"), 0);
	ck_assert_int_eq(look("/late/.snapshots/one"), -ENOENT);
	ck_assert_int_eq(look("/late/.snapshots/two"), 0);
	ck_assert_int_eq(unsnap("/late/.snapshots/one"), -ENOENT);
	ck_assert_int_eq(unsnap("/late/.snapshots/two"), 0);
	ck_assert_int_eq(look("/.snapshots/two"), -ENOENT);
	/* A snapshot does not show a directory that was removed, but in use, when it was taken. */
	struct th_inode *dir = th_scene_get(&scene, "/late");

	ck_assert_int_eq(th_scene_rmdir(&scene, "/late"), 0);
	ck_assert_int_eq(snap("/.snapshots/three"), 0);
	struct th_inode *snapdir, *inode;

	ck_assert_int_eq(th_inode_get_snapdir(scene.fs, dir->id, &snapdir), 0);
	ck_assert_int_eq(th_snapdir_lookup(snapdir, th_scene_slice("three"), &inode), -ENOENT);
	th_inode_put(snapdir);
	th_inode_put(dir);
}
END_TEST

START_TEST(inode_numbers_differ_from_live_ones)
{
	struct stat live, old, virtual, up;

	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	struct th_inode *dir = th_scene_get(&scene, "/d"), *entered = th_scene_get(&scene, "/d/.snapshots/one");
	struct th_inode *snapdir = th_scene_get(&scene, "/d/.snapshots"), *parent;
	struct th_inode *other = th_scene_get(&scene, "/.snapshots/one/d");

	th_inode_stat(dir, &live);
	th_inode_stat(entered, &old);
	th_inode_stat(snapdir, &virtual);
	ck_assert_uint_eq(live.st_ino, dir->id);
	ck_assert_uint_ne(old.st_ino, live.st_ino);
	ck_assert_uint_ne(virtual.st_ino, live.st_ino);
	ck_assert_uint_ne(virtual.st_ino, old.st_ino);
	/* Two paths to one directory: the same st_ino, but two node ids for the kernel. */
	th_inode_stat(other, &up);
	ck_assert_uint_eq(up.st_ino, old.st_ino);
	ck_assert_uint_ne(th_inode_nodeid(other), th_inode_nodeid(entered));
	ck_assert_int_eq(th_namei_parent(entered, &parent), 0);
	ck_assert_ptr_eq(parent, snapdir);
	th_inode_put(parent);
	ck_assert_int_eq(th_namei_parent(snapdir, &parent), 0);
	ck_assert_ptr_eq(parent, dir);
	th_inode_put(parent);
	ck_assert_int_eq(th_namei_parent(other, &parent), 0);
	ck_assert_uint_eq(parent->id, TH_ROOT_ID);
	th_inode_put(parent);
	th_inode_put(other);
	th_inode_put(snapdir);
	th_inode_put(entered);
	th_inode_put(dir);
}
END_TEST

START_TEST(snapshot_content_is_read_only)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	struct th_inode *file = th_scene_get(&scene, "/.snapshots/one/d/f");

	ck_assert_int_eq(th_scene_make(&scene, "/.snapshots/one/x", S_IFREG | 0644), -EROFS);
	ck_assert_int_eq(th_scene_make(&scene, "/.snapshots/x", S_IFREG | 0644), -EROFS);
	ck_assert_int_eq(th_scene_unlink(&scene, "/.snapshots/one/d/f"), -EROFS);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/.snapshots/one/d"), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/.snapshots/one/d", "/x", 0), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/.snapshots/one/x", 0), -EROFS);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/.snapshots/x", 0), -EROFS);
	ck_assert_int_eq(th_scene_link(&scene, "/.snapshots/one/d/f", "/x"), -EXDEV);
	ck_assert_int_eq(th_scene_link(&scene, "/d/f", "/.snapshots/one/x"), -EROFS);
	ck_assert_int_eq(th_attr_set(file, TH_ATTR_MODE, &(struct th_attr){ .mode = 0 }), -EROFS);
	ck_assert_int_eq(th_xattr_set(file, "user.a", th_scene_slice("1"), 0), -EROFS);
	ck_assert_int_eq(th_attr_check_open(file, 2), -EROFS);
	th_inode_put(file);
	th_scene_expect(&scene, "/.snapshots/one/d/f", "old");
}
END_TEST

START_TEST(virtual_name_cannot_be_created_or_removed)
{
	ck_assert_int_eq(th_scene_make(&scene, "/d/.snapshots", S_IFREG | 0644), -EEXIST);
	ck_assert_int_eq(th_scene_make(&scene, "/d/.snapshots", S_IFDIR | 0755), -EEXIST);
	ck_assert_int_eq(th_scene_link(&scene, "/d/f", "/.snapshots"), -EEXIST);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d/.snapshots"), -EPERM);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/.snapshots"), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/.snapshots", "/x", 0), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/f", "/.snapshots", 0), -EPERM);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/f"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
	/* If it is disabled, it is a name like any other. */
	scene.options.snapdir = TH_SNAPDIR_DISABLED;
	th_scene_reopen(&scene);
	ck_assert_int_eq(look("/.snapshots"), -ENOENT);
	ck_assert_int_eq(th_scene_make(&scene, "/.snapshots", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/.snapshots"), 0);
}
END_TEST

START_TEST(another_name_frees_the_default_one)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	scene.options.snapdir_name = ".old";
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/d/.old/one/f", "old");
	ck_assert_int_eq(look("/.snapshots"), -ENOENT);
	ck_assert_int_eq(look("/d/.ol"), -ENOENT);
	ck_assert_int_eq(th_scene_make(&scene, "/d/.old", S_IFREG | 0644), -EEXIST);
	ck_assert_int_eq(th_scene_make(&scene, "/d/.snapshots", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/.snapshots", "/.snapshots", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/.snapshots", "/.old", 0), -EPERM);
	ck_assert_int_eq(th_scene_unlink(&scene, "/.snapshots"), 0);
}
END_TEST

/* Makes an entry with the name of the virtual directory while that does not exist. */
static void make_own(const char *path, uint32_t mode)
{
	scene.options.snapdir = TH_SNAPDIR_DISABLED;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_scene_make(&scene, path, mode), 0);
	scene.options.snapdir = TH_SNAPDIR_VISIBLE;
	th_scene_reopen(&scene);
}

START_TEST(own_entry_takes_the_place_of_the_virtual_directory)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	make_own("/d/.snapshots", S_IFDIR | 0755);
	struct th_inode *dir = th_scene_get(&scene, "/d"), *own = th_scene_get(&scene, "/d/.snapshots");

	ck_assert(!th_inode_is_snapdir(own));
	ck_assert(!th_snapdir_is_listed(dir));
	ck_assert(th_snapdir_is_listed(scene.fs->root));
	th_inode_put(own);
	th_inode_put(dir);
	ck_assert_int_eq(th_scene_make(&scene, "/d/.snapshots/x", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d/.snapshots"), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/.snapshots/x"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/f"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), -ENOTEMPTY);
	/* Without its own entry the directory has the virtual one again, and is empty. */
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d/.snapshots"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d/.snapshots"), -EPERM);
	th_scene_expect(&scene, "/d/.snapshots/one/f", "old");
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
}
END_TEST

START_TEST(own_entry_can_be_moved_and_replaced)
{
	make_own("/d/.snapshots", S_IFREG | 0644);
	ck_assert_int_eq(th_scene_make(&scene, "/d/.snapshots", S_IFREG | 0644), -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/f", "/d/.snapshots", 0), 0);
	th_scene_expect(&scene, "/d/.snapshots", "old");
	ck_assert_int_eq(th_scene_rename(&scene, "/d/.snapshots", "/.snapshots", 0), -EPERM);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/.snapshots", "/d/f", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/f", "/d/.snapshots", 0), -EPERM);
	ck_assert_int_eq(look("/d/.snapshots"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/.snapshots"), -EPERM);
}
END_TEST

START_TEST(renamed_snapshot_keeps_its_content)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	ck_assert_int_eq(snap("/.snapshots/two"), 0);
	ck_assert_int_eq(rename_snap("/d/.snapshots", "one", "uno", 0), 0);
	ck_assert_int_eq(rename_snap("/d/.snapshots", "one", "x", 0), -ENOENT);
	ck_assert_int_eq(rename_snap("/d/.snapshots", "uno", "two", 0), -EEXIST);
	ck_assert_int_eq(rename_snap("/d/.snapshots", "uno", "two", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(look("/.snapshots/one"), -ENOENT);
	th_scene_expect(&scene, "/.snapshots/uno/d/f", "old");
}
END_TEST

START_TEST(deleted_snapshot_stays_readable_while_entered)
{
	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	struct th_inode *file = th_scene_get(&scene, "/.snapshots/one/d/f");
	struct th_file_data data;

	ck_assert_int_eq(th_scene_unlink(&scene, "/d/f"), 0);
	ck_assert_int_eq(unsnap("/.snapshots/one"), 0);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(th_file_read(file, 0, 10, &data), 0);
	ck_assert_mem_eq(data.data, "old", 3);
	th_file_data_release(&data);
	th_inode_put(file);
	ck_assert_int_eq(look("/.snapshots/one"), -ENOENT);
}
END_TEST

START_TEST(listed_snapdir_refuses_changes)
{
	struct th_inode *dir;

	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	dir = th_scene_get(&scene, "/d");
	ck_assert(!th_snapdir_is_listed(scene.fs->root));
	ck_assert(!th_snapdir_is_listed(dir));
	th_inode_put(dir);
	for (enum th_snapdir_mode mode = TH_SNAPDIR_ROOT; mode <= TH_SNAPDIR_VISIBLE; mode++) {
		scene.options.snapdir = mode;
		th_scene_reopen(&scene);
		dir = th_scene_get(&scene, "/d");
		ck_assert(th_snapdir_is_listed(scene.fs->root));
		ck_assert_int_eq(th_snapdir_is_listed(dir), mode == TH_SNAPDIR_VISIBLE);
		th_inode_put(dir);
		ck_assert_int_eq(snap("/.snapshots/two"), -EPERM);
		ck_assert_int_eq(snap("/d/.snapshots/two"), -EPERM);
		ck_assert_int_eq(unsnap("/.snapshots/one"), -EPERM);
		ck_assert_int_eq(unsnap("/d/.snapshots/one"), -EPERM);
		ck_assert_int_eq(rename_snap("/.snapshots", "one", "uno", 0), -EPERM);
		ck_assert_int_eq(look("/.snapshots/two"), -ENOENT);
		th_scene_expect(&scene, "/d/.snapshots/one/f", "old");
	}
}
END_TEST

static void expect_owner(uint32_t uid, uint32_t mode)
{
	struct th_inode *snapdir = th_scene_get(&scene, "/.snapshots");

	ck_assert_int_eq(th_snapdir_refresh(snapdir), 0);
	ck_assert_uint_eq(snapdir->attr.uid, uid);
	ck_assert_uint_eq(snapdir->attr.mode, S_IFDIR | mode);
	th_inode_put(snapdir);
}

START_TEST(owner_shown_is_the_one_that_may_change_snapshots)
{
	scene.options.mounted_by = 5;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_attr_set(scene.fs->root, TH_ATTR_UID, &(struct th_attr){ .uid = 7 }), 0);
	expect_owner(5, 0755);
	scene.options.snapshots = TH_SNAPSHOTS_OWNER;
	th_scene_reopen(&scene);
	expect_owner(7, 0755);
	scene.options.snapdir = TH_SNAPDIR_VISIBLE;
	th_scene_reopen(&scene);
	expect_owner(7, 0555);
	scene.options = (struct th_fs_options){ .subdir = "d" };
	th_scene_reopen(&scene);
	expect_owner(0, 0555);
}
END_TEST

struct listed {
	char names[8][TH_NAME_MAX + 1];
	unsigned count;
};

static int list_one(void *arg, struct th_slice name, const struct th_dirent *entry, uint64_t next)
{
	struct listed *listed = arg;

	(void)entry;
	(void)next;
	memcpy(listed->names[listed->count], name.data, name.size);
	listed->names[listed->count++][name.size] = 0;
	return 0;
}

START_TEST(listing_matches_lookup)
{
	struct listed listed = { 0 };

	ck_assert_int_eq(snap("/.snapshots/one"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/late", S_IFDIR | 0755), 0);
	ck_assert_int_eq(snap("/.snapshots/two"), 0);
	ck_assert_int_eq(snap("/.snapshots/three"), 0);
	struct th_inode *snapdir = th_scene_get(&scene, "/late/.snapshots");

	ck_assert_int_eq(th_snapdir_walk(snapdir, 0, list_one, &listed), 0);
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_str_eq(listed.names[0], "two");
	ck_assert_str_eq(listed.names[1], "three");
	ck_assert_int_eq(th_snapdir_refresh(snapdir), 0);
	ck_assert_uint_eq(snapdir->attr.nlink, 5);
	th_inode_put(snapdir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapdir");
	TCase *tcase = tcase_create("snapshots");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, snapshot_shows_the_old_state);
	tcase_add_test(tcase, entry_exists_only_if_the_snapshot_has_the_directory);
	tcase_add_test(tcase, inode_numbers_differ_from_live_ones);
	tcase_add_test(tcase, snapshot_content_is_read_only);
	tcase_add_test(tcase, virtual_name_cannot_be_created_or_removed);
	tcase_add_test(tcase, listed_snapdir_refuses_changes);
	tcase_add_test(tcase, owner_shown_is_the_one_that_may_change_snapshots);
	tcase_add_test(tcase, another_name_frees_the_default_one);
	tcase_add_test(tcase, own_entry_takes_the_place_of_the_virtual_directory);
	tcase_add_test(tcase, own_entry_can_be_moved_and_replaced);
	tcase_add_test(tcase, renamed_snapshot_keeps_its_content);
	tcase_add_test(tcase, deleted_snapshot_stays_readable_while_entered);
	tcase_add_test(tcase, listing_matches_lookup);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
