/* SPDX-License-Identifier: Apache-2.0 */
/* Several names of one inode, and the targets of symlinks. */
#include "fs/dir/link.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "fs/dir/namei.h"
#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"

START_TEST(links_share_one_inode)
{
	ck_assert_int_eq(make_file("/a"), 0);
	ck_assert_int_eq(make_dir("/d"), 0);
	th_scene_write(&scene, "/a", "text");
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/b"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/c"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/c"), -EEXIST);
	ck_assert_int_eq(th_scene_link(&scene, "/d", "/e"), -EPERM);
	ck_assert_uint_eq(th_scene_id(&scene, "/a"), th_scene_id(&scene, "/d/b"));
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 3);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_attr(&scene, "/a").nlink, 3);
	/* The primary name is removed: another one becomes primary. */
	ck_assert_int_eq(th_scene_unlink(&scene, "/a"), 0);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/b").nlink, 2);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/b").parent, th_scene_id(&scene, "/d"));
	th_scene_expect(&scene, "/d/c", "text");
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/b"), 0);
	th_scene_reopen(&scene);
	ck_assert_uint_eq(th_scene_attr(&scene, "/d/c").nlink, 1);
	th_scene_expect(&scene, "/d/c", "text");
}
END_TEST

/* Keys of a kind that the inode has. */
static unsigned count_keys(uint64_t id, enum th_fs_key_kind kind)
{
	struct th_fs_key prefix = th_fs_key_kind(id, kind);
	uint8_t space[TH_FS_KEY_MAX];
	struct th_range range = th_range_prefix(th_fs_key_slice(&prefix), space);
	struct th_cursor_entry at;
	struct th_cursor *cursor;
	unsigned count = 0;

	ck_assert_int_eq(th_cursor_open(scene.fs->live, &range, &cursor), 0);
	while (!th_cursor_next(cursor, &at))
		count++;
	th_cursor_close(cursor);
	return count;
}

START_TEST(primary_name_moves_to_the_directory_of_another_name)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_dir("/e"), 0);
	ck_assert_int_eq(make_file("/d/a"), 0);
	ck_assert_int_eq(th_scene_link(&scene, "/d/a", "/e/b"), 0);
	uint64_t id = th_scene_id(&scene, "/d/a"), e = th_scene_id(&scene, "/e");

	ck_assert_uint_eq(count_keys(id, TH_FS_KEY_LINK), 1);
	ck_assert_int_eq(th_scene_rename(&scene, "/e/b", "/e/c", 0), 0);
	ck_assert_uint_eq(count_keys(id, TH_FS_KEY_LINK), 1);
	ck_assert_int_eq(th_scene_unlink(&scene, "/d/a"), 0);
	ck_assert_uint_eq(count_keys(id, TH_FS_KEY_LINK), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct th_inode *inode = th_scene_get(&scene, "/e/c");

		ck_assert_uint_eq(inode->attr.parent, e);
		ck_assert_uint_eq(inode->attr.name_size, 1);
		ck_assert_int_eq(inode->attr.name[0], 'c');
		ck_assert_uint_eq(inode->attr.nlink, 1);
		th_inode_put(inode);
		th_scene_reopen(&scene);
	}
}
END_TEST

START_TEST(link_checks_type_and_name)
{
	ck_assert_int_eq(make_dir("/d"), 0);
	ck_assert_int_eq(make_file("/a"), 0);
	struct th_inode *file = th_scene_get(&scene, "/a");

	ck_assert_int_eq(th_scene_link(&scene, "/d", "/e"), -EPERM);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d/."), -EINVAL);
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/d"), -EEXIST);
	ck_assert_int_eq(th_namei_link(file, file, th_scene_slice("b")), -ENOTDIR);
	file->attr.nlink = TH_LINK_MAX;
	ck_assert_int_eq(th_scene_link(&scene, "/a", "/b"), -EMLINK);
	file->attr.nlink = 1;
	ck_assert_uint_eq(th_scene_attr(&scene, "/d").size, 0);
	th_inode_put(file);
}
END_TEST

START_TEST(symlink_target_survives_reopening)
{
	char target[TH_SYMLINK_MAX + 2], read[TH_SYMLINK_MAX + 1];

	memset(target, 't', sizeof(target));
	target[TH_SYMLINK_MAX + 1] = 0;
	ck_assert_int_eq(th_scene_symlink(&scene, target, "/l"), -ENAMETOOLONG);
	target[TH_SYMLINK_MAX] = 0;
	ck_assert_int_eq(th_scene_symlink(&scene, target, "/l"), 0);
	th_scene_reopen(&scene);
	struct th_inode *inode = th_scene_get(&scene, "/l");

	ck_assert_int_eq(th_symlink_read(inode, read), 0);
	ck_assert_str_eq(read, target);
	ck_assert_uint_eq(inode->attr.size, TH_SYMLINK_MAX);
	th_inode_put(inode);
}
END_TEST

START_TEST(empty_or_damaged_symlink_is_an_error)
{
	static const uint8_t inline_head[24] = { TH_EXTENT_INLINE }, run_head[25] = { TH_EXTENT_RUN };
	static const uint8_t with_nul[26] = { TH_EXTENT_INLINE, [24] = 'a' };
	char target[TH_SYMLINK_MAX + 1];

	ck_assert_int_eq(th_scene_symlink(&scene, "target", "/l"), 0);
	struct th_inode *inode = th_scene_get(&scene, "/l");
	struct th_fs_key key = th_fs_key_extent(inode->id, 0);

	ck_assert_int_eq(th_symlink_read(scene.fs->root, target), -EINVAL);
	th_scene_put(&scene, &key, inline_head, sizeof(inline_head));
	ck_assert_int_eq(th_symlink_read(inode, target), -EUCLEAN);
	th_scene_put(&scene, &key, inline_head, 3);
	ck_assert_int_eq(th_symlink_read(inode, target), -EUCLEAN);
	th_scene_put(&scene, &key, run_head, sizeof(run_head));
	ck_assert_int_eq(th_symlink_read(inode, target), -EUCLEAN);
	th_scene_put(&scene, &key, with_nul, sizeof(with_nul));
	ck_assert_int_eq(th_symlink_read(inode, target), -EUCLEAN);
	th_inode_put(inode);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tcase = tcase_create("links");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, links_share_one_inode);
	tcase_add_test(tcase, primary_name_moves_to_the_directory_of_another_name);
	tcase_add_test(tcase, link_checks_type_and_name);
	tcase_add_test(tcase, symlink_target_survives_reopening);
	tcase_add_test(tcase, empty_or_damaged_symlink_is_an_error);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
