/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dir/copy_tree.h"

#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/attr/xattr.h"
#include "fs/check/check.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;
static uint64_t copied;
static bool replaced;

static void setup(void)
{
	th_scene_open(&scene, NULL);
}

static void report(void *arg, const char *line)
{
	(void)arg;
	printf("%s\n", line);
}

/* Checks the whole filesystem: counts of links and of references to blocks too. */
static void teardown(void)
{
	struct th_check_result result;

	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	ck_assert_int_eq(
		th_fs_check(scene.fs, &(struct th_fs_check_options){ .problem = report, .read_data = true }, &result),
		0);
	ck_assert_uint_eq(result.problems, 0);
	th_scene_close(&scene);
}

static void snapshot(const char *name)
{
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, name, NULL), 0);
}

/* Copies a path of a snapshot to a path of the live tree. */
static int copy(const char *from, const char *path, const char *to, const char *aside)
{
	struct th_copy_tree request = { 0 };
	struct th_snapshot info;
	struct th_inode *source;
	int err;

	ck_assert_int_eq(th_snapshot_find(scene.fs->store, from, &info), 0);
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, info.id, &request.from), 0);
	ck_assert_int_eq(th_path_lookup(scene.fs, request.from, path, &source), 0);
	request.source = source->id;
	th_inode_put(source);
	request.dir = th_scene_parent(&scene, to, &request.name);
	request.aside = th_scene_slice(aside);
	err = th_copy_tree(&request);
	copied = request.inodes;
	replaced = request.replaced;
	th_inode_put(request.dir);
	th_entered_snapshot_put(scene.fs, request.from);
	return err;
}

static void make_tree(void)
{
	ck_assert_int_eq(th_scene_make(&scene, "/a", S_IFDIR | 0750), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b/c", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/one", S_IFREG | 0640), 0);
	th_scene_write(&scene, "/a/one", "first");
	ck_assert_int_eq(th_scene_make(&scene, "/a/b/two", S_IFREG | 0600), 0);
	th_scene_write(&scene, "/a/b/two", "second");
	ck_assert_int_eq(th_scene_symlink(&scene, "../one", "/a/b/link"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a/one", "/a/b/c/hard"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a/one", "/outside"), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/pipe", S_IFIFO | 0600), 0);
}

START_TEST(trees_are_copied_with_links_and_attributes)
{
	struct th_attr attr = { .uid = 1000, .gid = 1001, .mtime = { .seconds = 12345 } }, copy_attr, old_attr;
	struct th_inode *inode;

	make_tree();
	inode = th_scene_get(&scene, "/a/b/two");
	ck_assert_int_eq(th_attr_set(inode, TH_ATTR_UID | TH_ATTR_GID | TH_ATTR_MTIME, &attr), 0);
	ck_assert_int_eq(th_xattr_set(inode, "user.key", th_scene_slice("value"), 0), 0);
	th_inode_put(inode);
	snapshot("s");
	th_scene_write(&scene, "/a/one", "changed");
	ck_assert_int_eq(th_scene_unlink(&scene, "/a/b/two"), 0);

	ck_assert_int_eq(copy("s", "/a", "/copy", ""), 0);
	ck_assert_uint_eq(copied, 7);
	ck_assert(!replaced);
	th_scene_expect(&scene, "/copy/one", "first");
	th_scene_expect(&scene, "/copy/b/two", "second");
	th_scene_expect(&scene, "/a/one", "changed");
	ck_assert_uint_eq(th_scene_id(&scene, "/copy/one"), th_scene_id(&scene, "/copy/b/c/hard"));
	ck_assert_uint_ne(th_scene_id(&scene, "/copy/one"), th_scene_id(&scene, "/a/one"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/copy/one").nlink, 2); /* not the name outside of the tree */
	copy_attr = th_scene_attr(&scene, "/copy/b/two");
	ck_assert(copy_attr.uid == 1000 && copy_attr.gid == 1001 && copy_attr.mtime.seconds == 12345);
	copy_attr = th_scene_attr(&scene, "/copy");
	old_attr = th_scene_attr(&scene, "/a");
	ck_assert(copy_attr.mode == old_attr.mode && copy_attr.size == 3 && copy_attr.nlink == 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);

	/* All of it can be changed and removed. */
	th_scene_write(&scene, "/copy/b/two", "thirds");
	th_scene_expect(&scene, "/copy/b/two", "thirds");
	ck_assert_int_eq(th_scene_unlink(&scene, "/copy/b/c/hard"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/copy/b/c"), 0);
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/copy/one", "first");
}
END_TEST

/* A copy shares the data: it survives the deletion of its source and of the snapshot. */
START_TEST(data_is_shared)
{
	struct th_store_info before, after;
	char text[300001];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	ck_assert_int_eq(th_scene_make(&scene, "/file", S_IFREG | 0600), 0);
	th_scene_write(&scene, "/file", text);
	snapshot("s");
	th_store_info(scene.fs->store, &before);
	ck_assert_int_eq(copy("s", "/file", "/copy", ""), 0);
	ck_assert_uint_eq(copied, 1);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	th_store_info(scene.fs->store, &after);
	ck_assert_uint_eq(after.shared_blocks, 300000 / 4096 + 1);
	ck_assert_uint_lt(after.blocks_data, before.blocks_data + 10);
	ck_assert_int_eq(th_scene_unlink(&scene, "/file"), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "s"), 0);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	while (th_store_reclaim(scene.fs->store) == 0)
		;
	th_scene_expect(&scene, "/copy", text);
}
END_TEST

START_TEST(present_state_is_kept_under_another_name)
{
	make_tree();
	snapshot("s");
	th_scene_write(&scene, "/a/one", "changed");
	ck_assert_int_eq(copy("s", "/a", "/a", ""), -EEXIST);
	ck_assert_int_eq(copy("s", "/a", "/a", "outside"), -EEXIST);
	ck_assert_int_eq(copy("s", "/a", "/a", "a/b"), -EINVAL);
	th_scene_expect(&scene, "/a/one", "changed");
	ck_assert_int_eq(copy("s", "/a", "/a", "a.old"), 0);
	ck_assert(replaced);
	th_scene_expect(&scene, "/a/one", "first");
	th_scene_expect(&scene, "/a.old/one", "changed");
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	/* a file takes the place of a directory, and the other way round */
	ck_assert_int_eq(copy("s", "/outside", "/a", "a.older"), 0);
	th_scene_expect(&scene, "/a", "first");
	ck_assert_int_eq(copy("s", "/a", "/outside", "file.old"), 0);
	th_scene_expect(&scene, "/outside/b/two", "second");
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 5);
	/* a name that has another one */
	ck_assert_int_eq(copy("s", "/outside", "/a.old/one", "one.old"), 0);
	th_scene_expect(&scene, "/a.old/one.old", "changed");
	th_scene_expect(&scene, "/file.old", "changed");
}
END_TEST

START_TEST(into_itself)
{
	make_tree();
	snapshot("s");
	ck_assert_int_eq(copy("s", "/", "/a/b/all", ""), 0);
	th_scene_expect(&scene, "/a/b/all/a/one", "first");
	ck_assert_uint_eq(th_scene_id(&scene, "/a/b/all/outside"), th_scene_id(&scene, "/a/b/all/a/one"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/a/b/all/outside").nlink, 3);
	ck_assert_int_eq(copy("s", "/a/b/c", "/a/b/c/c", ""), 0);
}
END_TEST

START_TEST(errors_change_nothing)
{
	struct th_copy_tree request = { .source = 77, .name = th_scene_slice("x") };
	struct th_snapshot info;
	struct th_inode *inode;

	make_tree();
	snapshot("s");
	ck_assert_int_eq(copy("s", "/a", "/outside", ""), -EEXIST);
	ck_assert_int_eq(copy("s", "/a", "/.snapshots", ""), -EEXIST);
	inode = th_scene_get(&scene, "/a/b");
	ck_assert_int_eq(th_attr_set_flags(inode, FS_IMMUTABLE_FL, true), 0);
	th_inode_put(inode);
	ck_assert_int_eq(copy("s", "/a", "/a/b/x", ""), -EPERM);
	inode = th_scene_get(&scene, "/a/b");
	ck_assert_int_eq(th_attr_set_flags(inode, 0, true), 0);
	ck_assert_int_eq(th_snapshot_find(scene.fs->store, "s", &info), 0);
	ck_assert_int_eq(th_entered_snapshot_get(scene.fs, info.id, &request.from), 0);
	request.dir = inode;
	ck_assert_int_eq(th_copy_tree(&request), -ENOENT);
	th_inode_put(inode);
	inode = th_scene_get(&scene, "/a/one");
	request.dir = inode;
	ck_assert_int_eq(th_copy_tree(&request), -ENOTDIR);
	th_inode_put(inode);
	inode = th_scene_get(&scene, "/.snapshots/s/a");
	request.dir = inode;
	ck_assert_int_eq(th_copy_tree(&request), -EROFS);
	th_inode_put(inode);
	th_entered_snapshot_put(scene.fs, request.from);
}
END_TEST

/* A crash leaves the whole copy or nothing. */
START_TEST(copy_is_one_transaction)
{
	struct th_inode *inode;

	make_tree();
	snapshot("s");
	ck_assert_int_eq(copy("s", "/a", "/copy", ""), 0);
	th_scene_remember(&scene);
	th_scene_crash(&scene);
	ck_assert_int_eq(th_scene_find(&scene, "/copy", &inode), -ENOENT);
	ck_assert_int_eq(copy("s", "/a", "/copy", ""), 0);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_scene_remember(&scene);
	th_scene_crash(&scene);
	th_scene_expect(&scene, "/copy/b/two", "second");
}
END_TEST

/* Immutable files are copied, and the copies can be changed. */
START_TEST(immutable_files_become_changeable)
{
	struct th_inode *inode;

	make_tree();
	inode = th_scene_get(&scene, "/a/one");
	ck_assert_int_eq(th_attr_set_flags(inode, FS_IMMUTABLE_FL | FS_NODUMP_FL, true), 0);
	snapshot("s");
	ck_assert_int_eq(copy("s", "/a", "/copy", ""), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/copy/one").flags, FS_NODUMP_FL);
	ck_assert_int_eq(th_attr_set_flags(inode, 0, true), 0);
	th_inode_put(inode);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy_tree");
	TCase *tc = tcase_create("copy_tree");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, trees_are_copied_with_links_and_attributes);
	tcase_add_test(tc, data_is_shared);
	tcase_add_test(tc, present_state_is_kept_under_another_name);
	tcase_add_test(tc, into_itself);
	tcase_add_test(tc, errors_change_nothing);
	tcase_add_test(tc, copy_is_one_transaction);
	tcase_add_test(tc, immutable_files_become_changeable);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
