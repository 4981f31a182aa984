/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes that lose their last name while they are in use. */
#include "fs/dir/orphan.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/attr/xattr.h"
#include "fs/data/file.h"
#include "fs/data/writeback_list.h"
#include "fs/dir/namei.h"
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

/* Counts the keys of an inode. */
static size_t count_keys(uint64_t id)
{
	struct th_fs_key prefix = th_fs_key_inode(id);
	struct th_range range;
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	uint8_t space[8];
	size_t count = 0;

	range = th_range_prefix((struct th_slice){ prefix.bytes, 8 }, space);
	ck_assert_int_eq(th_cursor_open(scene.fs->live, &range, &cursor), 0);
	while (!th_cursor_next(cursor, &at))
		count++;
	th_cursor_close(cursor);
	return count;
}

static size_t count_orphans(void)
{
	struct th_fs_key prefix = th_fs_key_kind(0, TH_FS_KEY_ORPHAN);
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	uint8_t space[16];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	size_t count = 0;

	ck_assert_int_eq(th_cursor_open(scene.fs->live, &range, &cursor), 0);
	while (!th_cursor_next(cursor, &at))
		count++;
	th_cursor_close(cursor);
	return count;
}

static void make_rich(const char *path)
{
	ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	struct th_inode *inode = th_scene_get(&scene, path);
	char *data = calloc(1, 1 << 20);

	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(th_file_write(inode, data, 1 << 20, (uint64_t)i << 22, 0), 1 << 20);
	free(data);
	ck_assert_int_eq(th_xattr_set(inode, "user.a", th_scene_slice("1"), 0), 0);
	ck_assert_int_eq(th_file_writeback(inode), 0);
	th_inode_put(inode);
}

START_TEST(unlink_deletes_an_unused_inode)
{
	make_rich("/f");
	uint64_t id = th_scene_id(&scene, "/f");

	ck_assert_uint_gt(count_keys(id), 2);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_uint_eq(count_keys(id), 0);
	ck_assert_uint_eq(count_orphans(), 0);
}
END_TEST

/* As after a mount, when it is not known whether the inode has any. */
START_TEST(unlink_deletes_all_attributes)
{
	for (unsigned count = 0; count <= 40; count += 8) {
		ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
		uint64_t id = th_scene_id(&scene, "/f");
		struct th_inode *inode = th_scene_get(&scene, "/f");

		for (unsigned i = 0; i < count; i++) {
			char name[20];

			snprintf(name, sizeof(name), "user.%u", i);
			ck_assert_int_eq(th_xattr_set(inode, name, th_scene_slice("value"), 0), 0);
		}
		th_inode_put(inode);
		th_scene_reopen(&scene);
		ck_assert_uint_eq(count_keys(id), 1 + count);
		ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
		ck_assert_uint_eq(count_keys(id), 0);
	}
}
END_TEST

/* Deletes of ranges would go to the leaves at once. */
START_TEST(files_removed_in_random_order_share_the_writes_of_leaves)
{
	enum { FILES = 8000, REMOVED = 200 };
	struct th_store_info info;
	char path[20];

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		ck_assert_int_eq(th_scene_make(&scene, path, S_IFREG | 0644), 0);
	}
	th_scene_reopen(&scene);
	th_store_info(scene.fs->store, &info);
	uint64_t before = info.node_writes;

	for (unsigned i = 0; i < REMOVED; i++) {
		snprintf(path, sizeof(path), "/f%u", i * (FILES / REMOVED));
		ck_assert_int_eq(th_scene_unlink(&scene, path), 0);
	}
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	th_store_info(scene.fs->store, &info);
	ck_assert_uint_lt(info.node_writes - before, 20);
}
END_TEST

START_TEST(inode_in_use_is_deleted_with_its_last_reference)
{
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	th_scene_write(&scene, "/f", "text");
	struct th_inode *inode = th_scene_get(&scene, "/f");
	struct th_file_data data;
	uint64_t id = inode->id;

	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_uint_eq(count_orphans(), 1);
	ck_assert_int_eq(th_file_write(inode, "more", 4, 4, 0), 4);
	ck_assert_int_eq(th_file_read(inode, 0, 100, &data), 0);
	ck_assert_uint_eq(data.size, 8);
	ck_assert_mem_eq(data.data, "textmore", 8);
	th_file_data_release(&data);
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	th_inode_put(inode);
	ck_assert_uint_eq(count_keys(id), 0);
	ck_assert_uint_eq(count_orphans(), 0);
}
END_TEST

START_TEST(lookups_by_the_kernel_keep_an_inode)
{
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	struct th_inode *inode = th_scene_get(&scene, "/d");
	uint64_t id = inode->id, nodeid = th_inode_nodeid(inode);

	th_inode_lookup(inode);
	th_inode_lookup(inode);
	th_inode_put(inode);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/d"), 0);
	ck_assert_uint_eq(count_orphans(), 1);
	inode = th_inode_find(scene.fs, nodeid);
	ck_assert_ptr_nonnull(inode);
	th_inode_forget(inode, 1);
	th_inode_put(inode);
	ck_assert_uint_eq(count_keys(id), 1);
	inode = th_inode_find(scene.fs, nodeid);
	th_inode_forget(inode, 1);
	th_inode_put(inode);
	ck_assert_uint_eq(count_keys(id), 0);
	ck_assert_ptr_null(th_inode_find(scene.fs, nodeid));
}
END_TEST

START_TEST(mount_deletes_orphans_after_a_crash)
{
	static const char *const paths[] = { "/f", "/d", "/l" };
	struct th_inode *held[3];
	uint64_t ids[3];

	make_rich("/f");
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "target", "/l"), 0);
	for (unsigned i = 0; i < 3; i++) {
		held[i] = th_scene_get(&scene, paths[i]);
		ids[i] = held[i]->id;
		ck_assert_int_eq(i == 1 ? th_scene_rmdir(&scene, paths[i]) : th_scene_unlink(&scene, paths[i]), 0);
	}
	ck_assert_uint_eq(count_orphans(), 3);
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	th_scene_remember(&scene);
	for (unsigned i = 0; i < 3; i++)
		th_inode_put(held[i]);
	th_scene_crash(&scene);
	ck_assert_uint_eq(count_orphans(), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(count_keys(ids[i]), 0);
}
END_TEST

START_TEST(orphan_cannot_be_linked)
{
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	struct th_inode *inode = th_scene_get(&scene, "/f");

	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("g")), -ENOENT);
	th_inode_put(inode);
}
END_TEST

static struct th_inode *make_unnamed(void)
{
	struct th_namei_new new = { .mode = S_IFREG | 0666, .umask = 022 };
	struct th_inode *inode;

	ck_assert_int_eq(th_namei_create_unnamed(scene.fs->root, &new, &inode), 0);
	ck_assert_uint_eq(inode->attr.nlink, 0);
	ck_assert_uint_eq(inode->attr.mode, S_IFREG | 0644);
	ck_assert_uint_eq(scene.fs->root->attr.size, 0);
	return inode;
}

START_TEST(unnamed_file_is_deleted_with_its_last_reference)
{
	struct th_inode *inode = make_unnamed();
	uint64_t id = inode->id;

	ck_assert_int_eq(th_file_write(inode, "text", 4, 0, 0), 4);
	ck_assert_uint_eq(count_orphans(), 1);
	th_inode_put(inode);
	ck_assert_uint_eq(count_orphans(), 0);
	ck_assert_uint_eq(count_keys(id), 0);
	inode = make_unnamed();
	id = inode->id;
	ck_assert_int_eq(th_store_checkpoint(scene.fs->store), 0);
	th_scene_remember(&scene);
	th_inode_put(inode);
	th_scene_crash(&scene);
	ck_assert_uint_eq(count_orphans(), 0);
	ck_assert_uint_eq(count_keys(id), 0);
}
END_TEST

START_TEST(unnamed_file_can_be_linked)
{
	struct th_inode *inode = make_unnamed();

	ck_assert_int_eq(th_file_write(inode, "text", 4, 0, 0), 4);
	/* It has no name: writeback skips it. */
	ck_assert_int_eq(th_writeback_all(scene.fs), 0);
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("a")), 0);
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("b")), 0);
	ck_assert_uint_eq(count_orphans(), 0);
	th_inode_put(inode);
	th_scene_reopen(&scene);
	th_scene_expect(&scene, "/a", "text");
	ck_assert_uint_eq(th_scene_id(&scene, "/a"), th_scene_id(&scene, "/b"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/b").nlink, 2);
	ck_assert_uint_eq(scene.fs->root->attr.size, 2);
	/* Now it is a file like any other. */
	inode = th_scene_get(&scene, "/a");
	ck_assert_int_eq(th_scene_unlink(&scene, "/a"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/b"), 0);
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("c")), -ENOENT);
	th_inode_put(inode);
	inode = make_unnamed();
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("a")), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/a"), 0);
	ck_assert_int_eq(th_namei_link(inode, scene.fs->root, th_scene_slice("a")), -ENOENT);
	th_inode_put(inode);
	ck_assert_uint_eq(count_orphans(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("orphan");
	TCase *tcase = tcase_create("orphans");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, unlink_deletes_an_unused_inode);
	tcase_add_test(tcase, unlink_deletes_all_attributes);
	tcase_add_test(tcase, files_removed_in_random_order_share_the_writes_of_leaves);
	tcase_add_test(tcase, inode_in_use_is_deleted_with_its_last_reference);
	tcase_add_test(tcase, lookups_by_the_kernel_keep_an_inode);
	tcase_add_test(tcase, mount_deletes_orphans_after_a_crash);
	tcase_add_test(tcase, orphan_cannot_be_linked);
	tcase_add_test(tcase, unnamed_file_is_deleted_with_its_last_reference);
	tcase_add_test(tcase, unnamed_file_can_be_linked);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
