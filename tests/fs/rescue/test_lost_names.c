/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are lost with a damaged leaf are named by their paths. */
#include "fs/rescue/lost_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fs/scene_fixture.h"
#include "tests/support/suite.h"
#include "tree/state/state.h"

#define FILES 250u

static char lines[1 << 18];

static void take_line(void *arg, const char *line)
{
	(void)arg;
	ck_assert_uint_lt(strlen(lines) + strlen(line) + 2, sizeof(lines));
	strcat(strcat(lines, line), "\n");
}

START_TEST(whole_tree_has_no_line)
{
	ck_assert_int_eq(make_file("/f"), 0);
	ck_assert_int_eq(th_lost_names(scene.fs->live, "live tree", take_line, NULL), 0);
	ck_assert_str_eq(lines, "");
}
END_TEST

START_TEST(each_file_of_a_damaged_leaf_is_named)
{
	uint8_t *zeros = th_disk_buffer(TH_BLOCK_SIZE);
	struct th_inode *inode;
	struct th_node *root;
	struct th_ptr ptr;
	char path[64], line[128];
	unsigned lost = 0;

	ck_assert_int_eq(make_dir("/d"), 0);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/d/file-%u", i);
		ck_assert_int_eq(make_file(path), 0);
	}
	th_scene_reopen(&scene);
	root = scene.fs->store->live.root;
	ck_assert_uint_eq(root->level, 1);
	ck_assert_int_eq(th_node_child_ptr(root, root->base.count - 1u, &ptr), 0);
	memset(zeros, 0, TH_BLOCK_SIZE);
	ck_assert_int_eq(th_disk_write(scene.fs->disk, ptr.addr, 1, zeros), 0);
	if (ptr.mirror)
		ck_assert_int_eq(th_disk_write(scene.fs->disk, ptr.mirror, 1, zeros), 0);
	free(zeros);
	scene.options.read_only = true;
	th_scene_reopen(&scene);
	ck_assert_int_eq(th_lost_names(scene.fs->live, "live tree", take_line, NULL), 0);
	ck_assert_ptr_nonnull(strstr(lines, "damaged node: live tree: records of inodes"));
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/d/file-%u", i);
		snprintf(line, sizeof(line), "damaged node: live tree: 'd/file-%u' (inode ", i);
		bool readable = !th_scene_find(&scene, path, &inode);

		if (readable)
			th_inode_put(inode);
		ck_assert_msg(readable == !strstr(lines, line), "%s", path);
		lost += !readable;
	}
	ck_assert(lost > 0 && lost < FILES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lost_names");
	TCase *tcase = tcase_create("lost_names");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, whole_tree_has_no_line);
	tcase_add_test(tcase, each_file_of_a_damaged_leaf_is_named);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
