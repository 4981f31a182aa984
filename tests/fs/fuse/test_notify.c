/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fuse/notify.h"

#include <check.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "fs/snapshot/snapshot.h"
#include "tests/fs/fuse/fake_kernel.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/d", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/f", S_IFREG | 0644), 0);
	th_fake_kernel_open(&scene);
}

static void teardown(void)
{
	th_fake_kernel_close();
	th_scene_close(&scene);
}

static void get_attr(uint64_t node)
{
	struct fuse_getattr_in argument = { 0 };

	ck_assert_int_eq(th_fake_kernel_send(FUSE_GETATTR, node, &argument, sizeof(argument))->error, 0);
}

/* Fails the test unless the next notification drops the cached attributes of this node. */
static void expect_inode(uint64_t node)
{
	const struct th_fake_message *notification = th_fake_kernel_notification();
	struct fuse_notify_inval_inode_out inval;

	ck_assert_int_eq(notification->error, FUSE_NOTIFY_INVAL_INODE);
	memcpy(&inval, notification->data, sizeof(inval));
	ck_assert_uint_eq(inval.ino, node);
}

static void expect_entry(uint64_t parent, const char *name)
{
	const struct th_fake_message *notification = th_fake_kernel_notification();
	struct fuse_notify_inval_entry_out inval;

	ck_assert_int_eq(notification->error, FUSE_NOTIFY_INVAL_ENTRY);
	memcpy(&inval, notification->data, sizeof(inval));
	ck_assert_uint_eq(inval.parent, parent);
	ck_assert_str_eq((const char *)notification->data + sizeof(inval), name);
}

START_TEST(a_new_snapshot_drops_cached_attributes_of_virtual_directories)
{
	uint64_t snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots");

	get_attr(snapdir);
	ck_assert_uint_eq(th_fake_kernel_pending(), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", &(struct th_snapshot){ 0 }), 0);
	expect_inode(snapdir);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "two", &(struct th_snapshot){ 0 }), 0);
	ck_assert_uint_eq(th_fake_kernel_pending(), 0); /* nothing was cached since then */
}
END_TEST

START_TEST(a_deleted_snapshot_drops_its_name_in_each_virtual_directory)
{
	uint64_t root_snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots");

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", &(struct th_snapshot){ 0 }), 0);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "one"), 0);
	expect_entry(root_snapdir, "one");
}
END_TEST

START_TEST(the_kernel_is_not_notified_where_it_deleted_the_snapshot_itself)
{
	uint64_t snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots"),
		 d = th_fake_kernel_lookup(FUSE_ROOT_ID, "d");
	uint64_t other = th_fake_kernel_lookup(d, ".snapshots");

	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", &(struct th_snapshot){ 0 }), 0);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_RMDIR, snapdir, "one", 4)->error, 0);
	expect_entry(other, "one");
	ck_assert_uint_eq(th_fake_kernel_pending(), 0);
}
END_TEST

START_TEST(an_absent_name_is_cached_except_in_virtual_directories)
{
	struct fuse_entry_out entry;
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_LOOKUP, FUSE_ROOT_ID, "none", 5);

	ck_assert_int_eq(reply->error, 0);
	memcpy(&entry, reply->data, sizeof(entry));
	ck_assert_uint_eq(entry.nodeid, 0);
	ck_assert_uint_eq(entry.entry_valid, (uint64_t)TH_FUSE_VALID_SECONDS);
	ck_assert_int_eq(
		th_fake_kernel_send(FUSE_LOOKUP, th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots"), "none", 5)->error,
		-ENOENT);
}
END_TEST

START_TEST(flags_drop_the_cached_attributes_of_a_file)
{
	uint64_t node = th_fake_kernel_lookup(FUSE_ROOT_ID, "f");
	struct th_inode *inode = th_scene_get(&scene, "/f");

	th_fuse_notify_attr(th_fake_kernel_fuse(), inode);
	th_inode_put(inode);
	expect_inode(node);
}
END_TEST

START_TEST(a_direct_write_is_replied_to_after_its_pages_are_dropped)
{
	uint64_t node = th_fake_kernel_lookup(FUSE_ROOT_ID, "f");
	struct {
		struct fuse_write_in in;
		char bytes[4];
	} write = { .in = { .size = 4, .flags = O_DIRECT | O_WRONLY }, .bytes = "data" };
	struct fuse_read_in read = { .size = 4096 };
	struct fuse_notify_inval_inode_out inval;
	const struct th_fake_message *notification;

	ck_assert_int_eq(th_fake_kernel_send(FUSE_READ, node, &read, sizeof(read))->error, 0);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_WRITE, node, &write, sizeof(write))->error, 0);
	ck_assert_uint_eq(th_fake_kernel_pending(), 1); /* it came before the reply */
	notification = th_fake_kernel_notification();
	memcpy(&inval, notification->data, sizeof(inval));
	ck_assert_uint_eq(inval.ino, node);
	ck_assert_int_eq(inval.len, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_new_snapshot_drops_cached_attributes_of_virtual_directories);
	tcase_add_test(tc, a_deleted_snapshot_drops_its_name_in_each_virtual_directory);
	tcase_add_test(tc, the_kernel_is_not_notified_where_it_deleted_the_snapshot_itself);
	tcase_add_test(tc, an_absent_name_is_cached_except_in_virtual_directories);
	tcase_add_test(tc, flags_drop_the_cached_attributes_of_a_file);
	tcase_add_test(tc, a_direct_write_is_replied_to_after_its_pages_are_dropped);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
