/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of snapshots in .snapshots, by callers who may and who may not; file handles; times of birth. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>

#include "fs/fuse/caller.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/fuse/fake_kernel.h"
#include "tests/support/suite.h"

#define STRANGER 1001

static struct th_scene scene;
static uint64_t snapdir;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	th_fake_kernel_open(&scene);
	snapdir = th_fake_kernel_lookup(FUSE_ROOT_ID, ".snapshots");
	ck_assert_uint_ne(snapdir, 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "old", NULL), 0);
}

static void teardown(void)
{
	th_fake_kernel_close();
	th_scene_close(&scene);
}

static int make(const char *name)
{
	struct {
		struct fuse_mkdir_in in;
		char name[32];
	} argument = { .in = { .mode = 0777 } };

	strcpy(argument.name, name);
	return th_fake_kernel_send(FUSE_MKDIR, snapdir, &argument, sizeof(argument.in) + strlen(name) + 1)->error;
}

static int remove_(const char *name)
{
	return th_fake_kernel_send(FUSE_RMDIR, snapdir, name, strlen(name) + 1)->error;
}

static int rename_(const char *from, const char *to)
{
	struct {
		struct fuse_rename_in in;
		char names[64];
	} argument = { .in = { .newdir = snapdir } };
	size_t size = strlen(from) + 1;

	memcpy(argument.names, from, size);
	memcpy(argument.names + size, to, strlen(to) + 1);
	return th_fake_kernel_send(FUSE_RENAME, snapdir, &argument, sizeof(argument.in) + size + strlen(to) + 1)->error;
}

static void expect(int err)
{
	ck_assert_int_eq(make("new"), err);
	ck_assert_int_eq(rename_("old", "older"), err);
	ck_assert_int_eq(remove_(err ? "old" : "older"), err);
}

START_TEST(mounting_user_changes_snapshots)
{
	expect(0);
}
END_TEST

START_TEST(others_do_not_change_snapshots)
{
	th_fake_kernel_caller(STRANGER, 0);
	expect(-EPERM);
	/* root, but the daemon does not see its thread */
	th_fake_kernel_caller(0, 0);
	expect(-EPERM);
	/* the owner of the root directory, without delegation */
	th_fake_kernel_caller(scene.fs->root->attr.uid, 0);
	expect(-EPERM);
}
END_TEST

START_TEST(owner_of_the_root_changes_snapshots_where_that_is_delegated)
{
	scene.fs->options.snapshots = TH_SNAPSHOTS_OWNER;
	scene.fs->root->attr.uid = STRANGER;
	th_fake_kernel_caller(STRANGER, 0);
	expect(0);
}
END_TEST

/* --- file handles --- */

static struct fuse_entry_out look_up(uint64_t parent, const char *name)
{
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_LOOKUP, parent, name, strlen(name) + 1);
	struct fuse_entry_out entry;

	ck_assert_int_eq(reply->error, 0);
	memcpy(&entry, reply->data, sizeof(entry));
	return entry;
}

START_TEST(dots_are_looked_up_by_node_id)
{
	struct fuse_entry_out old = look_up(snapdir, "old"), again = look_up(old.nodeid, ".");

	ck_assert_uint_eq(again.nodeid, old.nodeid);
	ck_assert_uint_eq(again.generation, old.generation);
	ck_assert_uint_eq(old.generation, scene.fs->generation);
	ck_assert_uint_eq(look_up(old.nodeid, "..").nodeid, snapdir);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_LOOKUP, 12345, ".", 2)->error, -ESTALE);
	ck_assert_int_eq(th_fake_kernel_send(FUSE_LOOKUP, 12345, "..", 3)->error, -ESTALE);
	/* The kernel has its root with generation 0, and takes another one for another inode. */
	struct fuse_entry_out root = look_up(snapdir, "..");

	ck_assert_uint_eq(root.nodeid, FUSE_ROOT_ID);
	ck_assert_uint_eq(root.generation, 0);
}
END_TEST

START_TEST(generations_differ_between_filesystems)
{
	uint32_t generation = scene.fs->generation;

	th_fake_kernel_close();
	th_scene_reopen(&scene);
	ck_assert_uint_eq(scene.fs->generation, generation);
	th_scene_close(&scene);
	th_scene_open(&scene, NULL);
	ck_assert_uint_ne(scene.fs->generation, generation);
	th_fake_kernel_open(&scene);
}
END_TEST

static struct fuse_open_out open_directory(uint64_t node, uint32_t flags)
{
	struct fuse_open_in in = { .flags = flags };
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_OPENDIR, node, &in, sizeof(in));
	struct fuse_open_out out;

	ck_assert_int_eq(reply->error, 0);
	memcpy(&out, reply->data, sizeof(out));
	return out;
}

/* Returns the inode number that the root lists for .snapshots, or 0. */
static uint64_t listed_snapdir(uint64_t handle)
{
	struct fuse_read_in in = { .fh = handle, .size = 4096 };
	const struct th_fake_message *reply = th_fake_kernel_send(FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof(in));
	struct fuse_dirent entry;

	ck_assert_int_eq(reply->error, 0);
	for (size_t at = 0; at < reply->size; at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen)) {
		memcpy(&entry, reply->data + at, FUSE_NAME_OFFSET);
		if (entry.namelen == 10 && !memcmp(reply->data + at + FUSE_NAME_OFFSET, ".snapshots", 10))
			return entry.ino;
	}
	return 0;
}

/* The kernel connects a directory to its parent by listing that, and looking for the inode number. */
START_TEST(the_kernel_finds_the_hidden_snapdir_when_it_connects_a_handle)
{
	const uint32_t program = 0100000 /* O_LARGEFILE */ | O_RDONLY | O_DIRECTORY, kernel = O_RDONLY;
	uint64_t ino = look_up(FUSE_ROOT_ID, ".snapshots").attr.ino;
	struct fuse_open_in in = { .flags = program };
	struct fuse_open_out opened;

	/* Without -o export all directories are listed alike, and need not be opened. */
	ck_assert_int_eq(th_fake_kernel_send(FUSE_OPENDIR, FUSE_ROOT_ID, &in, sizeof(in))->error, -ENOSYS);
	th_fake_kernel_fuse()->exports = th_fake_kernel_fuse()->opens_directories = true;
	opened = open_directory(FUSE_ROOT_ID, kernel);
	ck_assert(!(opened.open_flags & FOPEN_CACHE_DIR));
	ck_assert_uint_eq(listed_snapdir(opened.fh), ino);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t flags[] = { program, O_DIRECTORY, 0100000 };

		opened = open_directory(FUSE_ROOT_ID, flags[i]);
		ck_assert(opened.open_flags & FOPEN_CACHE_DIR);
		ck_assert_uint_eq(listed_snapdir(opened.fh), 0);
	}
}
END_TEST

/* --- times of birth --- */

static struct statx stat_node(uint64_t node)
{
	struct fuse_getattr_in in = { 0 }; /* the size that libfuse expects */
	const struct th_fake_message *reply = th_fake_kernel_send(52 /* FUSE_STATX */, node, &in, sizeof(in));
	struct statx statx;

	ck_assert_int_eq(reply->error, 0);
	ck_assert_uint_eq(reply->size, 32 + sizeof(statx));
	memcpy(&statx, reply->data + 32, sizeof(statx));
	return statx;
}

START_TEST(a_snapshot_was_born_when_it_was_taken)
{
	struct th_snapshot snapshot;
	struct statx root = stat_node(FUSE_ROOT_ID), old = stat_node(look_up(snapdir, "old").nodeid);

	ck_assert_int_eq(th_snapshot_find(scene.fs->store, "old", &snapshot), 0);
	ck_assert_int_eq(old.stx_btime.tv_sec, (int64_t)(snapshot.created_ns / 1000000000));
	ck_assert_uint_eq(old.stx_btime.tv_nsec, snapshot.created_ns % 1000000000);
	ck_assert(root.stx_btime.tv_sec != old.stx_btime.tv_sec || root.stx_btime.tv_nsec != old.stx_btime.tv_nsec);
	ck_assert_int_eq(root.stx_mtime.tv_sec, old.stx_mtime.tv_sec);
	ck_assert_uint_eq(root.stx_mtime.tv_nsec, old.stx_mtime.tv_nsec);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tc = tcase_create("snapshots");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, mounting_user_changes_snapshots);
	tcase_add_test(tc, others_do_not_change_snapshots);
	tcase_add_test(tc, owner_of_the_root_changes_snapshots_where_that_is_delegated);
	suite_add_tcase(suite, tc);
	tc = tcase_create("handles and births");
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, dots_are_looked_up_by_node_id);
	tcase_add_test(tc, generations_differ_between_filesystems);
	tcase_add_test(tc, the_kernel_finds_the_hidden_snapdir_when_it_connects_a_handle);
	tcase_add_test(tc, a_snapshot_was_born_when_it_was_taken);
	suite_add_tcase(suite, tc);
	return th_suite_run(suite);
}
