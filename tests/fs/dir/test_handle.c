/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes are found by their node ids when nothing else is in memory, and not when they are deleted or hidden. */
#include "fs/dir/handle.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "fs/dir/namei.h"
#include "fs/snapshot/snapshot.h"
#include "tests/fs/scene.h"
#include "tests/support/suite.h"

static struct th_scene scene;

static void setup(void)
{
	th_scene_open(&scene, NULL);
	ck_assert_int_eq(th_scene_make(&scene, "/a", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b/c", S_IFDIR | 0755), 0);
	ck_assert_int_eq(th_scene_make(&scene, "/a/b/f", S_IFREG | 0644), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "one", NULL), 0);
	ck_assert_int_eq(th_fs_snapshot_create(scene.fs, "two", NULL), 0);
}

static void teardown(void)
{
	th_scene_close(&scene);
}

/* Returns the node id that the kernel has for a path. */
static uint64_t node_of(const char *path)
{
	struct th_inode *inode = th_scene_get(&scene, path);
	uint64_t node = th_inode_nodeid(inode);

	th_inode_put(inode);
	return node;
}

static int find(uint64_t node)
{
	struct th_inode *inode;
	int err = th_handle_find(scene.fs, node, &inode);

	if (!err)
		th_inode_put(inode);
	return err;
}

static const char *const paths[] = {
	"/",
	"/a/b/f",
	"/a/b",
	"/.snapshots",
	"/a/b/.snapshots",
	"/.snapshots/one",
	"/.snapshots/one/a/b",
	"/.snapshots/one/a/b/f",
	"/a/.snapshots/one",
	"/a/.snapshots/one/b/c",
	"/a/.snapshots/two/b/c",
	"/a/b/.snapshots/one",
	"/a/b/.snapshots/one/c",
	"/a/b/.snapshots/one/f",
};
#define PATHS (sizeof(paths) / sizeof(paths[0]))

/* Walks from the inode to the root by parents alone, and compares with the same walk by the path. */
static void expect_parents(struct th_inode *inode, const char *path)
{
	struct th_inode *parent;
	char above[64];

	snprintf(above, sizeof(above), "%s", path);
	th_inode_ref(inode);
	while (above[1]) {
		char *slash = strrchr(above, '/');

		ck_assert_int_eq(th_namei_parent(inode, &parent), 0);
		th_inode_put(inode);
		inode = parent;
		slash[slash == above] = 0;
		ck_assert_uint_eq(th_inode_nodeid(inode), node_of(above));
	}
	th_inode_put(inode);
}

START_TEST(inodes_are_found_after_a_new_mount)
{
	uint64_t nodes[PATHS];

	for (size_t i = 0; i < PATHS; i++)
		nodes[i] = node_of(paths[i]);
	th_scene_reopen(&scene);
	for (size_t i = 0; i < PATHS; i++) {
		struct th_inode *inode;

		ck_assert_int_eq(th_handle_find(scene.fs, nodes[i], &inode), 0);
		ck_assert_uint_eq(th_inode_nodeid(inode), nodes[i]);
		if (th_inode_is_dir(inode))
			expect_parents(inode, paths[i]);
		ck_assert_uint_eq(node_of(paths[i]), nodes[i]);
		th_inode_put(inode);
	}
}
END_TEST

START_TEST(a_directory_has_a_node_for_each_place_and_a_file_has_one)
{
	ck_assert_uint_ne(node_of("/a/b/.snapshots/one/c"), node_of("/.snapshots/one/a/b/c"));
	ck_assert_uint_ne(node_of("/a/b/.snapshots/one/c"), node_of("/a/.snapshots/one/b/c"));
	ck_assert_uint_eq(node_of("/a/b/.snapshots/one/f"), node_of("/.snapshots/one/a/b/f"));
	ck_assert_uint_ne(node_of("/a/b/.snapshots/one/f"), node_of("/a/b/.snapshots/two/f"));
}
END_TEST

START_TEST(nodes_of_a_deleted_snapshot_are_stale)
{
	uint64_t root = node_of("/.snapshots/one"), file = node_of("/.snapshots/one/a/b/f"), nested;
	struct th_inode *used = th_scene_get(&scene, "/a/.snapshots/one/b");

	nested = th_inode_nodeid(used);
	ck_assert_int_eq(th_fs_snapshot_delete(scene.fs, "one"), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(find(root), -ESTALE);
		ck_assert_int_eq(find(file), -ESTALE);
		ck_assert_int_eq(find(nested), -ESTALE);
		if (!i) {
			th_inode_put(used);
			th_scene_reopen(&scene);
		}
	}
	ck_assert_int_eq(find(node_of("/.snapshots/two/a/b/f")), 0);
}
END_TEST

START_TEST(deleted_inodes_and_nodes_that_never_were_are_stale)
{
	uint64_t file = node_of("/a/b/f"), dir = node_of("/a/b/c"), virtual = node_of("/a/b/c/.snapshots");
	uint64_t late, one = th_node_id_parse(node_of("/.snapshots/one")).snapshot;
	struct th_inode *open = th_scene_get(&scene, "/a/b/f");

	ck_assert_int_eq(th_scene_unlink(&scene, "/a/b/f"), 0);
	ck_assert_int_eq(th_scene_rmdir(&scene, "/a/b/c"), 0);
	ck_assert_int_eq(find(file), -ESTALE);
	th_inode_put(open);
	ck_assert_int_eq(find(file), -ESTALE);
	ck_assert_int_eq(find(dir), -ESTALE);
	ck_assert_int_eq(find(virtual), -ESTALE);
	ck_assert_int_eq(find(0), -ESTALE);
	ck_assert_int_eq(find(UINT64_MAX), -ESTALE);
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ 9999, 0, TH_ROOT_ID })), -ESTALE);
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ TH_SNAPDIR_SNAPSHOT, 0, file })), -ESTALE);
	/* A directory cannot have been entered deeper than it is, nor in a snapshot that does not have it. */
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ one, 2, node_of("/a/b") })), 0);
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ one, 3, node_of("/a/b") })), -ESTALE);
	ck_assert_int_eq(th_scene_make(&scene, "/late", S_IFDIR | 0755), 0);
	late = node_of("/late");
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ one, 1, late })), -ESTALE);
	ck_assert_int_eq(find(th_node_id((struct th_node_parts){ one, 0, late })), -ESTALE);
}
END_TEST

START_TEST(hidden_parts_of_the_tree_are_stale)
{
	uint64_t old = node_of("/.snapshots/one/a/b/f"), virtual = node_of("/.snapshots"), a = node_of("/a");
	uint64_t b = node_of("/a/b"), f = node_of("/a/b/f"), entered = node_of("/a/b/.snapshots/one");
	uint64_t root = node_of("/.snapshots/one");

	scene.options.snapdir = TH_SNAPDIR_DISABLED;
	th_scene_reopen(&scene);
	ck_assert_int_eq(find(old), -ESTALE);
	ck_assert_int_eq(find(virtual), -ESTALE);
	ck_assert_int_eq(find(f), 0);
	scene.options.snapdir = TH_SNAPDIR_HIDDEN;
	scene.options.snapshot = "one";
	th_scene_reopen(&scene);
	ck_assert_int_eq(find(old), -ESTALE);
	ck_assert_int_eq(find(virtual), -ESTALE);
	ck_assert_int_eq(find(f), 0);
	scene.options.snapshot = NULL;
	scene.options.subdir = "a/b";
	th_scene_reopen(&scene);
	ck_assert_int_eq(find(a), -ESTALE);
	ck_assert_int_eq(find(virtual), -ESTALE);
	ck_assert_int_eq(find(root), -ESTALE);
	ck_assert_int_eq(find(b), 0);
	ck_assert_int_eq(find(f), 0);
	ck_assert_int_eq(find(entered), 0);
	ck_assert_int_eq(find(old), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handle");
	TCase *tcase = tcase_create("handles");

	tcase_set_timeout(tcase, 0);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, inodes_are_found_after_a_new_mount);
	tcase_add_test(tcase, a_directory_has_a_node_for_each_place_and_a_file_has_one);
	tcase_add_test(tcase, nodes_of_a_deleted_snapshot_are_stale);
	tcase_add_test(tcase, deleted_inodes_and_nodes_that_never_were_are_stale);
	tcase_add_test(tcase, hidden_parts_of_the_tree_are_stale);
	suite_add_tcase(suite, tcase);
	return th_suite_run(suite);
}
