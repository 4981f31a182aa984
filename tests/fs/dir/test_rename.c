/* SPDX-License-Identifier: Apache-2.0 */
/* Rename: replacing, exchanging, whiteouts and cycles of directories.  A failure leaves both names. */
#include <check.h>
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr/attr.h"
#include "fs/data/file.h"
#include "fs/dir/namei.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

START_TEST(rename_replaces_only_matching_types)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_file("/b"), 0);
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/e"), 0);
	ck_assert_int_eq(make_file("/e/f"), 0);
	uint64_t a = th_scene_id(&scene, "/a"), d = th_scene_id(&scene, "/d");

	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/d", 0), -EISDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/a", 0), -ENOTDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_rename(&scene, "/x", "/y", 0), -ENOENT);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", 0), 0);
	ck_assert_uint_eq(th_scene_id(&scene, "/b"), a);
	ck_assert(!is_there("/a"));
	ck_assert_int_eq(th_scene_unlink(&scene, "/e/f"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/d", "/e", 0), 0);
	ck_assert_uint_eq(th_scene_id(&scene, "/e"), d);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 3);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").size, 2);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/e"), d);
}
END_TEST

START_TEST(rename_between_names_of_one_inode_does_nothing)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/b"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", 0), 0);
	ck_assert(is_there("/a") && is_there("/b"));
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a", 0), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 2);
}
END_TEST

START_TEST(rename_into_own_subtree_fails)
{
	ck_assert_int_eq(make_dir("/a"), 0);
	ck_assert_int_eq(make_dir("/a/b"), 0);
	ck_assert_int_eq(make_dir("/a/b/c"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/b/c/d", 0), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/x", 0), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/a", 0), -ENOTEMPTY);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/a", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a/b/c", RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/b/c", "/c", 0), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a/b").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/c").parent, TH_ROOT_ID);
}
END_TEST

START_TEST(whiteout_gets_the_old_name)
{
	struct th_attr attr;

	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/s"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	uint64_t s = th_scene_id(&scene, "/d/s");

	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT | RENAME_EXCHANGE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT | RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/f", RENAME_WHITEOUT), -ENOTDIR);
	ck_assert_int_eq(th_scene_rename(&scene, "/d/s", "/t", RENAME_WHITEOUT), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/t"), s);
	attr = th_scene_attr(&scene, "/d/s");
	ck_assert_uint_eq(attr.mode, S_IFCHR);
	ck_assert_uint_eq(attr.rdev, 0);
	ck_assert_uint_eq(attr.nlink, 1);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, 1);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_WHITEOUT), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/f").mode, S_IFCHR);
	ck_assert_int_eq(th_scene_unlink(&scene, "/f"), 0);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/s"), 0);
}
END_TEST

START_TEST(exchange_swaps_names_and_counts)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/s"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	uint64_t s = th_scene_id(&scene, "/d/s"), f = th_scene_id(&scene, "/f");

	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/x", RENAME_EXCHANGE), -ENOENT);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/s", RENAME_EXCHANGE), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_id(&scene, "/f"), s);
	ck_assert_uint_eq(th_scene_id(&scene, "/d/s"), f);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").nlink, 4);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/f").parent, TH_ROOT_ID);
}
END_TEST

/* Both names, their inodes and the counts of their directories, as a failed rename must leave them. */
struct state {
	uint64_t ids[2];
	struct th_attr attrs[2], dirs[2];
};

static uint64_t id_of(const char *path)
{
	struct th_inode *inode;
	int err = th_scene_find(&scene, path, &inode);
	uint64_t id = err ? 0 : inode->id;

	ck_assert(!err || err == -ENOENT);
	if (!err)
		th_inode_put(inode);
	return id;
}

static struct state state_of(const char *from, const char *to)
{
	const char *const paths[] = { from, to };
	struct state state = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		struct th_slice name;
		struct th_inode *dir = th_scene_parent(&scene, paths[i], &name);

		state.dirs[i] = dir->attr;
		state.dirs[i].name = NULL;
		th_inode_put(dir);
		state.ids[i] = id_of(paths[i]);
		if (state.ids[i])
			state.attrs[i] = th_scene_attr(&scene, paths[i]);
	}
	return state;
}

static void expect_failure(const char *from, const char *to, unsigned flags, int expected)
{
	struct state before = state_of(from, to), after;

	ck_assert_int_eq(th_scene_rename(&scene, from, to, flags), expected);
	after = state_of(from, to);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(after.ids[i], before.ids[i]);
		ck_assert_uint_eq(after.attrs[i].nlink, before.attrs[i].nlink);
		ck_assert_uint_eq(after.attrs[i].parent, before.attrs[i].parent);
		ck_assert_int_eq(after.attrs[i].ctime.seconds, before.attrs[i].ctime.seconds);
		ck_assert_uint_eq(after.attrs[i].ctime.nanoseconds, before.attrs[i].ctime.nanoseconds);
		ck_assert_uint_eq(after.dirs[i].nlink, before.dirs[i].nlink);
		ck_assert_uint_eq(after.dirs[i].size, before.dirs[i].size);
		ck_assert_uint_eq(after.dirs[i].mtime.nanoseconds, before.dirs[i].mtime.nanoseconds);
	}
}

START_TEST(failed_rename_leaves_both_names)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/d/full"), 0);
	ck_assert_int_eq(make_file("/d/full/f"), 0);
	ck_assert_int_eq(make_dir("/d/empty"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	for (unsigned i = 0; i < 2; i++) {
		expect_failure("/f", "/d/empty", 0, -EISDIR);
		expect_failure("/d/empty", "/f", 0, -ENOTDIR);
		expect_failure("/d/empty", "/d/full", 0, -ENOTEMPTY);
		expect_failure("/f", "/d/full/f", RENAME_NOREPLACE, -EEXIST);
		expect_failure("/f", "/d/none", RENAME_EXCHANGE, -ENOENT);
		expect_failure("/none", "/f", 0, -ENOENT);
		expect_failure("/none", "/d/none", RENAME_EXCHANGE, -ENOENT);
		expect_failure("/d", "/d/full/x", 0, -EINVAL);
		expect_failure("/d/full", "/d/full/f", RENAME_EXCHANGE, -EINVAL);
		expect_failure("/d/full/f", "/d", 0, -ENOTEMPTY);
		th_scene_reopen(&scene);
	}
}
END_TEST

START_TEST(deep_directories_cannot_form_a_cycle)
{
	char path[3 * 40 + 8] = "", below[sizeof(path) + 8];

	for (unsigned depth = 0; depth < 40; depth++) {
		strcat(path, "/dd");
		ck_assert_int_eq(make_dir(path), 0);
		for (char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
			char above[sizeof(path)];

			snprintf(above, sizeof(above), "%.*s", (int)(end - path), path);
			snprintf(below, sizeof(below), "%s/x", path);
			ck_assert_int_eq(th_scene_rename(&scene, above, below, 0), -EINVAL);
			ck_assert_int_eq(th_scene_rename(&scene, above, path, RENAME_EXCHANGE), -EINVAL);
		}
	}
	ck_assert_int_eq(th_scene_rename(&scene, path, "/bottom", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/dd", "/bottom/top", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/bottom", "/bottom/top/dd", 0), -EINVAL);
}
END_TEST

START_TEST(rename_between_directories_updates_both)
{
	ck_assert_int_eq(make_dir("/a"), 0);
	ck_assert_int_eq(make_dir("/b"), 0);
	ck_assert_int_eq(make_dir("/a/d"), 0);
	ck_assert_int_eq(make_file("/a/f"), 0);
	uint64_t b = th_scene_id(&scene, "/b");

	ck_assert_int_eq(th_scene_rename(&scene, "/a/d", "/b/d", 0), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a/f", "/b/g", 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(th_scene_attr(&scene, "/a").size, 0);
		ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 2);
		ck_assert_uint_eq(th_scene_attr(&scene, "/b").size, 2);
		ck_assert_uint_eq(th_scene_attr(&scene, "/b").nlink, 3);
		ck_assert_uint_eq(th_scene_attr(&scene, "/b/d").parent, b);
		ck_assert_uint_eq(th_scene_attr(&scene, "/b/g").parent, b);
		th_scene_reopen(&scene);
	}
}
END_TEST

START_TEST(replaced_file_is_deleted_with_its_last_reference)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_file("/b"), 0);
	struct th_inode *replaced = th_scene_get(&scene, "/b"), *found;
	uint64_t id = replaced->id;

	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", 0), 0);
	ck_assert_uint_eq(replaced->attr.nlink, 0);
	ck_assert_uint_eq(replaced->attr.parent, 0);
	th_inode_put(replaced);
	ck_assert_int_eq(th_inode_get(scene.fs, NULL, id, &found), -ENOENT);
}
END_TEST

START_TEST(noreplace_refuses_every_existing_name)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/f"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/f", "/g"), 0);
	ck_assert_int_eq(th_scene_symlink(&scene, "f", "/l"), 0);
	expect_failure("/f", "/d", RENAME_NOREPLACE, -EEXIST);
	expect_failure("/f", "/g", RENAME_NOREPLACE, -EEXIST);
	expect_failure("/f", "/l", RENAME_NOREPLACE, -EEXIST);
	expect_failure("/f", "/f", RENAME_NOREPLACE, -EEXIST);
	ck_assert_int_eq(th_scene_rename(&scene, "/f", "/d/f", RENAME_NOREPLACE), 0);
	ck_assert(!is_there("/f") && is_there("/d/f"));
}
END_TEST

START_TEST(exchange_of_one_name_with_itself_does_nothing)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/b"), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/a", RENAME_EXCHANGE), 0);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", RENAME_EXCHANGE), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/").size, 2);
}
END_TEST

START_TEST(invalid_names_and_flags_are_refused)
{
	ck_assert_int_eq(make_file("/a"), 0);
	struct th_inode *root = scene.fs->root, *file = th_scene_get(&scene, "/a");
	struct th_slice a = th_scene_slice("a"), b = th_scene_slice("b");

	ck_assert_int_eq(th_namei_rename(root, a, root, th_scene_slice(".."), 0), -EINVAL);
	ck_assert_int_eq(th_namei_rename(root, th_scene_slice("."), root, b, 0), -EINVAL);
	ck_assert_int_eq(th_namei_rename(root, a, root, th_scene_slice(""), 0), -EINVAL);
	ck_assert_int_eq(th_namei_rename(root, a, file, b, 0), -ENOTDIR);
	ck_assert_int_eq(th_namei_rename(root, a, root, b, 1u << 20), -EINVAL);
	ck_assert_int_eq(th_namei_rename(root, a, root, b, RENAME_EXCHANGE | RENAME_WHITEOUT), -EINVAL);
	ck_assert(is_there("/a") && !is_there("/b"));
	th_inode_put(file);
}
END_TEST

/* After a crash the name has either the old content or the whole new content, without fsync. */
START_TEST(new_content_is_stored_with_the_name_that_it_replaces)
{
	ck_assert_int_eq(make_file("/f"), 0);
	th_scene_write(&scene, "/f", "old content");
	ck_assert_int_eq(th_fs_sync(scene.fs), 0);
	ck_assert_int_eq(make_file("/new"), 0);
	th_scene_write(&scene, "/new", "new content");
	ck_assert_int_eq(th_scene_rename(&scene, "/new", "/f", 0), 0);
	struct th_inode *inode = th_scene_get(&scene, "/f");

	ck_assert_uint_eq(inode->stored_size, inode->attr.size);
	ck_assert_uint_eq(inode->stored_size, strlen("new content"));
	th_inode_put(inode);
}
END_TEST

static void grow(const char *path, uint64_t size)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	uint8_t *data = calloc(1, size);

	ck_assert_int_eq(th_file_write(inode, data, size, 0, 0), (ssize_t)size);
	free(data);
	th_inode_put(inode);
}

static uint64_t stored_size(const char *path)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	uint64_t size = inode->stored_size;

	th_inode_put(inode);
	return size;
}

/* The rename is refused last, by the flag of the file that would be replaced: the data is in the store by then. */
static void check_data_before_name(const char *path, uint64_t size, unsigned flags)
{
	ck_assert_int_eq(make_file("/fixed"), 0);
	struct th_inode *fixed = th_scene_get(&scene, "/fixed");

	ck_assert_int_eq(make_file(path), 0);
	grow(path, size);
	ck_assert_int_eq(th_attr_set_flags(fixed, FS_IMMUTABLE_FL, true), 0);
	ck_assert_int_eq(th_scene_rename(&scene, path, "/fixed", flags), -EPERM);
	ck_assert_uint_eq(stored_size(path), size);
	ck_assert_int_eq(th_attr_set_flags(fixed, 0, true), 0);
	th_inode_put(fixed);
	ck_assert_int_eq(th_scene_rename(&scene, path, "/fixed", flags), 0);
	ck_assert_uint_eq(stored_size("/fixed"), size);
}

START_TEST(data_is_in_the_store_before_the_name_that_it_replaces)
{
	check_data_before_name("/new", 5000, 0);
}
END_TEST

START_TEST(much_data_is_in_the_store_before_the_name_that_it_replaces)
{
	check_data_before_name("/new", 2 << 20, 0);
}
END_TEST

START_TEST(data_is_in_the_store_before_names_are_exchanged)
{
	check_data_before_name("/new", 5000, RENAME_EXCHANGE);
}
END_TEST

START_TEST(data_of_both_is_in_the_store_before_names_are_exchanged)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_file("/b"), 0);
	grow("/a", 3 << 20);
	grow("/b", 2 << 20);
	ck_assert_int_eq(th_scene_rename(&scene, "/a", "/b", RENAME_EXCHANGE), 0);
	ck_assert_uint_eq(stored_size("/a"), 2 << 20);
	ck_assert_uint_eq(stored_size("/b"), 3 << 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rename");
	TCase *tcase = tcase_create("rename");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, rename_replaces_only_matching_types);
	tcase_add_test(tcase, rename_between_names_of_one_inode_does_nothing);
	tcase_add_test(tcase, rename_into_own_subtree_fails);
	tcase_add_test(tcase, deep_directories_cannot_form_a_cycle);
	tcase_add_test(tcase, failed_rename_leaves_both_names);
	tcase_add_test(tcase, rename_between_directories_updates_both);
	tcase_add_test(tcase, replaced_file_is_deleted_with_its_last_reference);
	tcase_add_test(tcase, noreplace_refuses_every_existing_name);
	tcase_add_test(tcase, whiteout_gets_the_old_name);
	tcase_add_test(tcase, exchange_swaps_names_and_counts);
	tcase_add_test(tcase, exchange_of_one_name_with_itself_does_nothing);
	tcase_add_test(tcase, invalid_names_and_flags_are_refused);
	tcase_add_test(tcase, new_content_is_stored_with_the_name_that_it_replaces);
	tcase_add_test(tcase, data_is_in_the_store_before_the_name_that_it_replaces);
	tcase_add_test(tcase, much_data_is_in_the_store_before_the_name_that_it_replaces);
	tcase_add_test(tcase, data_is_in_the_store_before_names_are_exchanged);
	tcase_add_test(tcase, data_of_both_is_in_the_store_before_names_are_exchanged);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
